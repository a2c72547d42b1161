"""One multigrid cycle over levels of any kind: V, W, F and K."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

Kind = Literal["V", "W", "F", "K"]

ENOUGH = 0.25  # a K-cycle's first step that leaves less than this part of the residual is its last (Notay and Vassilevski)


def worth_two(k: int, size: int, below: int) -> bool:
    """Whether level k + 1 is small enough beside level k to be visited twice: the first step down is the dear one."""
    return size >= (6.0 if k == 0 else 3.0) * below


def descend(levels: Sequence[Any], works: Sequence[Any], k: int, kind: Kind) -> None:
    """works[k].u ~ A_k^-1 works[k].f by one cycle from u = 0; the vectors of coarser levels are overwritten."""
    level, w = levels[k], works[k]
    if k == len(levels) - 1:
        level.solve(w)
        return
    coarse = works[k + 1]
    level.start(w)
    level.restrict(w, coarse.f)
    twice = k + 2 < len(levels) and worth_two(k, level.size, levels[k + 1].size)
    COARSE[kind if twice else "V"](levels, works, k + 1)
    level.finish(w, coarse.u)


def once(levels: Sequence[Any], works: Sequence[Any], k: int) -> None:
    descend(levels, works, k, "V")


def corrected(levels: Sequence[Any], works: Sequence[Any], k: int, first: Kind, second: Kind) -> None:
    """One cycle for A u = f, then one for the residual it leaves; f is overwritten."""
    level, w = levels[k], works[k]
    descend(levels, works, k, first)
    u = w.u.copy()
    level.residual(w, w.f)
    descend(levels, works, k, second)
    w.u += u


def krylov(levels: Sequence[Any], works: Sequence[Any], k: int) -> None:
    """At most two steps of conjugate gradients with the cycle for a preconditioner; f is overwritten.

    Notay and Vassilevski, Numer. Linear Algebra Appl. 15 (2008), Algorithm 3.2. Not linear in f.
    """
    level, w = levels[k], works[k]
    descend(levels, works, k, "K")
    f, c = w.f.copy(), w.u.copy()
    level.residual(w, w.f)
    v = f - w.f
    energy, along, size = dot(c, v), dot(c, f), dot(f, f)
    if not energy > 0.0:
        return  # f = 0, or A is not positive definite: the cycle's own answer stands
    w.f[...] = f - np.float32(along / energy) * v
    rest = dot(w.f, w.f)
    if rest <= ENOUGH**2 * size:
        w.u[...] = np.float32(along / energy) * c
        return
    r = w.f.copy()
    descend(levels, works, k, "K")
    d = w.u.copy()
    level.residual(w, w.f)
    image = r - w.f  # A d
    cross, own, down = dot(d, v), dot(d, image), dot(d, r)
    left = own - cross**2 / energy
    if not left > 0.0:
        w.u[...] = np.float32(along / energy) * c
        return
    w.u[...] = np.float32(along / energy - cross * down / (energy * left)) * c + np.float32(down / left) * d


def dot(x: np.ndarray, y: np.ndarray) -> float:
    """x^T y in double precision, by einsum: BLAS would wake threads of its own."""
    return float(np.einsum("i,i->", x.ravel(), y.ravel(), dtype=np.float64))


COARSE: dict[str, Callable[[Sequence[Any], Sequence[Any], int], None]] = {
    "V": once,
    "W": lambda levels, works, k: corrected(levels, works, k, "W", "W"),
    "F": lambda levels, works, k: corrected(levels, works, k, "F", "V"),
    "K": krylov,
}
