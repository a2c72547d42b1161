"""Multigrid on a grid in torch, for its gradients: the network, the levels it gives, the cycle, and the unrolled iteration.

Fields are (columns, *cells); a level is a torus whose walls are couplings of zero. The arithmetic is that of the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
import torch
from torch import Tensor

from ..families import System
from ..grid_multigrid import GridMultigrid
from ..networks.path_network import PathNetwork, power
from ..plan import Plan
from .objective import Objective, chosen

DENSE = 100  # cells up to which a level is solved by its inverse
TINY = 1e-30
LOSSES = ("unrolled-cg",)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A system on a grid: couplings to the next cell along every axis, excess of the diagonal, and A factored."""

    couplings: list[Tensor]
    excess: Tensor
    solve: Any


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One level: what relaxation needs, the weights of interpolation by axis, and which faces between aggregates are open."""

    faces: list[tuple[int, int, Tensor]]
    inverse: Tensor
    ends: Tensor
    weights: list[Tensor]
    open: list[Tensor]


def objective(recipe: GridMultigrid, plan: Plan, device: str) -> Objective:
    """'unrolled-cg': the iterations that the first steps of cg promise, through the whole cycle."""
    known = {"unrolled-cg": unrolled}
    module = PathNetwork(recipe.weights).to(device)
    loss = partial(chosen(known, plan.loss, recipe.name), recipe, module, plan)
    return Objective(module, partial(prepared, recipe.dim, device), loss)


def prepared(dim: int, device: str, system: System) -> Sample:
    """The fields of a system on equal sides, scaled; ValueError if its cells are none."""
    A = sp.csr_array(system.A)
    n = round(A.shape[0] ** (1 / dim))
    if n**dim != A.shape[0]:
        raise ValueError(f"GridMultigrid trains on n^{dim} cells; {system.name} has {A.shape[0]} unknowns: use family fv{dim}d")
    A = A / A.diagonal().max()
    couplings, excess = [], A.diagonal().copy()
    for axis in range(dim):
        stride, t = n ** (dim - 1 - axis), np.zeros(A.shape[0])
        t[: len(t) - stride] = -A.diagonal(stride)
        excess -= t + np.roll(t, stride)
        couplings.append(torch.from_numpy(t.reshape((1,) + (n,) * dim)).to(device))
    excess[excess < 1e-12 * A.diagonal()] = 0.0
    solve = spla.splu(A.tocsc()).solve
    return Sample(couplings, torch.from_numpy(excess.reshape((1,) + (n,) * dim)).to(device), solve)


# --- neighbours. Axis a of the cells is axis a + 1 of a field; of a pair of cells the even one comes first.


def even(field: Tensor, axis: int) -> Tensor:
    shape = [1] * field.ndim
    shape[axis + 1] = -1
    return (torch.arange(field.shape[axis + 1], device=field.device) % 2 == 0).reshape(shape)


def across(field: Tensor, axis: int) -> Tensor:
    """Of every cell the value of the next one that belongs to another aggregate."""
    return torch.where(even(field, axis), field.roll(1, axis + 1), field.roll(-1, axis + 1))


def within(field: Tensor, axis: int) -> Tensor:
    """Of every cell the value of the next one that belongs to the same aggregate."""
    return torch.where(even(field, axis), field.roll(-1, axis + 1), field.roll(1, axis + 1))


def spread(coarse: Tensor) -> Tensor:
    for axis in range(1, coarse.ndim):
        coarse = coarse.repeat_interleave(2, axis)
    return coarse


def gathered(fine: Tensor) -> Tensor:
    for axis in range(1, fine.ndim):
        fine = fine.unflatten(axis, (-1, 2)).sum(axis + 1)
    return fine


def red(field: Tensor) -> Tensor:
    total = sum(torch.arange(n).reshape([-1 if k == a else 1 for k in range(field.ndim)]) for a, n in enumerate(field.shape) if a)
    return (torch.as_tensor(total) % 2 == 0).to(field)


def faces(couplings: list[Tensor]) -> list[tuple[int, int, Tensor]]:
    """(axis of a field, shift that brings a neighbour here, coupling to it) of the faces of every cell."""
    found = []
    for axis, t in enumerate(couplings, 1):
        found += [(axis, -1, t), (axis, 1, t.roll(1, axis))]
    return found


def neighbours(u: Tensor, faces: list[tuple[int, int, Tensor]], start: Tensor | None = None) -> Tensor:
    """start + the sum over the faces of coupling times neighbour."""
    total = torch.zeros_like(u) if start is None else start
    for axis, shift, t in faces:
        total = torch.addcmul(total, t, u.roll(shift, axis))
    return total


# --- set-up


def levels(
    recipe: GridMultigrid, module: PathNetwork, couplings: list[Tensor], excess: Tensor
) -> tuple[list[Level], Tensor]:  # fmt: skip
    """Every level but the last, and the inverse of the last."""
    found: list[Level] = []
    while excess.numel() > DENSE and not any(n % 2 for n in excess.shape[1:]):
        ends = red(excess)  # the cells with a residual at the end of the sweeps
        ends = 1.0 - ends if recipe.half_sweeps(len(found)) % 2 else ends
        level, couplings, excess = coarsened(module, couplings, excess, ends)
        found.append(level)
    return found, dense_inverse(couplings, excess)


def diagonal(couplings: list[Tensor], excess: Tensor) -> Tensor:
    return excess + sum(t + t.roll(1, axis + 1) for axis, t in enumerate(couplings))


def coarsened(
    module: PathNetwork, couplings: list[Tensor], excess: Tensor, ends: Tensor
) -> tuple[Level, list[Tensor], Tensor]:  # fmt: skip
    """A level, and the couplings and the excess of the next."""
    inverse = 1.0 / diagonal(couplings, excess)
    inner = [torch.where(even(t, a), t, t.roll(1, a + 1)) for a, t in enumerate(couplings)]
    cross = [torch.where(even(t, a), t.roll(1, a + 1), t) for a, t in enumerate(couplings)]
    closed = [(t <= 0).to(t) for t in cross]
    walls = torch.stack(closed).sum(0)
    held = [excess * c / walls.clamp(min=1.0) for c in closed]
    reaction = torch.where(walls > 0, 0.0, excess)
    path = [t + wall for t, wall in zip(cross, held, strict=True)]
    within_all = torch.stack(inner).sum(0)
    bond = within_all * (2.0 / len(inner))
    coarse, coarse_excess, drawn = [], gathered(reaction * power(module.excess[0])), []
    for axis in range(len(couplings)):
        factors = module(features(axis, path, cross, inner))
        there = torch.where(cross[axis] > 0, 1.0 / (across(bond, axis) + TINY), 0.0)
        drawn.append(1.25 * factors[1] / (1.0 / (path[axis] + TINY) + 0.5 * there))
        star = 1.0 / (1.0 / (bond + TINY) + 1.0 / (path[axis] + TINY) + there)
        own = factors[0] * star * (cross[axis] > 0) * ends
        both = own + across(own, axis)  # the path of a face is that of its end among these
        coarse.append(gathered(torch.where(even(both, axis), 0.0, both)))
        coarse_excess = coarse_excess + gathered(torch.where(held[axis] > 0, star * power(module.excess[1]), 0.0))
    total = torch.stack(drawn).sum(0) + within_all + reaction
    level = Level(faces(couplings), inverse, ends, [w / (total + TINY) for w in drawn], [1.0 - c for c in closed])
    return level, coarse, coarse_excess


def features(axis: int, path: list[Tensor], cross: list[Tensor], inner: list[Tensor]) -> list[Tensor]:
    """What the network reads of the path along `axis` that leaves each cell: tanh(log(ratio) / 2) of couplings to the path's.

    Of the cell, and then of the cell across, where there is one: the coupling along the path within the aggregate; those along
    other axes, here and at the far end of the aggregate; that along the path beside; those to other aggregates along other
    axes. Last, the paths beside this one.
    """
    others = [b for b in range(len(path)) if b != axis]

    def beside(field: Tensor) -> Tensor:
        """The mean over the cells of the aggregate's face besides this one."""
        shifted = [within(field, b) for b in others]
        shifted += [within(shifted[0], others[1])] if len(others) > 1 else []
        return torch.stack(shifted).mean(0)

    near = torch.stack([inner[b] for b in others]).mean(0)
    aside = torch.stack([cross[b] for b in others]).mean(0)
    own = [inner[axis], near, within(near, axis), beside(inner[axis]), aside]

    def ratio(t: Tensor) -> Tensor:
        return (t - path[axis]) / (t + path[axis] + TINY)

    there = [torch.where(cross[axis] > 0, ratio(across(t, axis)), 0.0) for t in own]
    return [*map(ratio, own), *there, ratio(beside(cross[axis]))]


