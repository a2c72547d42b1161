"""One safe file: a zip of header.json and .npy members, written whole or not at all, checked before anything is believed.

Nothing in the file is run: JSON is data, the header of a .npy is matched with a pattern instead of being evaluated, and only
arrays of numbers are held. Members are stored as they are, one after the other and aligned, so they can be mapped into memory;
whatever `write` does not write (compression, encryption, gaps, comments, other names) is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from .archive import AGAIN, HEADER, LONGEST_NAME, NAME, Member, ModelFileError, added, entry, listed, replacing
from .plain_json import parsed, plain

__all__ = ["ModelFileError", "front", "group", "read", "write"]

SCHEMA = 1
LARGEST_HEADER = 1 << 22  # bytes; parsed it may take 40 times as much memory
MOST_AXES = 32
CHUNK = 1 << 20  # bytes hashed at a time
NPY = re.compile(rb"\{'descr': '([<>|][biufc][0-9]{1,2})', 'fortran_order': (True|False), 'shape': (\([0-9, ]*+\)), \} *+\n")
NUMBERS = ["b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8", "c8", "c16"]
DTYPES = {np.dtype(order + name).str for name in NUMBERS for order in "<>"}


# -- Writing ---------------------------------------------------------------------------------------------------------------


def write(path: str | Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a model file: what it is (`kind`), a header of JSON values, and named arrays.

    The header may hold dicts with text keys, lists, tuples (read back as lists), texts, integers of 64 bits, finite floats
    (read back exactly), booleans and None. Arrays are of booleans, integers, or real or complex floats of at most 16 bytes,
    of any shape, order and byte order; names are words of letters, digits, `_`, `.` and `-` joined by `/`.

    The file is written under a temporary name in the same folder, flushed to the disk and renamed: path is always the old file
    or the whole new one, and a failure leaves nothing behind. An existing file keeps its permissions; a symbolic link stays one,
    and what it points to is replaced. Equal contents give equal bytes. Memory: a buffer.

    Raises TypeError or ValueError, before anything is written, for what cannot be held, OSError if the file cannot be written.

    >>> import numpy as np, tempfile
    >>> from petrov.rom.files import model_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model_file.write(f"{folder}/a.rom", "example", {"tol": 1e-6}, {"basis": np.eye(2)})
    ...     header, arrays = model_file.read(f"{folder}/a.rom", "example")
    >>> header, arrays["basis"]
    ({'tol': 1e-06}, array([[1., 0.],
           [0., 1.]]))
    """
    if not isinstance(kind, str) or not kind:
        raise TypeError(f"kind must be a text that says what the file holds; got {kind!r}")
    if not isinstance(header, Mapping) or not isinstance(arrays, Mapping):
        raise TypeError("header must be a mapping of JSON values, arrays a mapping from names to arrays")
    described, held = plain(header), {name: holdable(name, array) for name, array in arrays.items()}
    front = {"schema": SCHEMA, "petrov": version(), "kind": kind, "header": described}
    if len(json.dumps(front)) + (LONGEST_NAME + 200) * len(held) > LARGEST_HEADER:
        raise ValueError(f"the header takes more than {LARGEST_HEADER >> 20} MiB; keep long lists as arrays")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        members = {name: add(archive, file, name, array) for name, array in held.items()}
        archive.writestr(entry(HEADER), json.dumps(front | {"members": members}))


def version() -> str:
    """The version of petrov; the front door is loaded before any of its parts."""
    return sys.modules[__name__.partition(".")[0]].__version__


