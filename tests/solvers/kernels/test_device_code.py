"""Device code without a device: every source compiles for every type with NVRTC, and its kernels do what the readable verbs do."""

from __future__ import annotations

import ctypes
import itertools
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import petrov.solvers.kernels.cuda as cuda
from petrov.solvers import Jacobi, arrays, bicgstab, block_cg, cg, flexible_cg, gcrodr, gmres, minres, problems
from petrov.solvers.device import on_gpu
from petrov.solvers.kernels import reference
from petrov.solvers.kernels.cuda import launch, verbs
from petrov.solvers.storage import Diagonal, by_bands, by_slices, canonical, resident

FOLDER = Path(cuda.__file__).parent
VECTORS = ("float32", "float64", "complex64", "complex128")
PAIRS = [(s, v) for s, v in itertools.product(VECTORS, VECTORS) if v.startswith("complex") or not s.startswith("complex")]


def types(**letters):
    return [dict(zip(letters, values, strict=True)) for values in itertools.product(*letters.values())]


WITH_MATRIX = [
    ((f"{form}.cuh", file), {**pair, **index})
    for file in ("products.cu",)
    for form, indices in (("csr", ("uint32", "uint64")), ("sell", ("uint16", "uint32")), ("dia", None))
    for pair in ({"S": s, "V": v} for s, v in PAIRS)
    for index in (types(I=indices, P=("uint32", "uint64")) if indices else [{}])
]
SMOOTHING = [
    ((form, "smoothing.cu"), {**letters, "D": "float32" if v in ("float32", "complex64") else "float64"})
    for (form, _), letters in WITH_MATRIX
    for v in [letters["V"]]
    if letters.get("P", "uint32") == "uint32"
]
SOURCES = [
    *WITH_MATRIX, *SMOOTHING, *((("vectors.cu",), {"D": d, "V": v}) for d, v in PAIRS), *((("levels.cu",), {"V": v}) for v in VECTORS[:2]),
    (("grid.cu",), {"V": "float32"}), *((("rows.cu",), {"D": d, "V": v}) for d, v in PAIRS),
]  # fmt: skip


@pytest.fixture(scope="module")
def nvrtc():
    """The runtime compiler of CUDA, from its wheel: it needs no driver."""
    try:
        files = metadata.files("nvidia-cuda-nvrtc") or []
    except metadata.PackageNotFoundError:
        pytest.skip("nvidia-cuda-nvrtc is not installed; it is in the dev extra where it has a wheel (Linux)")
    return ctypes.CDLL(str(next(file.locate() for file in files if file.name.startswith("libnvrtc.so"))))


def compiled(nvrtc, code, target):
    """(whether it compiles, what the compiler says)."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * (1 + len(launch.OPTIONS)))(f"--gpu-architecture={target}".encode(), *(o.encode() for o in launch.OPTIONS))
    status = nvrtc.nvrtcCompileProgram(program, len(options), options)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, log.value.decode()


def test_every_source_compiles_for_every_type(nvrtc):
    assert {file for files, _ in SOURCES for file in files} == {path.name for path in FOLDER.glob("*.cu*")} - {"prelude.cuh"}
    for files, letters in SOURCES:
        good, log = compiled(nvrtc, launch.source(files, tuple(sorted(letters.items())), launch.THREADS), "compute_80")
        assert good and not log, (files, letters, log)
    assert compiled(nvrtc, launch.source(*[(SOURCES[0][0]), tuple(sorted(SOURCES[0][1].items()))], 256), "sm_90")[0]
    good, log = compiled(nvrtc, launch.source(("vectors.cu",), (("V", "float64"),), 256), "compute_80")  # no D
    assert not good and "D" in log


# -- the verbs --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 threads: on the double each is a fibre, and more blocks show more of how their sums meet."""
    monkeypatch.setattr(launch, "THREADS", 64)


def matrix(form, values, n):
    rng = np.random.default_rng(n)
    if form == "dia":
        A = sp.diags_array([rng.standard_normal(n - abs(k)) for k in (-7, -1, 0, 1, 7)], offsets=[-7, -1, 0, 1, 7]).tocsr()
    elif form == "hermitian dia":
        upper = sp.diags_array([rng.standard_normal(n - k) for k in (1, 7)], offsets=[1, 7]).tocsr()
        upper = upper + 1j * upper[::-1, ::-1].T if values.startswith("complex") else upper
        A = (upper + upper.conj().T + sp.diags_array(rng.standard_normal(n))).tocsr()
    else:
        A = sp.random_array((n, n), density=6 / n, rng=rng, format="csr") + sp.eye_array(n)
    if values.startswith("complex") and form != "hermitian dia":
        A = A + 0.5j * A
    A = canonical(A.tocsr().astype(values))
    if "dia" in form:
        return by_bands(A)
    return by_slices(A, gain=9.0) if form == "sell" else A


