"""Matrix files: what is read, and that every defect is a ValueError that names the file and the line."""

from __future__ import annotations

import gzip
import io
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import io as scipy_io
from scipy import sparse

from petrov.solvers.matrix_files import read_matrix, read_vector, write_vector

DATA = Path(__file__).resolve().parent.parent / "data"
BANNER = "%%MatrixMarket matrix coordinate real general\n"
ARRAY = "%%MatrixMarket matrix array real general\n"
GOOD = "2 2 3\n1 1 4.5\n2 1 -1e-1\n2 2 .5E+1\n"
WHOLE = [[4.5, 0], [-0.1, 5]]


def banner(field: str = "real", symmetry: str = "general", layout: str = "coordinate") -> str:
    return f"%%MatrixMarket matrix {layout} {field} {symmetry}\n"


READ = {  # text -> dense
    "plain": (BANNER + GOOD, WHOLE),
    "CRLF": ((BANNER + "% a comment\n" + GOOD).replace("\n", "\r\n"), WHOLE),
    "comments, blanks, tabs, no last end of line": (
        BANNER + "%\n  % more\n\n" + GOOD.replace(" ", "\t").replace("\n", " \n\n").rstrip(), WHOLE,
    ),
    "duplicates are summed": (BANNER + "2 2 3\n1 1 1\n1 1 2\n2 2 4\n", [[3, 0], [0, 4]]),
    "symmetric": (banner(symmetry="symmetric") + "2 2 2\n1 1 1\n2 1 3\n", [[1, 3], [3, 0]]),
    "symmetric, upper triangle": (banner(symmetry="symmetric") + "2 2 2\n1 1 1\n1 2 3\n", [[1, 3], [3, 0]]),
    "skew": (banner(symmetry="skew-symmetric") + "2 2 1\n2 1 3\n", [[0, -3], [3, 0]]),
    "hermitian": (banner("complex", "hermitian") + "2 2 2\n1 1 2 0\n2 1 1 1\n", [[2, 1 - 1j], [1 + 1j, 0]]),
    "pattern": (banner("pattern") + "2 2 1\n2 1\n", [[0, 0], [1, 0]]),
    "integer": (banner("integer") + "1 1 1\n1 1 -7\n", [[-7]]),
    "array": (ARRAY + "2 2\n1\n2\n3\n4\n", [[1, 3], [2, 4]]),
    "symmetric array": (banner(symmetry="symmetric", layout="array") + "2 2\n1\n2\n3\n", [[1, 2], [2, 3]]),
    "no rows": (BANNER + "0 0 0\n", np.zeros((0, 0))),
}  # fmt: skip

