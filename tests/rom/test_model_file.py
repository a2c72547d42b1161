"""Model files: what is written comes back exactly, and whatever else a file holds is refused before it can do harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import resource
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from petrov.rom.files import archive, model_file
from petrov.rom.files.model_file import ModelFileError, read, write

BASIS = np.random.default_rng(7723).standard_normal((30, 4))
ARRAYS = {"basis": BASIS, "online/terms": np.arange(6).reshape(2, 3) * 1j, "flags": np.array([True, False]), "one": np.array(2.5)}
HEADER = {"tol": 1e-6, "names": ["k", "sigma"], "seed": 12, "product": None}


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "model.rom", "reduced model", HEADER, ARRAYS)
    return tmp_path / "model.rom"


def same(arrays, wanted):
    assert [*arrays] == [*wanted]
    for name, array in arrays.items():
        assert (array.dtype.str, array.shape) == (wanted[name].dtype.str, wanted[name].shape)
        assert array.tobytes() == wanted[name].tobytes()


# -- What comes back -------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
NUMBERS = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)), hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)  # fmt: skip
NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,5}(/[a-z]{1,3})?\Z")
FORMS = [np.ascontiguousarray, np.asfortranarray, lambda a: a[..., ::2] if a.ndim else a, lambda a: a.T]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_everything_comes_back(data):
    header = data.draw(st.dictionaries(TEXTS, JSON, max_size=4))
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    plain = data.draw(st.dictionaries(NAMES, hnp.arrays(NUMBERS, shapes), max_size=4))
    arrays = {name: data.draw(st.sampled_from(FORMS))(array) for name, array in plain.items()}
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/a.rom", "any", header, arrays)
        for mmap in ((), True, [*arrays][:1]):
            found, back = read(f"{folder}/a.rom", "any", mmap=mmap)
            assert repr(found) == repr(header)  # -0.0, order and types too
            same(back, arrays)
        assert os.listdir(folder) == ["a.rom"]


def test_numbers_of_numpy_and_tuples(path):
    write(path, "k", {"n": np.int64(3), "t": (np.float64(0.1), True)}, {"x": np.float32(2)})
    header, arrays = read(path)
    assert header == {"n": 3, "t": [0.1, True]} and type(header["t"][1]) is bool
    assert arrays["x"].dtype == "f4" and arrays["x"].shape == ()


def test_arrays_are_mapped(path, monkeypatch):
    big = np.asfortranarray(np.random.default_rng(5).standard_normal((2000, 1000)))
    for long in (archive.ZIP64, 100):  # the second: the form of members over 2 GiB
        monkeypatch.setattr(archive, "ZIP64", long)
        write(path, "k", {}, {"small": BASIS, "big": big, "x": np.ones(3)})
        tracemalloc.start()
        arrays = read(path, "k", mmap=("big", "x"))[1]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4e6 < big.nbytes
        assert isinstance(arrays["big"], np.memmap) and not isinstance(arrays["small"], np.memmap)
        for name in ("big", "x"):
            assert not arrays[name].flags.writeable and arrays[name].ctypes.data % 64 == 0
        assert arrays["small"].flags.writeable and arrays["big"].flags.f_contiguous
        write(path, "k", {}, {"big": np.zeros(1)})
        np.testing.assert_array_equal(arrays["big"], big)  # what is mapped is still the old file
    assert read(path, mmap="big")[1]["big"].size == 1
    with pytest.raises(ValueError, match="mmap names 'basis'; the file holds big"):
        read(path, mmap=["basis"])


def test_other_programs_read_it(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        np.testing.assert_array_equal(np.load(io.BytesIO(file.read("basis.npy"))), BASIS)
        assert json.loads(file.read("header.json"))["header"] == HEADER
    again = path.with_name("again.rom")
    write(again, "reduced model", HEADER, ARRAYS)
    assert again.read_bytes() == path.read_bytes()


# -- What is not written ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, header, arrays, error, said",
    [
        ("", {}, {}, TypeError, "kind"),
        ("k", [], {}, TypeError, "mapping"),
        ("k", {}, [BASIS], TypeError, "mapping"),
        ("k", {"a": [1.0, {"b": np.nan}]}, {}, ValueError, r"header\['a'\]\[1\]\['b'\] is nan"),
        ("k", {"a": -np.inf}, {}, ValueError, r"header\['a'\] is -inf"),
        ("k", {"a": 2**64}, {}, ValueError, "more than 64 bits"),
        ("k", {"a": 1j}, {}, TypeError, r"header\['a'\] is of type complex"),
        ("k", {"a": BASIS}, {}, TypeError, "type ndarray.*arrays are kept beside"),
        ("k", {"a": {1: 2}}, {}, TypeError, r"header\['a'\] has the key 1"),
        ("k", {"a": print}, {}, TypeError, "builtin"),
        ("k", json.loads('{"a":' * 60 + "1" + "}" * 60), {}, ValueError, "nested deeper than 50"),
        ("k", {"a": "x" * (1 << 22)}, {}, ValueError, "4 MiB"),
        ("k", {}, {"../a": BASIS}, ValueError, r"'\.\./a' cannot name"),
        ("k", {}, {"/a": BASIS}, ValueError, "cannot name"),
        ("k", {}, {"": BASIS}, ValueError, "cannot name"),
        ("k", {}, {"a" * 201: BASIS}, ValueError, "cannot name"),
        ("k", {}, {"é": BASIS}, ValueError, "cannot name"),
        ("k", {}, {3: BASIS}, ValueError, "cannot name"),
        ("k", {}, {"a": np.array([{}])}, TypeError, "dtype object"),
        ("k", {}, {"a": "text"}, TypeError, "dtype <U4"),
        ("k", {}, {"a": np.zeros(2, [("x", "f8")])}, TypeError, "dtype"),
        ("k", {}, {"a": np.zeros(2, np.longdouble)}, TypeError, "dtype float128|longdouble"),
        ("k", {}, {"a": np.zeros(2, "M8[s]")}, TypeError, "dtype datetime64"),
        ("k", {}, {"a": np.ma.masked_array([1, 2], [0, 1])}, TypeError, "masked"),
    ],
)  # fmt: skip
def test_what_is_not_written(kind, header, arrays, error, said, path):
    before = path.read_bytes()
    with pytest.raises(error, match=said):
        write(path, kind, header, arrays)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_permissions_and_links(path, tmp_path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()
    path.chmod(0o640)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.rom"
    link.symlink_to(path)
    write(link, "k", {}, {})
    assert link.is_symlink() and read(path, "k") == ({}, {}) and stat.S_IMODE(path.stat().st_mode) == 0o640
    dangling = tmp_path / "elsewhere" / "dangling.rom"
    dangling.symlink_to("new.rom")
    write(dangling, "k", {}, {})
    assert dangling.is_symlink() and read(tmp_path / "elsewhere" / "new.rom") == ({}, {})
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["dangling.rom", "link.rom", "new.rom"]
    for place, error in {tmp_path: FileExistsError, Path("/dev/null"): FileExistsError, tmp_path / "no" / "a": FileNotFoundError}.items():
        with pytest.raises(error, match=r"is not a f|is there and is not"):
            write(place, "k", {}, {})


def umask():
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be written to by root")
def test_a_file_that_may_not_be_written_to(path):
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="may not be written"):
        write(path, "k", {}, {})


@pytest.mark.parametrize("how", ["full disk", "interrupt"])
def test_a_failure_leaves_the_old_file(how, path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    if how == "interrupt":
        monkeypatch.setattr(os, "fsync", interrupt)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(KeyboardInterrupt if how == "interrupt" else OSError):
            write(path, "k", {}, {"big": np.ones(10**6)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


PROGRAM = """
import itertools, sys
import numpy as np
from petrov.rom.files.model_file import write
for k in itertools.count(1):
    write(sys.argv[1], "k", {"k": k}, {"x": np.full(300_000, float(k))})
    print(k, flush=True)