@pytest.mark.parametrize("columns", [None, 1, 3])
@pytest.mark.parametrize(("form", "values", "vectors"), [
    ("csr", "float64", "float64"), ("csr", "float32", "float32"), ("csr", "complex128", "complex128"), ("csr", "float64", "complex128"),
    ("csr", "complex64", "complex64"), ("dia", "float64", "float64"), ("dia", "complex128", "complex128"), ("hermitian dia", "float64", "float64"),
    ("hermitian dia", "complex128", "complex128"), ("sell", "float64", "float64"), ("sell", "complex128", "complex128"), ("sell", "float32", "float32"),
])  # fmt: skip
def test_verbs_agree_with_the_reference(device, small_blocks, form, values, vectors, columns):
    n = 331
    A = matrix(form, values, n)
    there, plain = resident(A, device.put), A.tocsr()
    assert there.form == form.split()[-1] and (form != "hermitian dia" or A.hermitian)
    rng, shape = np.random.default_rng(5), (n,) if columns is None else (n, columns)

    def vector():
        x = rng.standard_normal(shape)
        return (x + 1j * rng.standard_normal(shape) if vectors.startswith("complex") else x).astype(vectors)

    p, q, x, r, z = (vector() for _ in range(5))
    host = arrays.Space(np, vectors, "cpu", columns)
    space = on_gpu(arrays.Space(arrays.namespace(device.put(p)), vectors, arrays.device(device.put(p)), columns), None)
    tolerance = 2e-5 if host.real == "float32" else 1e-12
    close = lambda ours, theirs: np.testing.assert_allclose(arrays.to_numpy(ours), theirs, rtol=tolerance, atol=20 * tolerance)  # noqa: E731
    d_p, d_q, d_x, d_r, d_z = map(device.put, (p, q, x, r, z))
    for ours, theirs in zip(verbs.apply_dot(there, d_p, None, space), reference.apply_dot(plain, p, None, host), strict=True):
        close(ours, theirs)
    close(there @ d_p, plain @ p)
    close(verbs.dot(d_p, d_q, space), reference.dot(p, q, host))
    wide = arrays.WIDE[vectors]
    np.testing.assert_allclose(
        device.get(verbs.residual(there, device.put(r.astype(wide)), d_x, space)), r.astype(wide) - plain.astype(wide) @ x.astype(wide), atol=1e-12, rtol=1e-12
    )
    scalars = np.array(0.5), np.array(2.0)
    active = None
    if columns == 3:
        scalars, active = (np.array([0.5, 1.0, -3.0]), np.array([2.0, 0.0, 1.5])), np.array([True, True, False])
    elif columns == 1:
        scalars = np.array([0.5]), np.array([2.0])
    d_scalars, d_active = [device.put(s) for s in scalars], None if active is None else device.put(active)
    d = np.abs(rng.standard_normal(n)).astype(host.real)
    for M, d_M in ((None, None), (Diagonal(d), Diagonal(device.put(d)))):
        want = reference.step(M, *scalars, p, q, x.copy(), r.copy(), z, active, host)
        got = verbs.step(d_M, *d_scalars, d_p, d_q, d_x.copy(), d_r.copy(), d_z, d_active, space)
        for k in (0, 1, 3, 4):  # not z, which combine makes where M is diagonal
            close(got[k], want[k])
        close(verbs.combine(d_M, *d_scalars, got[2], d_p.copy(), space), reference.combine(M, *scalars, want[2], p.copy(), host))
        assert int(space.scratch.ticket.get()[0]) == 0


def test_an_unusable_quotient_and_a_column_at_rest_leave_the_vectors_alone(device, small_blocks):
    p = np.random.default_rng(3).standard_normal((50, 2))
    space = on_gpu(arrays.Space(arrays.namespace(device.put(p)), "float64", arrays.device(device.put(p)), 2), None)
    q = np.where([True, False], np.nan, p)
    x, r, *_ = verbs.step(None, *map(device.put, (np.ones(2), np.array([np.nan, 2.0]), p, q, p.copy(), p.copy(), p)), None, space)
    np.testing.assert_array_equal(x.get()[:, 0], p[:, 0])
    np.testing.assert_array_equal(r.get()[:, 0], p[:, 0])
    assert (x.get()[:, 1] != p[:, 1]).all()
    space.scratch.aim(np.array([0.0, 1e9]))
    given = [device.put(v) for v in (np.ones(2), np.ones(2), p, p / 3)]
    first = verbs.step(None, *given, x, r, r, None, space)[0].get()  # nothing is known yet: both move
    assert (first[:, 1] != p[:, 1]).all()
    again = verbs.step(None, *given, x, r, r, None, space)[0].get()
    assert (again[:, 1] == first[:, 1]).all() and (again[:, 0] != first[:, 0]).all()


# -- the methods ------------------------------------------------------------------------------------------------------------------

READS = {  # numbers that the host reads an iteration: cg looks now and then, the others have small matrices on the host
    cg: 4, block_cg: 4 * 3 * 3, flexible_cg: 6, minres: 6, gmres: 90, bicgstab: 9, gcrodr: 90,
}  # fmt: skip


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("method", READS, ids=lambda m: m.__name__)
def test_methods_take_the_iterations_of_the_cpu(device, small_blocks, method, columns):
    if columns and method not in (cg, block_cg):
        pytest.skip("a column at a time: petrov.solve's matter")
    A = problems.darcy(24, seed=2).A.tocsr()
    b = np.random.default_rng(1).standard_normal(A.shape[0] if columns is None else (A.shape[0], columns))
    there, given = resident(canonical(A), device.put), device.put(b)
    method(there, given, M=Jacobi())  # compiled
    with device.counted() as reads:
        found = method(there, given, M=Jacobi())
    expected = method(A, b, M=Jacobi())
    slack = 6 if method is bicgstab else 2
    assert found.converged and np.abs(np.subtract(found.iterations, expected.iterations)).max() <= slack
    x = device.get(found.x)
    assert (np.linalg.norm(b - A @ x, axis=0) <= 1.01e-8 * np.linalg.norm(b, axis=0)).all()
    assert max(reads) < A.shape[0] and sum(reads) <= READS[method] * (columns or 1) * (np.max(found.iterations) + 16)