def dense_inverse(couplings: list[Tensor], excess: Tensor) -> Tensor:
    n = excess.numel()
    unit = torch.eye(n, dtype=excess.dtype, device=excess.device).reshape(n, *excess.shape[1:])
    rows = diagonal(couplings, excess) * unit - neighbours(unit, faces(couplings))
    return torch.linalg.inv(rows.reshape(n, n))


# --- cycle


def interpolated(level: Level, e: Tensor, cells: Tensor) -> Tensor:
    """P e in these cells: of the own aggregate and, by weights, of the next along every axis; zero beyond a wall."""
    own = total = spread(e)
    for axis, (weight, opened) in enumerate(zip(level.weights, level.open, strict=True)):
        total = total + weight * (opened * across(own, axis) - own)
    return total * cells


def restricted(level: Level, r: Tensor, cells: Tensor) -> Tensor:
    """P^T of the residual in these cells."""
    r = total = r * cells
    for axis, (weight, opened) in enumerate(zip(level.weights, level.open, strict=True)):
        total = total - weight * r + across(weight * opened * r, axis)
    return gathered(total)


def cycle(recipe: GridMultigrid, hierarchy: tuple[list[Level], Tensor], k: int, f: Tensor) -> Tensor:
    """The iterate for A_k u = f after a V-cycle from zero."""
    found, dense = hierarchy
    if k == len(found):
        return (f.reshape(len(f), -1) @ dense).reshape(f.shape)
    level, sweeps = found[k], recipe.half_sweeps(k)
    left = level.ends
    colours = [1.0 - left, left] if sweeps % 2 else [left, 1.0 - left]

    def relaxed(u: Tensor, s: int) -> Tensor:
        return torch.where(colours[s % 2] > 0, level.inverse * neighbours(u, level.faces, f), u)

    u = level.inverse * f * colours[0]
    for s in range(1, sweeps):
        u = relaxed(u, s)
    r = neighbours(u, level.faces, f) - u / level.inverse
    u = u + interpolated(level, cycle(recipe, hierarchy, k + 1, restricted(level, r, left)), left)
    for s in reversed(range(sweeps)):
        u = relaxed(u, s)
    return u


