"""Plans as programs for the compiled contractions: where every matrix and every intermediate result lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers import arrays
from .instructions import DIAGONAL, LEFT, RIGHT, SCALE, SPARSE, ZERO
from .plans import Plan, Step
from .tensors import COMPILED

MOST_LAYOUTS = 64  # of a plan, for cores of different shapes


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Leg operators in flat arrays: per operator (kind, place in `values`, place in `integers`, entries)."""

    rows: tuple[tuple[int, int, int, int], ...]
    values: np.ndarray
    integers: np.ndarray


def table(ops: Sequence[Any], n: int, like: Any) -> Table | None:
    """The table of operators of a leg of length n; None if one of them is no array, or would change the type of `like`."""
    rows, values, integers = [], [np.zeros(0, like.dtype)], [np.zeros(0, np.int64)]
    for op in ops:
        place, index = sum(map(len, values)), sum(map(len, integers))
        if op is None:
            rows.append((SCALE, place, index, 0))
            continue
        if not hasattr(op, "shape") or (op.dtype.kind == "c" and like.dtype.kind != "c"):
            return None
        if arrays.sparse(op):
            csr = op.tocsr()
            values.append(csr.data.astype(like.dtype))
            integers += [csr.indptr.astype(np.int64), csr.indices.astype(np.int64)]
            rows.append((SPARSE, place, index, csr.nnz))
        else:
            values.append(np.ascontiguousarray(op, like.dtype).reshape(-1))
            rows.append((DIAGONAL if op.ndim == 1 else LEFT, place, index, op.size))
    return Table(tuple(rows), np.concatenate(values), np.concatenate(integers))


@dataclass(slots=True, eq=False)
class Layout:
    """A plan for cores of one shape as instructions; see `compiled`. `results` cores of `size` entries lie from `place` on."""

    lengths: list[tuple[int, int]]  # (m', m) of every mode
    shape: tuple[int, ...]
    after: tuple[int, ...]
    axes: Sequence[int]
    sizes: list[int]  # of every mode in the pool
    tables: list[Table | None]
    dtype: Any
    sums: int
    place: int = 0
    work: int = 0
    free: int = 0
    pool: int = 0
    code: Any = field(default_factory=list)
    recipe: Any = field(default_factory=list)
    numbers: Any = field(default_factory=list)
    integers: Any = None
    made: dict[Any, int] = field(default_factory=dict)

    def number(self, value: Any) -> int:
        self.numbers.append(value)
        return len(self.numbers) - 1

    def start(self, mode: int) -> int:
        return sum(self.sizes[:mode])

    def combined(self, mode: int, parts: list[tuple[int, int, Any]]) -> int:
        """The place of sum of weight times the entries at (place, count), made once."""
        if len(parts) == 1 and parts[0][2] == 1:
            return self.start(mode) + parts[0][0]
        key = (mode, *parts)
        if key not in self.made:
            self.made[key] = self.pool
            count = parts[0][1]
            for k, (place, _, weight) in enumerate(parts):
                self.recipe.append((self.pool, self.start(mode) + place, count, self.number(weight), int(k > 0)))
            self.pool += count
        return self.made[key]

    def place_for(self, count: int) -> int:
        """Room for that many intermediate numbers; give it back by lowering `free`."""
        place, self.free = self.free, self.free + count
        self.work = max(self.work, self.free)
        return place

    def bounds(self, mode: int) -> tuple[int, int]:
        """(before, after): the entries of the axes before that of a mode, still to be worked on, and of those behind it."""
        axis = self.axes[mode]
        return math.prod(self.shape[:axis]), math.prod(self.after[axis + 1 :])

    def step(self, plan: Plan, step: Step, source: int, target: int, add: bool) -> None:
        """Instructions: target (before, m', after) (+)= the step of the source."""
        mode, (before, after) = step.mode, self.bounds(step.mode)
        columns = self.lengths[mode][1]
        if step.row >= 0:
            self.single(mode, plan.terms(mode, step.row), source, target, add)
            add = True
        if step.alone is not None:
            self.step(plan, step.alone, source, target, add)
            add = True
        for k, part in step.parts:
            inner = self.place_for(before * columns * after)
            self.step(plan, part, source, inner, False)
            self.single(mode, [(k, 1.0)], inner, target, add)
            self.free, add = inner, True

    def single(self, mode: int, terms: list[tuple[int, Any]], source: int, target: int, add: bool) -> None:
        """Instructions: target (+)= a combination of channels of one mode times the source."""
        (before, after), (rows, columns), known = self.bounds(mode), self.lengths[mode], self.tables[mode]
        if known is None:
            count = rows * columns
            factor = self.combined(mode, [(k * count, count, weight) for k, weight in terms])
            op = RIGHT if after == 1 else LEFT
            self.code.append((op, source, target, factor, before, columns, rows, after, int(add), 0))
            return
        for k, weight in terms:
            kind, place, index, count = known.rows[k]
            factor = self.combined(mode, [(place, count, weight)]) if count else 0
            op, number = (RIGHT if kind == LEFT and after == 1 else kind), 0
            if kind == SPARSE:
                number = sum(len(other.integers) for other in self.tables[:mode] if other is not None) + index
            elif kind == SCALE:
                number = self.number(weight)
            self.code.append((op, source, target, factor, before, columns, rows, after, int(add), number))
            add = True

    def root(self, plan: Plan, root: Step | float, target: int) -> None:
        size = math.prod(self.after)
        if isinstance(root, Step):
            self.step(plan, root, 0, target, False)
        else:  # between different bases there is no identity, and the number is zero
            op, number = (SCALE, self.number(root)) if self.after == self.shape else (ZERO, 0)
            self.code.append((op, 0, target, 0, 1, size if op == SCALE else 0, size, 1, 0, number))

    def finish(self) -> None:
        self.code = np.array(self.code, np.int64).reshape(-1, 10)
        self.recipe = np.array(self.recipe, np.int64).reshape(-1, 5)
        self.numbers = np.array(self.numbers or [0.0]).astype(self.dtype)
        self.integers = np.concatenate([np.zeros(0, np.int64), *(t.integers for t in self.tables if t is not None)])


