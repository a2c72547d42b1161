"""The triad and the figure."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from petrov.benchmarks import roofline
from petrov.benchmarks.document import OK, WRONG, Row
from petrov.benchmarks.roofline import FAMILY, bandwidth, figure, share, speed


def kernel(rows, traffic, seconds, library="petrov", family="f", status=OK):
    return Row("p", family, "spd", "petrov A @ x", library, status, rows=rows, traffic=traffic, solve_seconds=seconds)


def test_speed_is_traffic_over_time():
    assert speed(kernel(10**6, 28.0, 1e-3)) == pytest.approx(28.0)
    assert speed(kernel(10**6, None, 1e-3)) is None
    assert speed(kernel(10**6, 28.0, 1e-3, status=WRONG)) is None


def test_the_share_is_of_the_triad_at_the_nearest_size():
    roof = [kernel(10**k, 24.0, 10**k * 24.0 / gbs / 1e9, "machine", FAMILY) for k, gbs in ((4, 100.0), (6, 40.0), (6, 50.0))]
    assert share(kernel(9 * 10**5, 24.0, 9e5 * 24.0 / 25e9), roof) == pytest.approx(0.5)
    assert share(kernel(2 * 10**4, 24.0, 2e4 * 24.0 / 25e9), roof) == pytest.approx(0.25)
    assert share(kernel(10**4, 24.0, 1.0), []) is None


@pytest.mark.parametrize("threaded", [False, True])
def test_the_triad_is_checked_and_timed(threaded):
    row = bandwidth("kernels", 40_000, threaded=threaded, repeat=1)
    assert row.status == OK
    assert 0.01 < speed(row) < 1e4
    assert row.reason.endswith("GB/s")


def test_a_wrong_triad_tells_no_bandwidth(monkeypatch):
    monkeypatch.setattr(roofline.triad, "serial", lambda rows, a, b, c, s, length: np.add(b, c, out=a))
    with pytest.raises(ArithmeticError, match="no bandwidth can be told"):
        bandwidth("kernels", 5_000, threaded=False, repeat=1)


def test_the_figure_holds_every_kernel_and_needs_a_triad():
    roof = [kernel(10**k, 24.0, 1e-3, "machine", FAMILY) for k in (4, 6)]
    text = figure([*roof, kernel(10**5, 28.0, 1e-4)])
    ElementTree.fromstring(text)
    assert text != figure(roof)
    assert figure([kernel(10**5, 28.0, 1e-4)]) is None
