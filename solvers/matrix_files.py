"""Matrices and vectors in files: read only after the file has been checked, written whole or not at all.

What a header declares is compared with what the file holds before anything of that size is allocated, and every line of a
Matrix Market file is checked before SciPy parses it: SciPy reads 1.5D+03 as 1.5 and ignores further columns.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from scipy import io, sparse

CHUNK = 1 << 18  # bytes checked at a time
LONGEST_LINE = 1 << 16
EMPTY_ROWS = 10**6  # a matrix with more rows or columns than its entries and this many was not meant
DEFLATE = 1032  # the most bytes that one byte of a deflate stream can become
UNREADABLE = (EOFError, KeyError, OSError, OverflowError, RuntimeError, ValueError, TokenError, zipfile.BadZipFile, zlib.error)

REAL = rb"-?+(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?+\d++)?+"
VALUES = {  # by the field of the banner: the columns after the indices
    "pattern": [], "real": [REAL], "double": [REAL], "complex": [REAL, REAL],
    "integer": [rb"-?+\d++"], "unsigned-integer": [rb"\d++"],
}  # fmt: skip


def read_matrix(path: str | Path) -> sparse.csr_array | np.ndarray:
    """The matrix in a .mtx, .mtx.gz, .npz (scipy.sparse.save_npz) or .npy file.

    Returns a (m, n) csr_array, or an ndarray for .npy and for Matrix Market's array format. Integer, real and complex
    values keep their type; pattern entries are ones; symmetric, skew-symmetric and Hermitian files are expanded; entries
    that occur twice are summed. A .npz or .npy is read without unpickling.

    Raises OSError if the file cannot be opened, and ValueError naming the file, and the line where there is one, if it is
    damaged, declares more than it holds, or holds NaN or infinity. Takes two passes over the file; holds the entries as
    coordinates and as rows, 32 bytes each in double precision.

    >>> import numpy as np, tempfile
    >>> from petrov.solvers.matrix_files import read_matrix, write_vector
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_vector(f"{folder}/A.npy", np.eye(2))
    ...     read_matrix(f"{folder}/A.npy")
    array([[1., 0.],
           [0., 1.]])
    """
    path = Path(path)
    A = pick(path, {".mtx": read_market, ".mtx.gz": read_market, ".npz": read_npz, ".npy": read_npy})(path)
    if A.ndim != 2:
        raise ValueError(f"{path}: a matrix has two axes; this array has shape {A.shape}")
    return finite(A, path)


def read_vector(path: str | Path) -> np.ndarray:
    """The vector (n,) or columns (n, k) in a .mtx, .mtx.gz or .npy file; one column of Matrix Market comes back as (n,).

    Raises as `read_matrix` does, and ValueError for a sparse file that is no set of right-hand sides.
    """
    path = Path(path)
    b = pick(path, {".mtx": read_market, ".mtx.gz": read_market, ".npy": read_npy})(path)
    if sparse.issparse(b):
        if math.prod(b.shape) > EMPTY_ROWS + 100 * b.nnz:
            raise ValueError(f"{path}: a sparse {b.shape[0]} x {b.shape[1]} matrix where a vector was expected")
        b = b.toarray()
    if b.ndim not in (1, 2):
        raise ValueError(f"{path}: a vector or columns have one or two axes; this array has shape {b.shape}")
    if b.ndim == 2 and b.shape[1] == 1 and path.suffix != ".npy":
        b = b[:, 0]
    return finite(b, path)


def write_vector(path: str | Path, x: np.ndarray) -> None:
    """Write x as .npy: to a temporary name beside path, then renamed, so path is the old file or the whole new one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.save(file, x, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def pick(path: Path, readers: dict[str, Callable[[Path], Any]]) -> Callable[[Path], Any]:
    """The reader for the name's ending; one that knows the file and turns what breaks inside it into ValueError."""
    ending = ".mtx.gz" if path.name.endswith(".mtx.gz") else path.suffix
    if ending not in readers:
        raise ValueError(f"{path}: the name ends in {ending!r}; a file ending in {', '.join(readers)} was expected")
    path.open("rb").close()  # an absent or forbidden file is an OSError

    def read(path: Path) -> Any:
        try:
            return readers[ending](path)
        except UNREADABLE as error:
            if str(error).startswith(str(path)):
                raise
            line, message = re.fullmatch(r"(?:Line (\d+): )?(.*)", str(error), re.DOTALL).groups()  # type: ignore[union-attr]
            raise ValueError(f"{path}{f':{line}' if line else ''}: {message or type(error).__name__}") from error

    return read


def finite(A: Any, path: Path) -> Any:
    """A, if it holds numbers only."""
    values = A.data if sparse.issparse(A) else A
    if values.dtype.kind not in "iufc":
        raise ValueError(f"{path}: holds {values.dtype} where numbers were expected")
    bad = ~np.isfinite(values)
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        if sparse.issparse(A):
            place = [int(np.searchsorted(A.indptr, place[0], "right")) - 1, int(A.indices[place[0]])]
        raise ValueError(f"{path}: {np.count_nonzero(bad)} values are NaN or infinite, the first at index {place} (from 0)")
    return A


# -- Matrix Market ---------------------------------------------------------------------------------------------------------


def read_market(path: Path) -> sparse.csr_array | np.ndarray:
    """A .mtx or .mtx.gz file: header, sizes, then every line is checked; then SciPy parses it."""
    rows, columns, entries, layout, field, symmetry = io.mminfo(path)
    declared = f"the header declares {rows} x {columns}" + (f" with {entries} entries" if layout == "coordinate" else "")
    if symmetry != "general" and rows != columns:
        raise ValueError(f"{path}: {declared} and {symmetry}, which only a square matrix can be")
    if layout == "coordinate" and max(rows, columns) > entries + EMPTY_ROWS:
        raise ValueError(f"{path}: {declared}: more than {EMPTY_ROWS} rows or columns would be empty")
    lines, last = check_lines(path, field, indices=2 if layout == "coordinate" else 0)
    # Symmetric and skew-symmetric arrays are stored as a triangle; mmread counts exactly.
    least = entries if layout == "coordinate" else rows * columns if symmetry == "general" else rows * (rows - 1) // 2
    if least > lines:
        raise ValueError(f"{path}:{last}: {declared}, the file ends after {lines} of at least {least} lines of values")
    try:
        A = io.mmread(path)
    except ValueError as error:
        where = "" if str(error).startswith("Line") else f" (the file ends at line {last})"
        raise ValueError(f"{error}{where}; {declared}") from error
    if not sparse.issparse(A):
        return A
    if symmetry != "general":
        check_triangle(A.row[:entries], A.col[:entries], A.data[:entries], symmetry, path)
    return sparse.csr_array(A)


def check_lines(path: Path, field: str, indices: int) -> tuple[int, int]:
    """Match every line after the header with what the banner promises; return their number and the last line's."""
    if field not in VALUES:
        raise ValueError(f"{path}:1: the banner's field is {field!r}; expected one of {', '.join(VALUES)}")
    numbers = rb"[ \t]++".join([*[rb"\d++"] * indices, *VALUES[field]])
    pattern = re.compile(rb"(?:[ \t]*+(?:" + numbers + rb")?+[ \t\r]*+\n)*+")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = line = skip_header(file)  # type: ignore[arg-type]
        for chunk in chunks(file):  # type: ignore[arg-type]
            end = pattern.match(chunk).end()  # type: ignore[union-attr]
            if end < len(chunk):
                line += chunk.count(b"\n", 0, end) + 1
                found = chunk[end : end + 80].split(b"\n")[0].strip().decode("ascii", "backslashreplace")
                example = " ".join(["2 1"] * (indices > 0) + ["7" if "integer" in field else "-1.5e3"] * len(VALUES[field]))
                raise ValueError(f"{path}:{line}: not a line of {field} values, such as {example!r}: {found!r}")
            line += chunk.count(b"\n")
    return line - first, line


def skip_header(file: BinaryIO) -> int:
    """Read up to the size line, the first after the banner that is neither comment nor blank; return its number."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"Line {number}: longer than {LONGEST_LINE} bytes")
        if number > 1 and line.strip() and not line.lstrip().startswith(b"%"):
            return number
    raise ValueError("the file ends in its header")


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces that end with a line."""
    while chunk := file.read(CHUNK):
        chunk += file.readline(LONGEST_LINE)
        at_end = not chunk.endswith(b"\n") and not file.peek(1)  # type: ignore[attr-defined]
        yield chunk + b"\n" if at_end else chunk


def check_triangle(row: np.ndarray, column: np.ndarray, values: np.ndarray, symmetry: str, path: Path) -> None:
    """Refuse what a file under a symmetric banner cannot mean; its own entries come first in mmread's coordinates."""
    if (row < column).any() and (row > column).any():
        raise ValueError(f"{path}: the banner says {symmetry}, yet entries of both triangles are listed: they would count twice")
    diagonal = values[row == column]
    wrong = diagonal if symmetry == "skew-symmetric" else diagonal.imag if symmetry == "hermitian" else diagonal[:0]
    if wrong.any():
        kind = "zero" if symmetry == "skew-symmetric" else "real"
        raise ValueError(f"{path}: the banner says {symmetry}, yet the diagonal is not {kind}")


# -- NumPy -----------------------------------------------------------------------------------------------------------------


def read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        check_array(file, os.fstat(file.fileno()).st_size, str(path))
    return np.load(path, allow_pickle=False)


def read_npz(path: Path) -> sparse.csr_array:
    """A sparse matrix of scipy.sparse.save_npz: each member's size, then the matrix's indices, then its form as rows."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = f"{path}, {member.filename}"
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name}: compressed otherwise than scipy.sparse.save_npz does")
            if member.file_size > DEFLATE * (member.compress_size + 1):
                raise ValueError(f"{name}: declares {member.file_size} bytes, which {member.compress_size} bytes cannot hold")
            with archive.open(member) as file:
                check_array(file, member.file_size, name)  # type: ignore[arg-type]
    A = sparse.load_npz(path)
    if hasattr(A, "check_format"):  # csr, csc, bsr; the other formats are checked when they are made
        A.check_format(full_check=True)
    if max(A.shape) > A.nnz + EMPTY_ROWS:
        raise ValueError(f"{path}: {A.shape[0]} x {A.shape[1]} with {A.nnz} entries: over {EMPTY_ROWS} rows or columns are empty")
    A = sparse.csr_array(A)
    A.sum_duplicates()
    return A


def check_array(file: BinaryIO, size: int, name: str) -> None:
    """Compare what the header of a .npy declares with the size of its file."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"{name}: version {version} of .npy, which plain arrays of numbers do not need")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name}: holds Python objects, which are not read")
    declared, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or declared != held:
        raise ValueError(f"{name}: declares shape {shape} of {dtype}, {declared} bytes; the file holds {held}")