def layout(plan: Plan, modes: Sequence[Any], axes: Sequence[int], shape: tuple[int, ...], dtype: Any, skipped: int) -> Layout:
    """Of all sums of a plan but the skipped one, one after another."""
    lengths, tables = [mode.lengths for mode in modes], [getattr(mode, "table", None) for mode in modes]
    after = list(shape)
    for (rows, _), axis in zip(lengths, axes, strict=True):
        after[axis] = rows
    sizes = [mode.stack.size if t is None else len(t.values) for mode, t in zip(modes, tables, strict=True)]
    made = Layout(lengths, shape, tuple(after), axes, sizes, tables, dtype, len(plan.roots))
    size = math.prod(after)
    made.pool, made.place = sum(sizes), made.place_for(math.prod(shape)) + math.prod(shape)
    made.place_for(size * len(plan.roots))
    for k, root in enumerate(plan.roots):
        if k != skipped:
            made.root(plan, root, made.place + k * size)
    made.finish()
    return made


def machine(
    plan: Plan, modes: Sequence[Any], axes: Sequence[int], shape: Sequence[int], like: Any, skipped: int = -1
) -> Machine | None:
    """The plan for NumPy cores like `like`; None if a mode has functions in it, or matrices of another type."""
    if type(like) is not np.ndarray or like.dtype.name not in COMPILED or not all(fitting(mode, like.dtype) for mode in modes):
        return None
    if like.dtype.kind != "c" and any(row.dtype.kind == "c" for rows in plan.rows for row in rows):
        return None
    from .compiled import combine

    key = (*axes, like.dtype, skipped, *shape, *(mode.lengths for mode in modes))
    made = plan.layouts.get(key)
    if made is None:
        if len(plan.layouts) >= MOST_LAYOUTS:
            plan.layouts.clear()
        made = plan.layouts[key] = layout(plan, modes, axes, tuple(shape), like.dtype, skipped)
    pool, filled = np.empty(made.pool, made.dtype), sum(made.sizes)
    flat = [mode.stack.reshape(-1) if table is None else table.values for mode, table in zip(modes, made.tables, strict=True)]
    if flat:
        np.concatenate(flat, out=pool[:filled])
    if len(made.recipe):
        combine(made.recipe, made.numbers, pool)
    return Machine(made, pool)


def fitting(mode: Any, dtype: Any) -> bool:
    """Whether a mode is matrices of that type or has a table."""
    return getattr(mode, "table", None) is not None or (hasattr(mode, "stack") and mode.stack.dtype == dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """core -> core by compiled code, of a layout and the matrices in it; any leading axes are carried along."""

    layout: Layout
    pool: np.ndarray

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What all compiled functions begin with; `work` is new."""
        made = self.layout
        return made.code, made.integers, made.numbers, self.pool, np.empty(made.work, made.dtype)

    def fits(self, C: Any) -> bool:
        return type(C) is np.ndarray and C.dtype == self.layout.dtype and C.shape == self.layout.shape

    def __call__(self, C: Any) -> Any:
        from .compiled import apply

        made = self.layout
        if C.dtype.kind == "c" and made.dtype.kind != "c":
            return self(np.ascontiguousarray(C.real)) + 1j * self(np.ascontiguousarray(C.imag))
        size, leading = math.prod(made.after), C.shape[: C.ndim - len(made.shape)]
        start = np.ascontiguousarray(C, made.dtype).reshape(-1, math.prod(made.shape))
        result = np.empty((len(start), size), made.dtype)
        apply(*self.arguments, start, result, made.place)
        return result.reshape(leading + made.after)

    def projected(self, C: Any, bra: Any, axis: int, skipped: int) -> Any:
        """<bra, sum b of C> over all axes but one, for every sum b (b, m', m); the identity for the skipped one."""
        from .compiled import project

        made = self.layout
        before, after = math.prod(made.after[:axis]), math.prod(made.after[axis + 1 :])
        bra = np.ascontiguousarray(bra).reshape(before, -1, after)
        result = np.empty((made.sums, bra.shape[1], made.after[axis]), made.dtype)
        project(*self.arguments, np.ascontiguousarray(C).reshape(-1), bra, made.place, skipped, result)
        return result
