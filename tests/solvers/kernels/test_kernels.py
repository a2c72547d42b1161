"""The compiled verbs against the readable ones, and what they must never do to a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import arrays, cg
from petrov.solvers.kernels import block, cpu, csr, dia, reference, threads
from petrov.solvers.storage import Diagonal, compact

VECTORS = ("float32", "float64", "complex64", "complex128")
ROWS = (1, 3, 700, threads.THREADED_FROM + 17)


def sample(rows: int, values: str, vectors: str, columns: int | None, seed: int = 733):
    """(A, five vectors or blocks, scalars): a random sparse matrix of `values`, vectors of `vectors`."""
    rng = np.random.default_rng(seed + rows)
    A = sp.random_array((rows, rows), density=min(1.0, 6 / rows), rng=rng, format="csr") + sp.eye_array(rows)
    if values.startswith("complex"):
        A = A + 0.5j * sp.random_array((rows, rows), density=min(1.0, 6 / rows), rng=rng, format="csr")
    shape = (rows,) if columns is None else (rows, columns)

    def vector():
        x = rng.standard_normal(shape)
        return (x + 1j * rng.standard_normal(shape) if vectors.startswith("complex") else x).astype(vectors)

    space = arrays.Space(np, vectors, "cpu", columns)
    return compact(A.tocsr().astype(values)), [vector() for _ in range(5)], space


def tolerance(vectors: str) -> float:
    return 2e-4 if vectors in ("float32", "complex64") else 1e-11


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("vectors", VECTORS)
@pytest.mark.parametrize("rows", ROWS)
def test_compiled_verbs_agree_with_the_reference(rows, vectors, columns):
    values = "complex128" if vectors == "complex128" else "float32" if vectors.endswith("32") else "float64"
    A, (p, q, x, r, z), space = sample(rows, values, vectors, columns)
    verbs = cpu if columns is None else block
    close = lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=tolerance(vectors), atol=tolerance(vectors) * 10)  # noqa: E731
    ours, theirs = verbs.apply_dot(A, p, None, space), reference.apply_dot(A, p, None, space)
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other)
    scalars = (0.5, 2.0) if columns is None else (np.array([0.5, 1.0, -3.0]), np.array([2.0, 0.0, 1.5]))
    diagonal = Diagonal(np.abs(q[:, 0] if columns else q).astype(space.real))
    for M in (None, diagonal):
        before = [v.copy() for v in (p, q, x, r, z)]
        want = reference.step(M, *map(np.asarray, scalars), *before, None, space)
        got = verbs.step(M, *scalars, *(v.copy() for v in before), None, space)
        for k in (0, 1, 3, 4):  # not z, which the compiled step leaves to combine where M is diagonal
            close(got[k], want[k])
        want = reference.combine(M, np.asarray(scalars[0]), np.asarray(scalars[1]), want[2], p.copy(), space)
        close(verbs.combine(M, *scalars, got[2], p.copy(), space), want)
    wide = [v.astype(arrays.WIDE[vectors]) for v in (x, r)]
    np.testing.assert_allclose(
        verbs.residual(A, wide[1], x, space), wide[1] - A.tocsr().astype(arrays.WIDE[vectors]) @ wide[0], rtol=1e-12, atol=1e-12
    )


def test_an_unusable_quotient_leaves_the_vectors_alone():
    for vectors, columns in (("float64", None), ("float64", 2)):
        _, (p, q, x, r, z), space = sample(5, "float64", vectors, columns)
        verbs = cpu if columns is None else block
        q[...] = np.nan
        bad = (1.0, np.nan) if columns is None else (np.array([1.0, 1.0]), np.array([np.nan, 0.0]))
        moved = verbs.step(None, *bad, p, q, x.copy(), r.copy(), z, None, space)
        assert (moved[0] == x).all() and (moved[1] == r).all()


def test_serial_and_threaded_twins_have_the_same_bits():
    A, (p, q, _, _, _), _ = sample(50_000, "float64", "float64", None)
    if not hasattr(csr._apply_dot.serial, "signatures"):
        pytest.skip("compiled code is switched off")
    bands = compact(sp.diags_array([np.ones(50_000), p[:-1], p[:-200]], offsets=[0, 1, 200]).tocsr())
    cases = {csr: (A.values, A.indices, A.indptr), dia: dia.places(bands)}
    for kernels, arguments in cases.items():
        serial, threaded = (
            (twin(len(p), *arguments, p, q), q.copy()) for twin in (kernels._apply_dot.serial, kernels._apply_dot.threaded)
        )
        assert serial[0] == threaded[0] and (serial[1] == threaded[1]).all()


class Double:
    """An array that refuses to be read on the host unless `open`: what a device array costs, made visible."""

    open = False

    def __init__(self, value):
        self.value = np.asarray(value)

    dtype = property(lambda self: self.value.dtype)
    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    device = property(lambda self: "device")
    T = property(lambda self: Double(self.value.T))

    def __array_namespace__(self, api_version=None):
        return NAMESPACE

    def read(self, kind):
        if not Double.open:
            raise AssertionError(f"the loop read a device array on the host ({kind})")
        return kind(self.value)

    def __float__(self):
        return self.read(float)

    def __bool__(self):
        return self.read(bool)

    def __array__(self, dtype=None, copy=None):
        return self.read(np.asarray)

    def __iter__(self):
        raise AssertionError("the loop iterated over a device array")

    def __getitem__(self, key):
        raise AssertionError("the loop indexed a device array")


def operate(name):
    def method(self, *others):
        return Double(getattr(self.value, name)(*(getattr(other, "value", other) for other in others)))

    return method


for operation in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "matmul", "and", "neg", "abs", "gt", "ne"):
    setattr(Double, f"__{operation}__", operate(f"__{operation}__"))


class Namespace:
    """The array API over Double; everything it does is NumPy's, wrapped."""

    __name__ = "device_double"

    def __getattr__(self, name):
        attribute = getattr(np, name)
        if isinstance(attribute, type) or not callable(attribute):
            return attribute

        def call(*args, device=None, **keywords):
            return Double(attribute(*(getattr(a, "value", a) for a in args), **keywords))

        return call

    def astype(self, x, dtype):
        return Double(x.value.astype(dtype))


