"""What the tests of preconditioners on a GPU share: matrices and vectors there, and an application watched from all sides."""

import numpy as np

from petrov.solvers import arrays, compact


def there(A, device):
    """A in its compact form on the device."""
    from cupyx.scipy.sparse import csr_matrix

    return compact(csr_matrix(A))


def vectors(n, columns, dtype):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n,) if columns is None else (n, columns))
    return (x + 1j * rng.standard_normal(x.shape) if dtype.startswith("complex") else x).astype(dtype)


def answers(M, r, device):
    """M r by @, and by `into` twice: with room that is there already, nothing is read and nothing allocated."""
    given = device.put(r := np.ascontiguousarray(r))
    with device.counted() as reads:
        z = M @ given
        by_into = device.cupy.empty_like(given)
        assert M.into(given, by_into) is by_into
    stream, later = device.cupy.cuda.Stream(non_blocking=True), device.cupy.zeros_like(given)
    with stream:
        stream.begin_capture()
        M.into(given, later)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    assert not reads
    z, found = device.get(z), device.get(by_into)
    assert z.dtype == np.result_type(r, arrays.dtype_name(M)) and np.array_equal(device.get(later), found)
    np.testing.assert_allclose(found, z.astype(r.dtype), rtol=1e-15 if z.dtype == r.dtype else 1e-3, atol=1e-15 if z.dtype == r.dtype else 1e-4)
    assert np.array_equal(device.get(given), r)
    return found