REFUSED = {  # text -> what the message says after the name of the file
    "empty": ("", ":1: .*banner"),
    "no banner": (GOOD, ":1: .*banner"),
    "banner alone": (BANNER, ":2: .*EOF"),
    "odd field": (banner("spd") + GOOD, ":1: .*spd"),
    "odd symmetry": (banner(symmetry="positive-definite") + GOOD, ":1: .*positive-definite"),
    "a size is missing": (BANNER + "2 2\n1 1 1\n", ": .*integer"),
    "negative size": (BANNER + "-2 2 1\n1 1 1\n", ":2: .*negative"),
    "size of 31 digits": (BANNER + f"{10**30} 2 1\n1 1 1\n", ": Integer out of range"),
    "truncated at a line": (BANNER + "2 2 3\n1 1 1\n2 2 1\n", ":4: .*2 x 2 with 3 entries.*ends after 2"),
    "truncated, with blank lines": (BANNER + "2 2 3\n1 1 1\n\n2 2 1\n\n", ": .*another 1 lines.*line 6"),
    "truncated in a line": (BANNER + "2 2 2\n1 1 1\n2 2", ":4: .*'2 2'"),
    "truncated array": (ARRAY + "2 2\n1\n2\n3\n", ":5: .*ends after 3 of at least 4"),
    "too many entries": (BANNER + "2 2 1\n1 1 1\n2 2 1\n", ":4: .*[Tt]oo many"),
    "row out of range": (BANNER + "2 2 2\n1 1 1\n3 2 1\n", ":4: Row index.*2 x 2"),
    "column out of range": (BANNER + "2 2 1\n1 3 1\n", ":3: Column index.*2 x 2"),
    "index zero": (BANNER + "2 2 2\n1 1 1\n0 2 1\n", ":4: Row index"),
    "negative index": (BANNER + "2 2 1\n-1 2 1\n", ":3: .*'-1 2 1'"),
    "fractional index": (BANNER + "2 2 1\n1.5 2 1\n", ":3: .*'1.5 2 1'"),
    "NaN": (BANNER + "2 2 2\n1 1 1\n2 2 nan\n", ":4: .*'2 2 nan'"),
    "infinity": (BANNER + "2 2 2\n1 1 -inf\n2 2 1\n", ":3: .*'1 1 -inf'"),
    "overflow": (BANNER + "2 2 2\n1 1 1\n2 1 1e400\n", r": 1 values are NaN or infinite, the first at index \[1, 0\]"),
    "word": (BANNER + "2 2 1\n1 1 one\n", ":3: .*'1 1 one'"),
    "Fortran's D": (BANNER + "1 1 1\n1 1 1.5D+03\n", ":3: .*1.5D"),
    "Fortran's missing E": (BANNER + "1 1 1\n1 1 1.5-103\n", ":3: .*1.5-103"),
    "two points": (BANNER + "1 1 1\n1 1 1.5.3\n", ":3: .*1.5.3"),
    "complex under real": (BANNER + "1 1 1\n1 1 1.5 2\n", ":3: .*'1 1 1.5 2'"),
    "real under complex": (banner("complex") + "1 1 1\n1 1 1.5\n", ":3: .*'1 1 1.5'"),
    "real under integer": (banner("integer") + "1 1 1\n1 1 2.5\n", ":3: .*'1 1 2.5'"),
    "two on a line": (BANNER + "2 2 2\n1 1 1 2 2 1\n", ":3: .*'1 1 1 2 2 1'"),
    "a comment among entries": (BANNER + "2 2 2\n1 1 1\n% two\n2 2 1\n", ":4: .*'% two'"),
    "bytes of no text": (BANNER + "1 1 1\n1 1 1\x00\n", r":3: .*x00"),
    "a billion entries": (BANNER + f"2 2 {10**9}\n1 1 1\n", ":3: .*ends after 1"),
    "a trillion entries": (BANNER + f"2 2 {10**12}\n1 1 1\n", ":3: .*ends after 1"),
    "a trillion rows": (BANNER + f"{10**12} {10**12} 1\n1 1 1\n", ": .*would be empty"),
    "a dense trillion": (ARRAY + f"{10**6} {10**6}\n1\n2\n", f":4: .*at least {10**12}"),
    "a dense symmetric trillion": (banner(layout="array", symmetry="symmetric") + f"{10**6} {10**6}\n1\n", ":3: .*ends after 1"),
    "symmetric, not square": (banner(symmetry="symmetric") + "2 3 1\n1 1 1\n", ": .*2 x 3.*square"),
    "symmetric, both triangles": (banner(symmetry="symmetric") + "2 2 2\n1 2 5\n2 1 5\n", ": .*both triangles"),
    "skew with a diagonal": (banner(symmetry="skew-symmetric") + "2 2 1\n1 1 5\n", ": .*diagonal is not zero"),
    "hermitian with a complex diagonal": (banner("complex", "hermitian") + "1 1 1\n1 1 5 1\n", ": .*diagonal is not real"),
    "an endless first line": ("%%MatrixMarket matrix coordinate real general" + " " * 70_000 + "\n" + GOOD, ":1: longer than"),
}  # fmt: skip


def dense(A: object) -> np.ndarray:
    return A.toarray() if sparse.issparse(A) else A


@pytest.mark.parametrize("packed", [False, True], ids=["mtx", "mtx.gz"])
@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_reads(tmp_path: Path, text: str, expected: object, packed: bool) -> None:
    path = tmp_path / ("A.mtx.gz" if packed else "A.mtx")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    A = read_matrix(path)
    assert isinstance(A, np.ndarray) if "array" in text else isinstance(A, sparse.csr_array) and A.has_canonical_format
    np.testing.assert_array_equal(dense(A), expected)