NAMESPACE = Namespace()


@pytest.mark.parametrize("columns", [None, 2])
def test_the_loop_of_cg_reads_the_host_only_when_it_looks(monkeypatch, columns):
    from petrov.solvers import stopping

    opened = ["look", "Run.restart", "report"]

    def opening(function):
        def call(*args, **keywords):
            before, Double.open = Double.open, True
            try:
                return function(*args, **keywords)
            finally:
                Double.open = before

        return call

    for name in opened:
        owner = stopping.Run if "." in name else stopping
        monkeypatch.setattr(owner, name.rpartition(".")[2], opening(getattr(owner, name.rpartition(".")[2])))
    monkeypatch.setattr(
        sys.modules["petrov.solvers.krylov.cg"], "system", opening(sys.modules["petrov.solvers.krylov.cg"].system)
    )
    A = 2 * np.eye(30) - np.eye(30, k=1) - np.eye(30, k=-1)
    b = np.random.default_rng(21).standard_normal((30,) if columns is None else (30, columns))
    for M in (None, Double(np.diag(1 / np.arange(2.0, 32.0)))):
        result = cg(Double(A), Double(b), M=M)
        assert result.converged
        assert np.linalg.norm(b - A @ result.x.value) <= 1e-8 * np.linalg.norm(b)
    Double.open = False
    with pytest.raises(AssertionError, match="read a device array"):
        float(Double(1.0))


SCRIPT = """
    import os, sys, threading
    import numpy as np, scipy.sparse as sp
    from petrov.solvers import cg
    n = 60_000
    A = sp.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    b = np.random.default_rng(8).standard_normal(n)
    want = cg(A, b).x
    import numba
    assert numba.threading_layer() == os.environ["NUMBA_THREADING_LAYER"], numba.threading_layer()
"""
FORK = """
    pid = os.fork()
    if pid == 0:
        os._exit(0 if (cg(A, b).x == want).all() else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (cg(A, b).x == want).all()
    print("same bits")
"""
CONCURRENT = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: cg(A, b).x, range(12)))
    assert all((x == want).all() for x in answers)
    print("same bits")
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("what", [FORK, CONCURRENT], ids=["fork after a parallel solve", "solves in four threads"])
def test_threads_and_forks_on_both_layers(what, layer, tmp_path):
    if os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("compiled code is switched off")
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + textwrap.dedent(what)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "same bits" in done.stdout, done.stderr


def test_thread_count_is_one_documented_variable(monkeypatch):
    monkeypatch.setenv("PETROV_NUM_THREADS", "1")
    assert threads.threads() == 1
    for wrong in ("0", "two", "-1", "1.5"):
        monkeypatch.setenv("PETROV_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="PETROV_NUM_THREADS must be a positive integer"):
            threads.threads()


def test_a_second_thread_inside_a_kernel_takes_the_serial_twin():
    assert threads.ENTRY.lock.acquire(blocking=False)
    try:
        A, (p, _, _, _, _), space = sample(30_000, "float64", "float64", None)
        with ThreadPoolExecutor(1) as pool:
            q, _ = pool.submit(cpu.apply_dot, A, p, None, space).result(timeout=60)
        np.testing.assert_allclose(q, A @ p)
    finally:
        threads.ENTRY.lock.release()
