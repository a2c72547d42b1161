"""JSON that comes back as it was given: what would change on the way, or harm the reader, is refused on both sides."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

DEEPEST = 50  # lists and objects inside one another
LONGEST_NUMBER = 40  # characters


def plain(value: Any, place: tuple[Any, ...] = ()) -> Any:
    """A value as JSON gives it back: NumPy's numbers become Python's, tuples become lists.

    Raises TypeError for what JSON does not hold and for keys that are no texts, ValueError for NaN, infinities, integers of more
    than 64 bits and nesting deeper than 50; the message names the place. `place` is where the value lies in a larger one.

    >>> from petrov.rom.files.plain_json import plain
    >>> plain({"shape": (2, 3), "tol": 1e-6})
    {'shape': [2, 3], 'tol': 1e-06}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if len(place) > DEEPEST:
        raise ValueError(f"{said(place)} is nested deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{said(place)} has the key {strange[0]!r}; keys must be texts")
        return {str(key): plain(item, (*place, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, (*place, i)) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{said(place)} is {value}; JSON holds finite numbers: use None, or keep it in an array")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError(f"{said(place)} is an integer of more than 64 bits; keep it as a text")
    for exact in (bool, int, float, str):
        if isinstance(value, exact):
            return exact(value)
    if value is not None:
        raise TypeError(f"{said(place)} is of type {type(value).__name__}, which JSON does not hold; arrays are kept beside it")
    return None


def said(place: tuple[Any, ...]) -> str:
    path = "header" + "".join(f"[{key!r}]" for key in place)
    return path if len(path) <= 200 else f"{path[:200]}..."


def parsed(text: bytes) -> Any:
    """The value in a JSON text of UTF-8, as `plain` gives it; ValueError if it is damaged or not what `plain` lets pass."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) != len(pairs):
            raise ValueError("a key occurs twice in an object")
        return found

    def short(convert: Callable[[str], Any]) -> Callable[[str], Any]:
        def number(digits: str) -> Any:
            if len(digits) > LONGEST_NUMBER:
                raise ValueError(f"a number has more than {LONGEST_NUMBER} characters")
            return convert(digits)

        return number

    try:  # NaN and Infinity pass `float`, and `plain` names their place
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=once, parse_int=short(int), parse_float=short(float), parse_constant=float
        )
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {DEEPEST}") from error
    return plain(value)
