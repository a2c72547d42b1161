"""The cache of compiled kernels on disk, filled by several processes at once."""

import re
from pathlib import Path

import numba
import pytest

from petrov.solvers.kernels.compiler import njit


def plus_one(x):
    return x + 1


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The cache files of one function as two processes have them, neither of which has seen the other's index."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def make(jit):
        one, other = (jit(cache=True)(plus_one)._cache._cache_file for _ in range(2))
        for file in (one, other):
            Path(file._cache_path).mkdir(parents=True, exist_ok=True)
        return one, other

    return make


def interleaved(one, other, monkeypatch):
    """What is loaded for the second's signature when the first writes its code last."""
    write = one._save_data

    def late(name, data):
        with monkeypatch.context() as stale:
            stale.setattr(other, "_load_index", dict)  # it looked before the first had written
            other.save("float", "code for floats")
        write(name, data)

    monkeypatch.setattr(one, "_save_data", late)
    one.save("int", "code for integers")
    return other.load("float")


def test_signatures_are_never_mixed_up(files, monkeypatch):
    assert interleaved(*files(numba.njit), monkeypatch) == "code for integers"  # numba alone
    assert interleaved(*files(njit), monkeypatch) == "code for floats"


def test_what_is_saved_is_loaded(files):
    one, other = files(njit)
    for key in ("int", "float", "int"):
        one.save(key, f"code for {key}")
    assert [other.load(key) for key in ("int", "float", "complex")] == ["code for int", "code for float", None]


def test_kernels_are_compiled_by_it(tmp_path):
    assert njit(cache=True)(plus_one)(1.5) == 2.5
    root = Path(__file__).resolve().parents[3]
    sources = [path for part in ("solvers", "rom", "learned") for path in (root / part).rglob("*.py") if path.stem != "compiler"]
    assert len(sources) > 100
    assert [path for path in sources if re.search(r"numba\.njit|from numba import .*njit", path.read_text(encoding="utf-8"))] == []