@pytest.mark.parametrize("packed", [False, True], ids=["mtx", "mtx.gz"])
@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(tmp_path: Path, text: str, message: str, packed: bool) -> None:
    path = tmp_path / ("A.mtx.gz" if packed else "A.mtx")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="^" + re.escape(str(path)) + message):
            read_matrix(path)
        assert tracemalloc.get_traced_memory()[1] < 4e6  # nothing of a declared size was allocated
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["bcsstk13", "young1c", "west0479"])  # symmetric, complex, general
def test_real_files_are_what_scipy_reads(name: str) -> None:
    A = read_matrix(DATA / f"{name}.mtx.gz")
    assert abs(A - sparse.csr_array(scipy_io.mmread(DATA / f"{name}.mtx.gz"))).sum() == 0


def test_lines_across_chunks(tmp_path: Path) -> None:
    """A file of many chunks, symmetric so that the order of mmread's coordinates matters; then with one bad line."""
    rng, n = np.random.default_rng(6101), 60_000
    text = [f"{i} {i - 1} {value!r}\n" for i, value in enumerate(rng.standard_normal(n - 1).tolist(), 2)]
    (tmp_path / "A.mtx").write_text(banner(symmetry="symmetric") + f"{n} {n} {n - 1}\n" + "".join(text))
    A = read_matrix(tmp_path / "A.mtx")
    assert A.nnz == 2 * (n - 1)
    assert abs(A - A.T).sum() == 0
    text[49_999] = "50001 50000 1d0\n"
    (tmp_path / "A.mtx").write_text(banner(symmetry="symmetric") + f"{n} {n} {n - 1}\n" + "".join(text))
    with pytest.raises(ValueError, match=r"A.mtx:50002: .*'50001 50000 1d0'"):
        read_matrix(tmp_path / "A.mtx")


def test_a_cut_gzip_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole, path = gzip.compress((BANNER + GOOD).encode()), tmp_path / "A.mtx.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read_matrix(path)
    for place, said in ((len(whole) - 6, "CRC"), (12, "decompressing")):  # the checksum, the packed bytes
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with pytest.raises(ValueError, match=rf"A\.mtx\.gz: .*{said}"):
            read_matrix(path)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_npz(tmp_path: Path, form: str) -> None:
    path, A = tmp_path / "A.npz", sparse.random_array((30, 20), density=0.2, rng=np.random.default_rng(811))
    sparse.save_npz(path, A.asformat(form))
    B = read_matrix(path)
    assert isinstance(B, sparse.csr_array)
    np.testing.assert_array_equal(B.toarray(), A.toarray())
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read_matrix(path)


def members(**arrays: np.ndarray) -> dict[str, bytes]:
    """save_npz's members of a 2 x 2 csr matrix, some replaced."""
    usual = {
        "format": np.array(b"csr"), "shape": np.array([2, 2]), "data": np.ones(2), "indices": np.array([0, 1]),
        "indptr": np.array([0, 1, 2]),
    }  # fmt: skip
    files = {}
    for name, array in (usual | arrays).items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        files[f"{name}.npy"] = buffer.getvalue()
    return files


