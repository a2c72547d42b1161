"""Conditions found on a device, looked at together: one read for all that may be wrong in a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..solvers import arrays


class Doubts:
    """`add(bad, error)` as computation goes on, `look()` at its end: the error of the first condition that is true is raised.

    bad: a 0-d boolean array of the device; error() makes the exception, and may read more.
    """

    def __init__(self) -> None:
        self.pending: list[tuple[Any, Callable[[], Exception]]] = []

    def add(self, bad: Any, error: Callable[[], Exception]) -> None:
        self.pending.append((bad, error))

    def look(self) -> None:
        """The one read. A call that raised before it says so itself."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        xp: Any = arrays.namespace(pending[0][0])
        for bad, (_, error) in zip(arrays.to_numpy(xp.stack([bad for bad, _ in pending])), pending, strict=True):
            if bad:
                raise error()
