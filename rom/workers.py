"""One function at many points, in several processes."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

WORK: list[Callable[[Any], Any]] = []  # what a forked child does: functions of users cannot be sent, but are inherited


def mapped(function: Callable[[Any], Any], items: Sequence[Any], workers: int = 1) -> Iterator[Any]:
    """function(item) for each item, in order; with workers > 1 by forked processes, which inherit the function and send results.

    Raises what the function raised; ValueError where processes cannot be forked.

    >>> from petrov.rom.workers import mapped
    >>> list(mapped(lambda x: x * x, [1, 2, 3], workers=2))
    [1, 4, 9]
    """
    if workers == 1 or len(items) < 2:
        yield from map(function, items)
        return
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError(f"workers={workers} needs processes that can be forked, which {sys.platform} has not; use workers=1")
    WORK.append(function)
    try:
        with multiprocessing.get_context("fork").Pool(min(workers, len(items))) as pool:
            yield from pool.imap(call, items)
    finally:
        WORK.pop()


def call(item: Any) -> Any:
    return WORK[-1](item)
