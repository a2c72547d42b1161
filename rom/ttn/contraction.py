"""Plans with numbers in them: functions from core to core that are a few matrix products each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from . import legs
from .machine import Table, machine, table
from .plans import Plan, Step
from .tensors import namespace

Function = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """The matrices (channels, m', m) of one mode. `identity`: which of them is known to be the identity, or -1."""

    stack: Any
    identity: int = -1

    @property
    def count(self) -> int:
        return int(self.stack.shape[0])

    @property
    def lengths(self) -> tuple[int, int]:
        """(m', m)."""
        return int(self.stack.shape[1]), int(self.stack.shape[2])


@dataclass(frozen=True, slots=True, eq=False)
class Actions:
    """The operators of one leg as functions along the middle axis of (pre, n, post); the first is the identity."""

    functions: tuple[Function, ...]
    n: int
    identity: int = 0
    table: Table | None = None  # the same in flat arrays, if all are arrays

    @property
    def count(self) -> int:
        return len(self.functions)

    @property
    def lengths(self) -> tuple[int, int]:
        return self.n, self.n


Mode = Channels | Actions


def leg_mode(ops: Sequence[Any], n: int, like: Any) -> Mode:
    """The leg operators of a node for cores in the library of `like`."""
    if legs.stackable(ops, n):
        return Channels(legs.stacked(ops, n, like), 0)
    known = table(ops, n, like) if type(like) is np.ndarray else None
    return Actions(tuple(legs.action(op, like) for op in ops), n, table=known)


def contractions(plan: Plan, modes: Sequence[Mode], axes: Sequence[int], shape: Sequence[int], like: Any) -> list[Function]:
    """The functions core -> core of a plan: mode j acts on axis axes[j] (ascending) of a core of that shape.

    They take a core, or several: any leading axes are carried along. The result has the shape (..., with m' for m). For NumPy one
    function is a `Machine`.
    """
    if len(plan.roots) == 1 and (made := machine(plan, modes, axes, shape, like)) is not None:
        return [made]
    xp = namespace(like)
    after = list(shape)
    for mode, axis in zip(modes, axes, strict=True):
        after[axis] = mode.lengths[0]
    build = Builder(plan, modes, axes, [math.prod(after[axis + 1 :]) for axis in axes], xp)
    square = after == list(shape)
    return [
        shaped(build.function(root), tuple(after), xp) if isinstance(root, Step) else multiple(root, square, tuple(after), xp)
        for root in plan.roots
    ]


def multiple(number: float, square: bool, after: tuple[int, ...], xp: Any) -> Function:
    """A number times the core; between different bases there is no identity, and the number is zero."""
    if not square:
        return lambda C: xp.zeros((*C.shape[: C.ndim - len(after)], *after), dtype=C.dtype, device=arrays.device(C))
    return (lambda C: C) if number == 1 else (lambda C: C * number)


def shaped(run: Function, target: tuple[int, ...], xp: Any) -> Function:
    if xp is np:
        return lambda C: run(C).reshape(C.shape[: C.ndim - len(target)] + target)
    return lambda C: xp.reshape(run(C), tuple(C.shape[: C.ndim - len(target)]) + target)


class Builder:
    """Turns steps into functions; holds the combinations of channels of every mode, made by one product a mode."""

    def __init__(self, plan: Plan, modes: Sequence[Mode], axes: Sequence[int], post: list[int], xp: Any) -> None:
        self.plan, self.modes, self.post, self.xp = plan, modes, post, xp
        self.innermost = len(modes) - 1
        self.reshape = np.ndarray.reshape if xp is np else xp.reshape
        self.made: list[Any] = [self.combined(j, mode) for j, mode in enumerate(modes)]

    def combined(self, j: int, mode: Mode) -> Any:
        """The matrices (rows, m', m) of the combinations of a mode that has matrices."""
        if isinstance(mode, Actions) or not self.plan.rows[j]:
            return None
        stack = mode.stack
        rows = self.plan.combinations(j, stack)
        return self.reshape(rows @ self.reshape(stack, (stack.shape[0], -1)), (rows.shape[0], *stack.shape[1:]))

    def function(self, step: Step) -> Function:
        """The function that takes a core in any shape with its entries in order, and returns (pre, m', post)."""
        mode = self.modes[step.mode]
        summands = []
        if step.row >= 0:
            summands.append(self.single(step))
        if step.alone is not None:
            summands.append(self.with_shape(self.function(step.alone), step.mode, mode.lengths[1]))
        if step.parts:
            summands.append(self.listed(step, mode) if isinstance(mode, Actions) else self.stacked(step, mode))
        return added(summands)

    def with_shape(self, run: Function, j: int, m: int) -> Function:
        reshape, shape = self.reshape, (-1, m, self.post[j])
        return lambda C: reshape(run(C), shape)

    def single(self, step: Step) -> Function:
        """The combination of channels of one mode alone."""
        mode, reshape, shape = self.modes[step.mode], self.reshape, (-1, self.modes[step.mode].lengths[1], self.post[step.mode])
        if isinstance(mode, Actions):
            return self.weighted(mode, self.plan.terms(step.mode, step.row), shape)
        M = self.made[step.mode][step.row, ...]
        if shape[2] == 1:  # the last axis: from the right, as one large product
            right = M.T
            return lambda C: reshape(reshape(C, (-1, shape[1])) @ right, (-1, right.shape[1], 1))
        return lambda C: M @ reshape(C, shape)

    def weighted(self, mode: Actions, terms: list[tuple[int, Any]], shape: tuple[int, ...]) -> Function:
        reshape = self.reshape
        parts = [scaled(mode.functions[k], weight) for k, weight in terms]
        total = added(parts)
        return lambda C: total(reshape(C, shape))

    def listed(self, step: Step, mode: Actions) -> Function:
        """Leg operators that are functions: each after its part."""
        runs = [(k, self.with_shape(self.function(part), step.mode, mode.n)) for k, part in step.parts]
        return added([chained(run, mode.functions[k]) for k, run in runs])

    def stacked(self, step: Step, mode: Channels) -> Function:
        """The parts side by side, (pre, parts * m, post), then all channels in one product from the left."""
        xp, reshape, post = self.xp, self.reshape, self.post[step.mode]
        m = mode.lengths[1]
        chosen = mode.stack[step.parts[0][0] : step.parts[0][0] + 1, ...]
        if len(step.parts) > 1:
            chosen = xp.stack([mode.stack[k, ...] for k, _ in step.parts])
        F = reshape(xp.permute_dims(chosen, (1, 0, 2)), (mode.lengths[0], -1))
        if len(step.parts) == 1:
            run = self.with_shape(self.function(step.parts[0][1]), step.mode, m)
            return lambda C: F @ run(C)
        width = (-1, F.shape[1], post)
        batch = self.batch(step)
        if batch is not None:
            r, rights = batch.shape[1], batch
            return lambda C: F @ reshape(reshape(C, (-1, 1, m, r)) @ rights, width)
        runs = [self.with_shape(self.function(part), step.mode, m) for _, part in step.parts]
        return lambda C: F @ reshape(xp.stack([run(C) for run in runs], axis=1), width)

    def batch(self, step: Step) -> Any:
        """The matrices (parts, m, m') of the last mode, from the right, if every part is one of them and it is the next axis."""
        last = self.innermost
        plain = [part for _, part in step.parts if part.mode == last and not part.parts and part.alone is None]
        rows = [part.row for part in plain]
        if step.mode != last - 1 or len(rows) < len(step.parts) or self.post[last] != 1 or self.made[last] is None:
            return None
        if self.post[step.mode] != self.modes[last].lengths[0]:
            return None  # an open axis lies between
        return self.xp.permute_dims(self.made[last][rows[0] : rows[0] + len(rows), ...], (0, 2, 1))


def added(functions: list[Function]) -> Function:
    """Their sum."""
    if len(functions) == 1:
        return functions[0]
    if len(functions) == 2:
        f, g = functions
        return lambda C: f(C) + g(C)
    first, rest = functions[0], added(functions[1:])
    return lambda C: first(C) + rest(C)


def scaled(f: Function, weight: Any) -> Function:
    return f if weight == 1 else (lambda C: weight * f(C))


def chained(f: Function, g: Function) -> Function:
    return lambda C: g(f(C))