"""


def test_kill_9_leaves_a_whole_file(path):
    """A writer that never rests is killed at some moment; the file is the last that it finished, or the next."""
    for seconds in (0.0, 0.003, 0.0071):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout.readline() == "1\n"
            time.sleep(seconds)
            os.kill(run.pid, signal.SIGKILL)
            last = int(([1] + run.stdout.read().split())[-1])
        header, arrays = read(path, "k")
        assert header["k"] in (last, last + 1) and (arrays["x"] == header["k"]).all() and arrays["x"].size == 300_000


# -- Hostile files ---------------------------------------------------------------------------------------------------------


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def raw(text, data=b"", version=b"\1\0"):
    """A .npy whose header says what it likes."""
    text = text.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(text)) + text + data


def head(descr="'<f8'", shape="(2,)"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


X = npy(np.arange(2.0))


def front(files, said=(), **fields):
    """header.json for these members; `said` replaces entries of each description, `fields` of the whole."""
    described = {
        name.removesuffix(".npy"): {"dtype": "<f8", "shape": [2], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | dict(said)
        for name, data in files.items()
    }
    return {"schema": 1, "petrov": "0", "kind": "k", "header": {}, "members": described} | fields


def packed(files, *, text=None, compression=zipfile.ZIP_STORED, **options):
    """A zip of these files, {name: bytes} or pairs of them, and of header.json: `text`, or what `front` makes of the options."""
    files = [*files.items()] if isinstance(files, dict) else files
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, data in [*files, ("header.json", text if text is not None else json.dumps(front(dict(files), **options)))]:
            if data is not None:
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.compress_type = compression
                made.writestr(info, data)
    return file.getvalue()


def one(**options):
    return packed({"x.npy": X}, **options)


def described(**said):
    return one(said=said)


def changed(data, at, new, of=None):
    """The bytes with `new` at `at`, counted from the last occurrence of `of` if that is given."""
    at += 0 if of is None else data.rindex(of)
    return data[:at] + new + data[at + len(new) :]


def gap():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("x.npy", X)
        file.write(b"a gap")
        made.start_dir = file.tell()
        made.writestr("header.json", json.dumps(front({"x.npy": X})))
    return file.getvalue()


def doubled():
    with pytest.warns(UserWarning, match="Duplicate"):
        return packed([("x.npy", X), ("x.npy", X)])


MARKER = Path(tempfile.gettempdir()) / f"petrov-payload-ran-{os.getpid()}"


class Payload:
    def __reduce__(self):
        return (open, (str(MARKER), "w"))


def pickled(says="|O"):
    """An .npy of Python objects, which would write a file if it were unpickled."""
    data = raw(head(f"'{says}'", "(1,)"), pickle.dumps(np.array([Payload()], dtype=object)))
    return packed({"x.npy": data}, said={"dtype": says, "shape": [1]})


def claims(descr, dtype, shape="(2,)", said=(2,), data=b"\0" * 16):
    """A member whose .npy says `descr` and `shape`, and its description in header.json `dtype` and `said`."""
    return packed({"x.npy": raw(head(descr, shape), data)}, said={"dtype": dtype, "shape": list(said)})


def without(key):
    return one(text=json.dumps({name: value for name, value in front({"x.npy": X}).items() if name != key}))


def with_header(text):
    return one(text=json.dumps(front({"x.npy": X}, header="HERE")).replace('"HERE"', text))


CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
HUGE = 10**15
HOSTILE = {  # what -> (the file, what the message says)
    "empty": (lambda: b"", "cut off, or not a model file"),
    "text": (lambda: b"import os\n" * 50, "not a model file"),
    "npz": (lambda: packed({"x.npy": X, "header.json": None}, text="")[:-30], "not a model file"),
    "an empty zip": (lambda: b"PK\5\6" + bytes(18), "holds no header.json"),
    "no header.json": (lambda: packed({"x.npy": X}, text="{}").replace(b"header.json", b"header.npy\0"), "called 'header.npy.x00'"),
    "only arrays": (lambda: only(), "holds no header.json"),
    "half of it": (lambda: one()[: len(one()) // 2], "cut off"),
    "something before it": (lambda: b"#!/bin/sh\n" + one(), "start at byte 0|cannot be read|directory"),
    "something after it": (lambda: one() + b"more", "cut off"),
    "a comment": (lambda: changed(one(), 20, b"\4\0", END) + b"more", "cut off"),
    "a comment that is not there": (lambda: changed(one(), 20, b"\4\0", END), "cut off"),
    "a gap": (gap, "does not start at byte"),
    "members in one another": (lambda: changed(one(), 42, bytes(4), CENTRAL), "does not start at byte"),
    "an offset beyond the end": (lambda: changed(one(), 16, b"\xf0\xff\xff\x7f", END), "does not start at byte 0"),
    "a size beyond the end": (lambda: changed(one(), 12, b"\xf0\xff\xff\x7f", END), "directory"),
    "zip64 and nothing else": (lambda: b"PK\6\7" + bytes(16) + b"PK\5\6" + b"\xff" * 16 + b"\0\0", "directory"),
    "traversal": (lambda: packed({"../x.npy": X}), r"called '\.\./x\.npy'"),
    "traversal inside": (lambda: packed({"a/../../x.npy": X}), "called 'a/"),
    "absolute": (lambda: packed({"/etc/x.npy": X}), "called '/etc"),
    "backslash": (lambda: packed({"C:\\x.npy": X}), "called 'C:"),
    "a folder": (lambda: packed({"x/": b""}), "called 'x/'"),
    "a zero in a name": (lambda: one().replace(b"x.npy", b"x\0npy"), "called 'x.x00npy'"),
    "a long name": (lambda: packed({"x" * 300 + ".npy": X}), "called 'xxx"),
    "code": (lambda: packed({"x.npy": X, "setup.py": b"boom"}), "called 'setup.py'"),
    "twice": (doubled, "x.npy occurs twice"),
    "two names for one": (lambda: changed(one(), 30, b"y", LOCAL), "does not start at byte"),
    "encrypted": (lambda: changed(one(), 8, b"\1", CENTRAL), "header.json is encrypted"),
    "with a descriptor": (lambda: changed(one(), 8, b"\x08", CENTRAL), "unknown form"),
    "compressed": (lambda: packed({"x.npy": X}, compression=zipfile.ZIP_DEFLATED), "x.npy is compressed"),
    "a bomb": (lambda: packed({"x.npy": X + bytes(10**7)}, compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "a size that is not there": (lambda: changed(changed(one(), 20, b"\xff\xff\0\0", CENTRAL), 24, b"\xff\xff\0\0", CENTRAL), "directory starts"),
    "missing": (lambda: one(members=front({"x.npy": X, "y.npy": X})["members"]), "y.npy is missing"),
    "extra": (lambda: packed({"x.npy": X, "y.npy": X}, members=front({"x.npy": X})["members"]), "y.npy is not named"),
    "an unexpected name in the header": (lambda: one(members={"../x": {}}), r"\.\./x\.npy is missing"),
    "a pickle": (pickled, "does not describe .* numbers"),
    "a pickle called numbers": (lambda: packed({"x.npy": pickled_npy()}, said={"dtype": "<f8", "shape": [1]}), "plain numbers"),
    "structured": (lambda: claims("[('a', '<f8')]", "<f8"), "plain numbers"),
    "texts": (lambda: claims("'<U2'", "<U2"), "does not describe"),
    "dates": (lambda: claims("'<M8[s]'", "<M8[s]"), "does not describe"),
    "unsized": (lambda: claims("'<f0'", "<f0"), "does not describe"),
    "code in the .npy": (lambda: claims("__import__('os').abort()", "<f8"), "plain numbers"),
    "another dtype": (lambda: claims("'<i8'", "<f8"), r"is <i8 \(2,\), header.json says <f8 \(2,\)"),
    "another byte order": (lambda: claims("'>f8'", "<f8"), "says <f8"),
    "another shape": (lambda: claims("'<f8'", "<f8", "(1, 2)"), r"is <f8 \(1, 2\)"),
    "more than it holds": (lambda: claims("'<f8'", "<f8", "(3,)", (3,)), r"144 bytes, not|\d+ bytes, not those of <f8 \(3,\)"),
    "less than it holds": (lambda: claims("'<f8'", "<f8", "(1,)", (1,)), "bytes, not"),
    "petabytes": (lambda: claims("'<f8'", "<f8", f"({HUGE},)", (HUGE,)), "bytes, not"),
    "more than memory": (lambda: claims("'<f8'", "<f8", f"({HUGE}, {HUGE})", (HUGE, HUGE)), "no memory holds"),
    "nothing of much": (lambda: claims("'<f8'", "<f8", f"(0, {HUGE}, {HUGE})", (0, HUGE, HUGE), b""), "no memory holds"),
    "negative": (lambda: claims("'<f8'", "<f8", "(-2,)", (-2,)), "does not describe"),
    "33 axes": (lambda: claims("'<f8'", "<f8", str((1,) * 33), (1,) * 33, bytes(8)), "does not describe"),
    ".npy version 2": (lambda: packed({"x.npy": raw(head(), bytes(16), b"\2\0")}), "plain numbers"),
    ".npy cut off": (lambda: packed({"x.npy": X[:9]}), "plain numbers"),
    "no .npy": (lambda: packed({"x.npy": changed(X, 0, b"\x92")}), "plain numbers"),
    ".npy header without its end": (lambda: cut(), "plain numbers"),
    ".npy header past its end": (lambda: packed({"x.npy": changed(X, 8, b"\xff\xff")}), "plain numbers"),
    "an empty .npy": (lambda: packed({"x.npy": b""}), "plain numbers"),
    "odd booleans": (lambda: claims("'|b1'", "|b1", data=b"\1\2"), "neither 0 nor 1"),
    "another checksum": (lambda: described(sha256="0" * 64), "checksum of the member x.npy differs"),
    "a checksum that is none": (lambda: described(sha256=[]), "checksum"),
    "another size": (lambda: described(bytes=17), "bytes, not"),
    "a shape of booleans": (lambda: described(shape=[True, True]), "does not describe"),
    "a shape of floats": (lambda: described(shape=[2.0]), "does not describe"),
    "a shape that is none": (lambda: described(shape=2), "does not describe"),
    "a dtype that is none": (lambda: described(dtype=["<f8"]), "does not describe"),
    "more in a description": (lambda: described(url="http://"), "does not describe"),
    "a description that is none": (lambda: one(members={"x": None}), "does not describe"),
    "a changed header": (lambda: one().replace(b'"kind": "k"', b'"kind": "K"'), "checksum of header.json"),
    "no JSON": (lambda: one(text="{"), "not the JSON"),
    "no JSON at all": (lambda: one(text=""), "not the JSON"),
    "no UTF-8": (lambda: one(text=b'{"\xff": 1}'), "not the JSON"),
    "a list": (lambda: one(text="[1]"), "no schema of ours"),
    "a key twice": (lambda: with_header('{"a": 1, "a": 2}'), "a key occurs twice"),
    "NaN": (lambda: with_header('{"a": NaN}'), r"\['a'\] is nan"),
    "infinity": (lambda: with_header('{"a": -Infinity}'), "is -inf"),
    "infinity in digits": (lambda: with_header('{"a": 1e999}'), "is inf"),
    "a long number": (lambda: with_header('{"a": ' + "1" * 10**6 + "}"), "more than 40 characters"),
    "a big number": (lambda: with_header('{"a": ' + "1" * 30 + "}"), "more than 64 bits"),
    "a deep header": (lambda: with_header('{"a": ' + "[" * 60 + "]" * 60 + "}"), "deeper than 50"),
    "a bottomless header": (lambda: one(text="[" * 10**6), "deeper than 50"),
    "a header of 5 MB": (lambda: one(text=" " * 5 * 10**6 + "{}"), "more than 4194304"),
    "no schema": (lambda: without("schema"), "no schema"),
    "schema 0": (lambda: one(schema=0), "no schema"),
    "schema in words": (lambda: one(schema="1"), "no schema"),
    "schema true": (lambda: one(schema=True), "no schema"),
    "a newer schema": (lambda: one(schema=2, petrov="9.1", more=[]), "written by petrov 9.1 in schema 2; .*upgrade petrov"),
    "no kind": (lambda: without("kind"), "holds header, members, petrov, schema"),
    "more than there is": (lambda: one(code="import os"), "holds code"),
    "kind of another type": (lambda: one(kind=1), "wrong type"),
    "header of another type": (lambda: one(header=[]), "wrong type"),
    "members of another type": (lambda: one(members=[]), "wrong type"),
    "another kind": (lambda: one(kind="snapshots"), "a 'snapshots' where a 'k' was expected"),
}  # fmt: skip


def only():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("x.npy", X)
    return file.getvalue()


def cut():
    """A .npy of no numbers whose header says that it is longer than the file."""
    data = raw(head("'<f8'", "(0,)"))
    return packed({"x.npy": changed(data, 8, bytes([data[8] + 5]))}, said={"shape": [0]})


def pickled_npy():
    return raw(head("'|O'", "(1,)"), pickle.dumps(np.array([Payload()], dtype=object)))


def test_the_tools_make_sound_files(tmp_path):
    (tmp_path / "a.rom").write_bytes(one())
    same(read(tmp_path / "a.rom", "k")[1], {"x": np.arange(2.0)})


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files(what, tmp_path):
    made, said = HOSTILE[what]
    path, data = tmp_path / "hostile.rom", made()
    path.write_bytes(data)
    for mmap in ((), True):
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(ModelFileError, match=said) as caught:
            read(path, "k", mmap=mmap)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(caught.value).startswith(str(path)) and len(str(caught.value)) < 900
        assert peak < 3e6 + 5 * min(len(data), 1 << 22) and seconds < 2
    assert os.listdir(tmp_path) == ["hostile.rom"]
    assert not MARKER.exists()


def test_the_payload_would_run():
    """The pickle in the table is one: unpickled, it writes its file."""
    try:
        np.load(io.BytesIO(pickled_npy()), allow_pickle=True)[0].close()
        assert MARKER.exists()
    finally:
        MARKER.unlink(missing_ok=True)


def survives(path):
    """Whether a changed file is refused (False) or gives what the sound one gives."""
    try:
        header, arrays = read(path, "reduced model", mmap=("basis",))
    except ModelFileError:
        return False
    assert header == HEADER
    same(arrays, ARRAYS)
    return True


def test_no_flipped_byte_gives_other_numbers(path):
    data, survivors = path.read_bytes(), 0
    masks = np.random.default_rng(3391).integers(1, 256, len(data))
    with path.open("r+b", buffering=0) as file:
        for at, mask in enumerate(masks):
            os.pwrite(file.fileno(), bytes([data[at] ^ mask]), at)
            survivors += survives(path)
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert survives(path) and 0 < survivors < len(data) / 4  # dates and such


def test_no_shortened_file_is_read(path):
    data = path.read_bytes()
    for size in reversed(range(len(data))):
        os.truncate(path, size)
        assert not survives(path)
    for size in range(1, len(data), 40):
        path.write_bytes(data[size:])
        assert not survives(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.rom")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    assert issubclass(ModelFileError, ValueError) and model_file.SCHEMA == 1
