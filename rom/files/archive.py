"""A zip archive of members stored as they are, aligned, one after the other: what can be mapped, and what can be checked.

Zip tools read and make many forms of archive, some of which show different members to different readers. Only the form that is
written here is read: no compression, encryption, comments, gaps, doubled or unusual names.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

HEADER = "header.json"
LONGEST_NAME = 200
ALIGNED = 64  # bytes: where the members, and so their numbers, start in the file
PADDING = 0xD935  # the id under which zip tools keep alignment
ZIP64 = 2**31 - 2**20  # bytes from which a member gets the long form of sizes
NAME = re.compile(r"\w[\w.-]*+(?:/\w[\w.-]*+)*+", re.ASCII)
AGAIN = "the file is damaged or not ours: write it again, or take a copy"


class ModelFileError(ValueError):
    """A file is not a whole model file; the message says what was found and what to do."""


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when all went well; else it is removed and `path` is as it was."""
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is not a folder; make it first")
    old = path.stat().st_mode if path.exists() else None
    if old is not None and not stat.S_ISREG(old):
        raise FileExistsError(f"{path} is there and is not a file; name another")
    if old is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be written to; change its permissions or name another")
    temporary = path.with_name(f".petrov-{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o666 if old is None else 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            temporary.chmod(stat.S_IMODE(old))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name is on the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # dated 1980: equal contents give equal bytes
    info.external_attr = 0o644 << 16
    return info


@contextmanager
def added(archive: zipfile.ZipFile, file: BinaryIO, name: str, size: int) -> Iterator[IO[bytes]]:
    """A new member of about `size` bytes to write to; its first byte is aligned in the file."""
    info, long = entry(name), size > ZIP64
    gap = -(file.tell() + 30 + len(name) + 20 * long) % ALIGNED
    if gap:
        gap += ALIGNED * (gap < 4)  # an extra field has four bytes at least
        info.extra = struct.pack("<HH", PADDING, gap - 4) + bytes(gap - 4)
    with archive.open(info, "w", force_zip64=long) as member:
        yield member


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's bytes lie in the file."""

    name: str
    offset: int
    size: int
    crc: int


def listed(file: BinaryIO) -> dict[str, Member]:
    """The members by name, which must lie as `write` lays them: one after the other, from the first byte to the directory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 22, 0))
    end = file.read()
    if len(end) < 22 or end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        raise ModelFileError(f"no end of a zip archive in its last bytes ({size} bytes): cut off, or not a model file")
    try:
        with zipfile.ZipFile(file) as archive:
            found, directory = archive.infolist(), archive.start_dir
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # EINVAL: a place before the first byte
            raise
        raise ModelFileError(f"the directory of the archive points outside of it; {AGAIN}") from error
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, struct.error) as error:
        raise ModelFileError(f"the directory of the archive cannot be read ({error}); {AGAIN}") from error
    members: dict[str, Member] = {}
    at = 0
    for info in found:
        if info.filename in members:
            raise ModelFileError(f"the member {info.filename} occurs twice; {AGAIN}")
        member = members[info.filename] = located(file, info, at)
        at = member.offset + member.size
    if at != directory:
        raise ModelFileError(f"the members end at byte {at}, the directory starts at byte {directory}; {AGAIN}")
    return members


def located(file: BinaryIO, info: zipfile.ZipInfo, at: int) -> Member:
    """One entry of the directory, if it is stored as it is under a harmless name and starts at byte `at`."""
    name = info.orig_filename
    if not (name == HEADER or (name.endswith(".npy") and NAME.fullmatch(name[:-4]) and len(name) <= LONGEST_NAME + 4)):
        raise ModelFileError(f"a member is called {name[:LONGEST_NAME]!r}, which no model file holds; {AGAIN}")
    if info.flag_bits:
        raise ModelFileError(f"the member {name} is {'encrypted' if info.flag_bits & 1 else 'of an unknown form'}; {AGAIN}")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ModelFileError(f"the member {name} is compressed ({info.compress_size} bytes for {info.file_size}); {AGAIN}")
    file.seek(at)
    local = file.read(30 + len(name))
    if info.header_offset != at or local[:4] != b"PK\3\4" or local[30:] != name.encode():
        raise ModelFileError(f"the member {name} does not start at byte {at}, after the one before it; {AGAIN}")
    offset = at + 30 + sum(struct.unpack("<HH", local[26:30]))
    return Member(name, offset, info.file_size, info.CRC)