def unrolled(recipe: GridMultigrid, module: PathNetwork, plan: Plan, at: Sample, rng: np.random.Generator) -> Tensor:
    """Mean over the columns of the steps of cg a factor e of the error in the norm of A costs; half of them x, half b, white."""
    shape = (plan.columns, *at.excess.shape[1:])
    white = rng.standard_normal(shape)
    half = plan.columns // 2
    white[:half] = at.solve(white[:half].reshape(half, -1).T).T.reshape(white[:half].shape) if half else 0.0
    hierarchy, whole = levels(recipe, module, at.couplings, at.excess), diagonal(at.couplings, at.excess)
    around = faces(at.couplings)
    axes = tuple(range(1, len(shape)))

    def product(u: Tensor) -> Tensor:
        return whole * u - neighbours(u, around)

    def dot(u: Tensor, v: Tensor) -> Tensor:
        return (u * v).sum(axes, keepdim=True)

    e = torch.from_numpy(white).to(at.excess.device)
    r = product(e)
    start = dot(e, r)
    p = z = cycle(recipe, hierarchy, 0, r)
    rz = dot(r, z)
    for step in range(plan.unrolled):
        q = product(p)
        alpha = rz / dot(p, q)
        e, r = e - alpha * p, r - alpha * q
        if step + 1 < plan.unrolled:
            z = cycle(recipe, hierarchy, 0, r)
            rz, before = dot(r, z), rz
            p = z + (rz / before) * p
    return (2.0 * plan.unrolled / torch.log(start / dot(e, product(e)))).mean()
