"""numba's compiler, its cache on disk made safe for processes that fill it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from types import MethodType
from typing import Any

import numba

DIGITS = 15  # hexadecimal, of a signature's name


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit(**options), whose cache on disk cannot mix up signatures.

    numba numbers the files of a function's signatures in the order in which they are saved. Two processes that save different
    ones at the same time give both the same number, and what is loaded for one is then the code of the other, without a word
    (two signatures of x + 1, forced by pauses: 1.5 gave 2). Here a file is named after its signature.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if file is not None:  # None where nothing is cached, or nothing compiled
            file.save = MethodType(save, file)
        return dispatcher

    return compiled


def save(file: Any, key: Any, data: Any) -> None:
    """What IndexDataCacheFile.save does, the data file's number told by the key: the signature, the machine, the source."""
    overloads = file._load_index()
    name = file._data_name(int(sha256(repr(key).encode()).hexdigest()[:DIGITS], 16))
    if overloads.get(key) != name:
        file._save_index({**overloads, key: name})
    file._save_data(name, data)
