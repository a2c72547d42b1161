"""What long work has done so far, step by step, in a folder: each step is one model file, and none is ever changed.

A folder belongs to one `identity`, which says from what its steps were computed; a fingerprint of the data belongs in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers.dataset import LOCK, alone
from . import model_file
from .archive import HEADER, ModelFileError, replacing
from .plain_json import plain

__all__ = ["Checkpoint", "fingerprint"]

KIND = "checkpoint step"
STEP = re.compile(r"step-([0-9]{5,9})\.rom")
PARTS = ".petrov-*.part"  # what `replacing` leaves when it is killed


def fingerprint(*things: Any) -> str:
    """The sha256, in hexadecimal, of arrays and texts in order: their contents, dtypes and shapes.

    Equal values give equal prints whatever their order in memory or byte order; another dtype, shape, sign of zero or division
    into arguments gives another. A thing is a text, bytes, or what np.asarray makes an array of numbers. Of a sparse matrix give
    data, indices and indptr. Raises TypeError for anything else. Memory: a copy of an array that is not in C order.

    >>> import numpy as np
    >>> from petrov.rom.files.checkpoint import fingerprint
    >>> fingerprint("train", np.eye(3)) == fingerprint("train", np.eye(3, order="F"))
    True
    >>> fingerprint(np.zeros(6)) == fingerprint(np.zeros((2, 3)))
    False
    """
    total = hashlib.sha256()
    for thing in things:
        if isinstance(thing, (str, bytes)):
            content: Any = thing.encode("utf-8", "surrogatepass") if isinstance(thing, str) else thing
            what = f"{type(thing).__name__} {len(content)}"
        else:
            array = np.asarray(thing)
            if array.dtype.kind not in "biufc":
                raise TypeError(f"a fingerprint is of texts and arrays of numbers; got {type(thing).__name__} ({array.dtype})")
            content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            what = f"array {array.dtype.newbyteorder('<').str} {array.shape}"
        total.update(f"{what}\n".encode())
        total.update(content)
    return total.hexdigest()


class Checkpoint:
    """The steps in `folder`, which is made if it is not there, of the work that `identity` (JSON values) describes.

    Opening verifies every step. One that is damaged, and those after it, are renamed to *.dropped with a RuntimeWarning, so the
    work goes on from the last sound one. Steps are numbered from 1, as their files step-00001.rom are; a step is there whole or
    not at all, whenever the process is killed.

    Raises FileExistsError if the folder belongs to other work (naming the first difference), holds files of others, or another
    process writes to it; ModelFileError if its header.json is damaged or of a newer petrov; TypeError or ValueError for an
    identity that JSON does not hold. Memory: nothing of the steps. Cost of opening: reading the folder once.

    >>> import numpy as np, tempfile
    >>> from petrov.rom.files.checkpoint import Checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Checkpoint(folder, {"train": 100}).append({"basis": np.ones(3)})
    ...     again = Checkpoint(folder, {"train": 100})
    ...     again.steps(), again.load(1)["basis"]
    1
    (1, array([1., 1., 1.]))
    """

    __slots__ = ("count", "folder", "identity", "mark")

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        if not isinstance(identity, Mapping):
            raise TypeError(f"identity must be a mapping of JSON values; got {type(identity).__name__}")
        self.folder, self.identity = Path(folder), plain(identity)
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder):
            for part in self.folder.glob(PARTS):
                part.unlink()
            self.mark = fingerprint(json.dumps(claimed(self.folder, self.identity), sort_keys=True))
            self.count = self.sound()

    def steps(self) -> int:
        """How many steps there are."""
        return self.count

    def load(self, i: int, *, mmap: Collection[str] | bool = ()) -> dict[str, np.ndarray]:
        """The arrays of step i = 1, ..., steps(); those named in `mmap` (True: all) are mapped.

        Raises IndexError if there is no such step, ModelFileError if it was damaged since the folder was opened.
        """
        if not 1 <= i <= self.count:
            raise IndexError(f"step {i} was asked for; {self.folder} holds {self.count}, numbered from 1")
        return self.read(i, mmap)

    def append(self, arrays: Mapping[str, Any]) -> int:
        """Write the next step; its number.

        Raises FileExistsError if another process wrote it meanwhile, and what `model_file.write` raises; then nothing changed.
        """
        with alone(self.folder):
            path = self.path(self.count + 1)
            if path.exists():
                raise FileExistsError(f"{path} was written by another process; only one may work in a folder: name another")
            model_file.write(path, KIND, {"step": self.count + 1, "identity": self.mark}, arrays)
            self.count += 1
        return self.count

    def path(self, i: int) -> Path:
        return self.folder / f"step-{i:05d}.rom"

    def read(self, i: int, mmap: Collection[str] | bool) -> dict[str, np.ndarray]:
        header, arrays = model_file.read(self.path(i), KIND, mmap=mmap)
        if header != {"step": i, "identity": self.mark}:
            raise ModelFileError(f"{self.path(i)} is step {header.get('step')!r} of this or other work: remove it")
        return arrays

    def sound(self) -> int:
        """How many steps are whole, from the first on; what comes after them is set aside."""
        found = {int(match[1]): path for path in self.folder.iterdir() if (match := STEP.fullmatch(path.name))}
        count, told = 0, ""
        while count + 1 in found and not told:
            try:
                self.read(count + 1, True)
                count += 1
            except ModelFileError as error:
                told = str(error)
        if later := sorted(i for i in found if i > count):
            for i in later:
                found[i].replace(found[i].with_name(f"{found[i].name}.dropped"))
            told = told or f"{self.path(count + 1)} is missing"
            number = f"{len(later)} step{'s' * (len(later) > 1)} from {found[later[0]].name} on"
            warnings.warn(f"{told}. {number} renamed to *.dropped; {count} sound ones stay", RuntimeWarning, stacklevel=3)
        return count


def claimed(folder: Path, identity: dict[str, Any]) -> Any:
    """Make the folder's header.json, or find in it the same identity; the identity as it is written there."""
    path = folder / HEADER
    if not path.exists():
        if strangers := sorted(other.name for other in folder.iterdir() if other.name != LOCK):
            raise FileExistsError(f"{folder} is not empty and holds no {HEADER} of ours, but {strangers[0]}; name another")
        with replacing(path) as file:
            front = {"schema": model_file.SCHEMA, "petrov": model_file.version(), "identity": identity}
            file.write(json.dumps(front, indent=1).encode())
        return identity
    try:
        there = model_file.understood(path.read_bytes()).get("identity")
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}, or name another folder") from error.__cause__
    if told := difference(there, identity, "identity"):
        raise FileExistsError(f"{folder} holds the steps of other work: {told}; name another folder, or remove this one")
    return there


def difference(there: Any, here: Any, place: str) -> str:
    """Where two JSON values differ first; the empty string if nowhere."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*here, *(key for key in there if key not in here)]:
            if key not in there or key not in here:
                return f"{place}[{key!r}] is only {'here' if key in here else 'there'}"
            if told := difference(there[key], here[key], f"{place}[{key!r}]"):
                return told
        return ""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = enumerate(zip(there, here, strict=True))
        return next((told for i, (a, b) in pairs if (told := difference(a, b, f"{place}[{i}]"))), "")
    return "" if there == here else f"{place} is {short(there)} there, {short(here)} here"


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