def header(shape: str) -> bytes:
    """A .npy that declares a shape and holds two numbers."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\x00" * 16


BAD_NPZ = {
    "index out of range": (members(indices=np.array([0, 7])), "index|indices"),
    "pointers that fall": (members(indptr=np.array([0, 3, 2])), "indptr|pointer"),
    "NaN": (members(data=np.array([1, np.nan])), r"1 values are NaN .* \[1, 1\]"),
    "text": (members(data=np.array(["a", "b"])), "."),
    "a terabyte declared": (members() | {"data.npy": header("(1000000000000,)")}, r"data.npy: declares shape \(10"),
    "empty coo": (
        members(format=np.array(b"coo"), row=np.array([0, 1]), col=np.array([0, 1]), shape=np.array([10**12] * 2)),
        "rows or columns are empty",
    ),
    "no data": ({name: data for name, data in members().items() if name != "data.npy"}, "data"),
    "not a matrix": ({"A.npy": header("(2,)")}, "."),
    "no arrays at all": ({"readme.txt": b"hello"}, "."),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz(tmp_path: Path, content: dict[str, bytes], message: str) -> None:
    path = tmp_path / "A.npz"
    pack(path, content)
    with pytest.raises(ValueError, match=re.escape(str(path)) + f".*(?:{message})"):
        read_matrix(path)


def pack(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_npz_with_duplicates(tmp_path: Path) -> None:
    pack(tmp_path / "A.npz", members(indices=np.array([1, 1]), indptr=np.array([0, 2, 2])))
    A = read_matrix(tmp_path / "A.npz")
    assert A.has_canonical_format
    np.testing.assert_array_equal(A.toarray(), [[0, 2], [0, 0]])


def test_archives_that_lie(tmp_path: Path) -> None:
    """A size that no compression reaches, another compression, a password: each refused before it is unpacked."""
    path, bomb = tmp_path / "A.npz", header(f"({10**8},)")
    pack(path, members() | {"data.npy": bomb})
    true, lie = len(bomb).to_bytes(4, "little"), (len(bomb) - 16 + 8 * 10**8).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, lie))
    with pytest.raises(ValueError, match=r"data\.npy: declares 8000000\d+ bytes, which \d+ bytes cannot hold"):
        read_matrix(path)
    pack(path, members(), zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="compressed otherwise"):
        read_matrix(path)
    pack(path, members())
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"))
    with pytest.raises(ValueError, match=r"A\.npz: .*encrypted"):
        read_matrix(path)


BAD_NPY = {
    "empty": (b"", "."),
    "cut": (header("(2, 1)")[:-1], "holds 15"),
    "longer": (header("(2, 1)") + b"\x00", "holds 17"),
    "a terabyte declared": (header("(1000000, 1000000)"), "8000000000000 bytes; the file holds 16"),
    "an unfinished header": (header("(2"), "."),
    "an unknown version": (header("(2, 1)").replace(b"\x01\x00", b"\x03\x00", 1), r"version \(3, 0\)"),
    "a shape below zero": (header("(-1, -2)"), "declares shape"),
    "a matrix of three axes": (header("(1, 1, 2)"), r"shape \(1, 1, 2\)"),
    "a vector": (header("(2,)"), r"two axes"),
}


@pytest.mark.parametrize(("content", "message"), BAD_NPY.values(), ids=BAD_NPY)
def test_bad_npy(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "A.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path)) + f": .*{message}"):
        read_matrix(path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "A.npy", np.array([[print, 1]], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"A\.npy: holds Python objects"):
        read_matrix(tmp_path / "A.npy")


def test_vectors(tmp_path: Path) -> None:
    b = np.random.default_rng(4127).standard_normal((5, 2))
    for name, array in (("b.npy", b), ("c.npy", b[:, :1]), ("d.npy", b[:, 0])):
        write_vector(tmp_path / name, array)
        np.testing.assert_array_equal(read_vector(tmp_path / name), array)
    scipy_io.mmwrite(tmp_path / "column.mtx", b[:, :1], precision=17)
    np.testing.assert_array_equal(read_vector(tmp_path / "column.mtx"), b[:, 0])
    scipy_io.mmwrite(tmp_path / "sparse.mtx", sparse.coo_array(b), precision=17)
    np.testing.assert_array_equal(read_vector(tmp_path / "sparse.mtx"), b)
    scipy_io.mmwrite(tmp_path / "matrix.mtx", sparse.eye_array(100_000, format="coo"))
    with pytest.raises(ValueError, match="where a vector was expected"):
        read_vector(tmp_path / "matrix.mtx")


def test_names_and_files(tmp_path: Path) -> None:
    (tmp_path / "A.txt").write_text(BANNER + GOOD)
    with pytest.raises(ValueError, match=r"A.txt: .*'.txt'.*\.mtx\.gz"):
        read_matrix(tmp_path / "A.txt")
    with pytest.raises(ValueError, match=r"A.npz: .*'.npz'"):
        read_vector(tmp_path / "A.npz")
    with pytest.raises(FileNotFoundError, match=r"A\.mtx"):
        read_matrix(tmp_path / "A.mtx")


def test_writing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    write_vector(path, np.arange(3.0))

    def full(file: object, *_: object, **__: object) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_vector(path, np.ones(3))
    np.testing.assert_array_equal(read_vector(path), [0, 1, 2])
    assert [found.name for found in tmp_path.iterdir()] == ["x.npy"]