def holdable(name: Any, array: Any) -> np.ndarray:
    """The array, if a file may hold it under this name."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ValueError(f"{name!r} cannot name an array: use letters, digits, _ . - and / between words")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: keep its .data and its .mask")
    array = np.asarray(array)
    if array.dtype.str not in DTYPES:
        raise TypeError(f"{name} is of dtype {array.dtype}; a model file holds booleans, integers, floats and complex numbers")
    if array.ndim > MOST_AXES:
        raise ValueError(f"{name} has {array.ndim} axes; a model file holds arrays of at most {MOST_AXES}")
    return array


class Hashed:
    """A file to write to that knows the size and the checksum of what was written."""

    def __init__(self, file: Any) -> None:
        self.file, self.sum, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        self.size += len(data)
        return self.file.write(data)


def add(archive: zipfile.ZipFile, file: BinaryIO, name: str, array: np.ndarray) -> dict[str, Any]:
    """Write one array as a member; what the header says of it."""
    with added(archive, file, f"{name}.npy", array.nbytes) as member:
        target = Hashed(member)
        np.lib.format.write_array(target, array, version=(1, 0), allow_pickle=False)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": target.size, "sha256": target.sum.hexdigest()}


# -- Reading ---------------------------------------------------------------------------------------------------------------


def read(
    path: str | Path, kind: str | None = None, *, mmap: Collection[str] | bool = ()
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:  # fmt: skip
    """(header, arrays) of a model file; `kind`, if given, is what it has to hold.

    Arrays named in `mmap` (True: all) are read-only np.memmap, whose pages are loaded when used; the others are in memory and
    may be written to. Every checksum is verified, so the whole file is read once; nothing is allocated that the file does not
    fill. A mapped file may be replaced by `write`, but must not be changed in place.

    Raises ModelFileError for every defect, OSError if the file cannot be read, ValueError if mmap names no array of the file.
    """
    with Path(path).open("rb") as file:
        try:
            members = listed(file)
            front = opened(file, members, kind)
            if isinstance(mmap, (str, bool)):
                mmap = [mmap] if isinstance(mmap, str) else [*front["members"]] * mmap
            if absent := sorted({*mmap} - {*front["members"]}):
                raise ValueError(f"{path}: mmap names {absent[0]!r}; the file holds {', '.join(front['members']) or 'no arrays'}")
            described = front["members"].items()
            return front["header"], {name: taken(file, members[f"{name}.npy"], said, name in mmap) for name, said in described}
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error.__cause__


def front(path: str | Path) -> tuple[str, dict[str, Any]]:
    """(kind, header) of a model file, without its arrays; raises as `read` does."""
    with Path(path).open("rb") as file:
        try:
            found = opened(file, listed(file), None)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error.__cause__
    return found["kind"], found["header"]


def group(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with name/, without it.

    >>> from petrov.rom.files.model_file import group
    >>> group({"part/V": 1, "part/dual/A": 2, "parts": 3}, "part")
    {'V': 1, 'dual/A': 2}
    """
    return {key[len(name) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{name}/")}


def opened(file: BinaryIO, members: dict[str, Member], kind: str | None) -> dict[str, Any]:
    """header.json, if it is whole, of a schema and kind that are understood, and names the members that are there."""
    if HEADER not in members:
        raise ModelFileError(f"it holds no {HEADER}: a zip archive, but not a model file")
    member = members[HEADER]
    if member.size > LARGEST_HEADER:
        raise ModelFileError(f"{HEADER} has {member.size} bytes, more than {LARGEST_HEADER}; {AGAIN}")
    file.seek(member.offset)
    text = file.read(member.size)
    if len(text) != member.size or zlib.crc32(text) != member.crc:
        raise ModelFileError(f"the checksum of {HEADER} differs; {AGAIN}")
    front = understood(text)
    if {*front} != {"schema", "petrov", "kind", "header", "members"}:
        raise ModelFileError(f"{HEADER} holds {', '.join(sorted(front))[:LONGEST_NAME]}; {AGAIN}")
    if not isinstance(front["kind"], str) or not isinstance(front["header"], dict) or not isinstance(front["members"], dict):
        raise ModelFileError(f"{HEADER} holds kind, header or members of a wrong type; {AGAIN}")
    if kind is not None and front["kind"] != kind:
        raise ModelFileError(f"it holds a {front['kind'][:LONGEST_NAME]!r} where a {kind!r} was expected: name another file")
    if odd := sorted({f"{name}.npy" for name in front["members"]} ^ ({*members} - {HEADER})):
        state = "is missing" if odd[0] not in members else f"is not named in {HEADER}"
        raise ModelFileError(f"the member {odd[0][:LONGEST_NAME]} {state}; {AGAIN}")
    return front


def understood(text: bytes) -> dict[str, Any]:
    """The JSON object in a header of ours, if its schema is one that this version knows."""
    try:
        front = parsed(text)
    except ValueError as error:
        raise ModelFileError(f"{HEADER} is not the JSON of a model file: {error}; {AGAIN}") from error
    schema = front.get("schema") if isinstance(front, dict) else None
    if type(schema) is not int or schema < 1:
        raise ModelFileError(f"{HEADER} names no schema of ours; {AGAIN}")
    if schema > SCHEMA:
        theirs = f"petrov {front.get('petrov')}"[:LONGEST_NAME]
        raise ModelFileError(f"written by {theirs} in schema {schema}; petrov {version()} reads up to {SCHEMA}: upgrade petrov")
    return front


def taken(file: BinaryIO, member: Member, said: Any, mapped: bool) -> np.ndarray:
    """One array: what the header says of it, its .npy header and its size are compared before anything is allocated."""
    dtype, shape = described(member.name, said)
    file.seek(member.offset)
    start = file.read(min(member.size, 10))
    length = int.from_bytes(start[8:10], "little")
    start += file.read(min(member.size - len(start), length))
    match = NPY.fullmatch(start[10:])
    if start[:8] != b"\x93NUMPY\1\0" or len(start) != 10 + length or match is None:
        raise ModelFileError(f"the member {member.name} does not start as an array of plain numbers in .npy; {AGAIN}")
    there, here = f"{match[1].decode()} {match[3].decode()}", f"{dtype.str} {shape}"
    if there != here:
        raise ModelFileError(f"the member {member.name} is {there[:LONGEST_NAME]}, {HEADER} says {here}; {AGAIN}")
    count = math.prod(shape)
    order: Literal["F", "C"] = "F" if match[2] == b"True" else "C"
    if not len(start) + count * dtype.itemsize == member.size == said["bytes"]:
        raise ModelFileError(f"the member {member.name} has {member.size} bytes, not those of {dtype.str} {shape}; {AGAIN}")
    mapped = mapped and count > 0  # no bytes, no map
    array: np.ndarray = np.empty(0 if mapped else count, dtype)
    if streamed(file, start, count * dtype.itemsize, None if mapped else array) != said["sha256"]:
        raise ModelFileError(f"the checksum of the member {member.name} differs; {AGAIN}")
    if mapped:
        array = np.memmap(file, dtype, "r", member.offset + len(start), (count,))
    if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise ModelFileError(f"the member {member.name} holds booleans that are neither 0 nor 1; {AGAIN}")
    return array.reshape(shape, order=order)


def described(name: str, said: Any) -> tuple[np.dtype, tuple[int, ...]]:
    """(dtype, shape) that the header gives a member."""
    if (
        not isinstance(said, dict) or {*said} != {"dtype", "shape", "bytes", "sha256"}
        or not isinstance(said["dtype"], str) or said["dtype"] not in DTYPES
        or not isinstance(said["shape"], list) or len(said["shape"]) > MOST_AXES
        or any(type(size) is not int or not 0 <= size < 2**63 for size in said["shape"])
    ):  # fmt: skip
        raise ModelFileError(f"{HEADER} does not describe the member {name} as an array of numbers; {AGAIN}")
    dtype = np.dtype(said["dtype"])
    if math.prod(max(size, 1) for size in said["shape"]) * dtype.itemsize >= 2**63:
        raise ModelFileError(f"the member {name} declares the shape {said['shape']}, which no memory holds; {AGAIN}")
    return dtype, tuple(said["shape"])


def streamed(file: BinaryIO, start: bytes, size: int, array: np.ndarray | None) -> str:
    """The sha256 of `start` and the next `size` bytes, which go to the array if there is one."""
    total, buffer = hashlib.sha256(start), memoryview(bytearray(min(CHUNK, size) if array is None else 0))
    whole = None if array is None else memoryview(array.view(np.uint8))  # type: ignore[arg-type]
    for at in range(0, size, CHUNK):
        count = min(CHUNK, size - at)
        piece = buffer[:count] if whole is None else whole[at : at + count]
        if file.readinto(piece) != count:  # type: ignore[attr-defined]
            raise ModelFileError(f"the file was cut off while it was read; {AGAIN}")
        total.update(piece)
    return total.hexdigest()
