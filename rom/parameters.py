"""The box of parameters: names, bounds, scales; points of it in the forms that users and algorithms want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .homes import on_device

SCALES = ("linear", "log")
ROUNDING = 1e-12  # of the width of the box: how far outside a point may lie


class Parameters:
    """Parameters(name=(low, high), ...) or name=(low, high, "log"): p named parameters and the box in which they lie.

    Points are rows of an array (m, p), columns in the order of the names. "log" is how random and grid points are spread. Raises
    ValueError for an empty box, a bound that is not finite, low >= high, or a logarithmic scale that reaches zero.

    >>> from petrov.rom import Parameters
    >>> P = Parameters(k=(1.0, 6.0), sigma=(0.1, 10.0, "log"))
    >>> P.grid(2)
    array([[ 1. ,  0.1],
           [ 1. , 10. ],
           [ 6. ,  0.1],
           [ 6. , 10. ]])
    >>> P.mapping([2.0, 1.0])
    {'k': 2.0, 'sigma': 1.0}
    """

    __slots__ = ("high", "low", "names", "scales")

    def __init__(self, **boxes: Any):
        if not boxes:
            raise ValueError("Parameters needs at least one name=(low, high)")
        self.names = tuple(boxes)
        self.low, self.high = np.empty(len(boxes)), np.empty(len(boxes))
        scales = []
        for i, (name, box) in enumerate(boxes.items()):
            self.low[i], self.high[i], scale = interval(name, box)
            scales.append(scale)
        self.scales = tuple(scales)
        self.low.flags.writeable = self.high.flags.writeable = False

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        boxes = zip(self.names, self.low, self.high, self.scales, strict=True)
        ends = {"linear": "", "log": ", 'log'"}
        said = (f"{name}=({low:g}, {high:g}{ends[scale]})" for name, low, high, scale in boxes)
        return f"Parameters({', '.join(said)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self.record() == other.record()

    __hash__ = None  # type: ignore[assignment]

    def record(self) -> dict[str, list[Any]]:
        """name -> [low, high, scale], as JSON keeps it; `Parameters(**record)` gives the same box."""
        return {
            name: [float(low), float(high), scale]
            for name, low, high, scale in zip(self.names, self.low, self.high, self.scales, strict=True)
        }

    def points(self, mus: Any, *, extrapolate: bool = False) -> np.ndarray:
        """mus as a float64 array (m, p): rows, one point (p,), one mapping or a list of them, a mapping to arrays.

        Raises ValueError for another shape, a value that is not finite, and, unless `extrapolate`, a point outside the box.
        """
        points = self.rows(mus)
        if points.ndim == 1 and len(points) == len(self) != 1:
            points = points[None]
        elif points.ndim <= 1 and len(self) == 1:
            points = points.reshape(-1, 1)
        if points.ndim != 2 or points.shape[1] != len(self):
            wanted = f"(m, {len(self)}), columns {', '.join(self.names)}"
            raise ValueError(f"parameters must be an array {wanted}; got shape {np.shape(mus)}")
        if not np.isfinite(points).all():
            row = int(np.argwhere(~np.isfinite(points))[0][0])
            raise ValueError(f"parameter point {row} is not finite: {self.said(points[row])}")
        low, high = self.limits
        outside = ((points < low) | (points > high)).any(axis=1)
        if outside.any() and not extrapolate:
            row = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"parameter point {row} lies outside the box: {self.said(points[row])} is not in {self!r}; the model knows "
                "nothing there. Fit it on a larger box, or pass extrapolate=True and take no error for a bound"
            )
        return points

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of what counts as inside the box: rounding beyond it."""
        slack = ROUNDING * (self.high - self.low)
        return self.low - slack, self.high + slack

    def rows(self, mus: Any) -> np.ndarray:
        """mus as an array of rows, before its shape is looked at."""
        if any(on_device(values) for values in (mus.values() if isinstance(mus, Mapping) else [mus])):
            raise TypeError(
                "this is computed on the host, and the parameters are CuPy's: give cupy.asnumpy(mus); predict alone takes "
                "parameters on a device"
            )
        if isinstance(mus, Mapping):
            if set(mus) != set(self.names):
                raise ValueError(f"expected the parameters {', '.join(self.names)}; got {', '.join(map(str, mus))}")
            return np.stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(mus[name], float)) for name in self.names)), axis=1)
        if isinstance(mus, list | tuple) and mus and all(isinstance(mu, Mapping) for mu in mus):
            return np.concatenate([self.rows(mu) for mu in mus])
        return np.array(mus, dtype=np.float64)  # a copy: what is kept must not change with the array of the caller

    def mapping(self, mu: Any) -> dict[str, float]:
        """One point as name -> value."""
        return dict(zip(self.names, (float(value) for value in np.reshape(mu, -1)), strict=True))

    def columns(self, mus: np.ndarray) -> dict[str, np.ndarray]:
        """Points (m, p) as name -> values (m,)."""
        return {name: mus[:, i] for i, name in enumerate(self.names)}

    def said(self, mu: Any) -> str:
        """One point in words."""
        return ", ".join(f"{name} = {value:.6g}" for name, value in self.mapping(mu).items())

    def random(self, count: int, *, seed: int = 36_271) -> np.ndarray:
        """`count` independent points (count, p), uniform on the scale of each parameter."""
        return self.spread(np.random.default_rng(seed).random((positive(count, "count"), len(self))))

    def grid(self, *counts: int) -> np.ndarray:
        """The tensor grid of so many points along each parameter (one number: along all), the last parameter running fastest."""
        numbers = counts * len(self) if len(counts) == 1 else counts
        if len(numbers) != len(self):
            raise ValueError(f"grid needs one number of points or {len(self)}; got {len(counts)}")
        axes = [np.linspace(0.0, 1.0, positive(n, "a grid")) if n > 1 else np.array([0.5]) for n in numbers]
        return self.spread(np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1))

    def linear(self) -> Parameters:
        """The same box with linear scales."""
        ends = zip(self.names, self.low, self.high, strict=True)
        return Parameters(**{name: (low, high) for name, low, high in ends})

    def on_scale(self, points: np.ndarray) -> np.ndarray:
        """Logarithms of the parameters that are logarithmic."""
        return np.where(self.log, np.log(np.where(self.log, points, 1.0)), points)

    def spread(self, unit: np.ndarray) -> np.ndarray:
        """Points of the unit cube (m, p) in the box, on its scales."""
        low, high = self.on_scale(self.low), self.on_scale(self.high)
        points = low + unit * (high - low)
        return np.clip(np.where(self.log, np.exp(np.where(self.log, points, 0.0)), points), self.low, self.high)

    def unit(self, mus: np.ndarray) -> np.ndarray:
        """Points of the box (m, p) in the unit cube, on its scales."""
        low, high = self.on_scale(self.low), self.on_scale(self.high)
        return (self.on_scale(mus) - low) / (high - low)

    @property
    def log(self) -> np.ndarray:
        return np.array([scale == "log" for scale in self.scales])

    @property
    def centre(self) -> np.ndarray:
        """The middle of the box (p,), on the scale of each parameter."""
        return self.spread(np.full((1, len(self)), 0.5))[0]


def spaced(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the points (m, p), evenly over their order, the first and the last among them."""
    return points[np.unique(np.linspace(0, len(points) - 1, min(count, len(points))).round().astype(int))]


def interval(name: str, box: Any) -> tuple[float, float, str]:
    """(low, high, scale) of one parameter."""
    parts = tuple(box) if isinstance(box, list | tuple) else ()
    if len(parts) not in (2, 3):
        raise ValueError(f"{name} must be (low, high) or (low, high, 'log'); got {box!r}")
    low, high, scale = float(parts[0]), float(parts[1]), parts[2] if len(parts) == 3 else "linear"
    if scale not in SCALES:
        raise ValueError(f"the scale of {name} must be one of {', '.join(SCALES)}; got {scale!r}")
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"{name} must have finite bounds low < high; got ({low:g}, {high:g})")
    if scale == "log" and low <= 0:
        raise ValueError(f"{name} is logarithmic, so its bounds must be positive; got ({low:g}, {high:g})")
    return low, high, scale


def positive(count: int, what: str) -> int:
    if int(count) != count or count < 1:
        raise ValueError(f"{what} must have at least 1 point; got {count}")
    return int(count)
