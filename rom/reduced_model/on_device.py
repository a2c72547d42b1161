"""The online stage on a device: what a fitted model holds, moved there once, and its answers at parameters there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...solvers import arrays
from ..doubts import Doubts
from ..homes import home, on_device
from ..operators.expressions import as_function
from ..operators.weights_on_device import HOST, Evaluate, called, evaluator, points_there
from ..stability.constants_on_device import Constants, constants_at
from .evaluation import Batch
from .offline import NONE, Offline
from .part import Dual, Part
from .prediction import Prediction


def some_on_device(mus: Any) -> bool:
    """Whether parameters, an array or a mapping to arrays, are CuPy's."""
    return any(on_device(values) for values in (mus.values() if isinstance(mus, Mapping) else [mus]))


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """A fitted model on the device `place`, as it was when its part was `source`."""

    place: str
    source: Part
    part: Part
    weights: dict[str, Evaluate]
    alpha: Constants
    offline: Offline

    def batch(self, mus: Any, doubts: Doubts) -> Batch:
        """The weights of all terms, the stability constants and the errors of the operator at points there."""
        weights = {name: evaluate(mus, doubts) for name, evaluate in self.weights.items()}
        alpha = self.alpha(mus, weights["A"], doubts)
        xp: Any = arrays.namespace(mus)
        stability = self.offline.stability
        if stability is not None:
            said = f"{stability.name} gave no finite stability constant for some of {mus.shape[0]} points"
            doubts.add(~xp.all(xp.isfinite(alpha)), lambda: ValueError(said))
        errors = self.errors(mus, doubts)
        if errors is not None and self.offline.error is not None and stability is not None and not stability.for_true_operator:
            alpha = alpha - errors[0, :]
        return Batch(mus, weights["A"], weights["b"], weights.get("L"), alpha, errors, self.offline.split.unit)

    def errors(self, mus: Any, doubts: Doubts) -> Any:
        """(2, m), or None; see `evaluation.batch`."""
        xp, m, error = arrays.namespace(mus), mus.shape[0], self.offline.error
        assert xp is not None
        if error is None and not any(self.offline.measured):
            return None
        given = self.offline.measured if error is None else error(mus)
        if len(given) != 2:
            raise ValueError("error(mus) must return two bounds, of the operator and of b")
        parts = [called(lambda part=part: part, "error(mus)", mus, ((), (m,))) for part in given]  # type: ignore[misc]
        found = xp.stack([xp.broadcast_to(xp.astype(part, xp.float64), (m,)) for part in parts])
        said = "error(mus) must return two bounds, finite and not negative: of the operator and of b"
        doubts.add(~xp.all(xp.isfinite(found) & (found >= 0)), lambda: ValueError(said))
        return found


def moved(model: Any, like: Any) -> OnDevice:
    """The model on the device of `like`: as it was kept there, or made anew if the basis has changed since."""
    kept, place = model.there, home(like)
    if kept is not None and kept.place == place and len(model.parts) == 1 and kept.source is model.parts[0]:
        return kept
    offline: Offline = model.fitted
    if model.partition is not None:
        raise TypeError(f"local bases are chosen on the host, and the parameters are CuPy's: fit with one basis, {HOST}")
    evaluators = {
        name: evaluator(quantity.by.weights, like, name)
        for name in ("A", "b", "L")
        if (quantity := getattr(offline.split, name)) is not None
    }
    functions = [as_function(g, model.parameters.names) for g in getattr(model.operator, "functions", ())]
    alpha = constants_at(offline.stability, offline.stability_recipe, model.parameters, functions, like)
    return OnDevice(place, model.parts[0], part_on(model.parts[0], like), evaluators, alpha, offline)


def part_on(part: Part, like: Any) -> Part:
    """The arrays that answer, on the device of `like`; what grows stays on the host."""
    xp: Any = arrays.namespace(like)
    device = arrays.device(like)

    def put(x: Any) -> Any:
        return None if x is None else xp.asarray(x, device=device)

    own = part.dual
    dual = None if own is None else Dual(own.reduced.on(xp, device), put(own.b), put(own.A))
    return replace(
        part, V=put(part.V), reduced=part.reduced.on(xp, device), dual=dual, projection=None, dual_projection=None
    )  # fmt: skip


def predicted(model: Any, mus: Any, extrapolate: bool) -> Prediction:
    """`ReducedModel.answers` at parameters of CuPy; one read, whether anything was wrong."""
    doubts = Doubts()
    points = points_there(model.parameters, mus, extrapolate, doubts)
    model.there = there = moved(model, points)
    xp: Any = arrays.namespace(points)
    answer = there.part.answer(there.batch(points, doubts))
    doubts.look()
    V, vector, none = there.part.V, model.box.vector, there.offline.kind == NONE

    def first(x: Any) -> Any:
        """Parameters first; without the axis of right-hand sides if b was a vector."""
        return None if x is None else xp.moveaxis(x, -1, 0)[..., 0] if vector else xp.moveaxis(x, -1, 0)

    a, bound, norms, outputs, output_bound = (
        first(x) for x in (answer.a, answer.bound, answer.norms, answer.outputs, answer.output_bound)
    )

    def fields_of(which: Any) -> Any:
        if V is None:
            raise ValueError("the file was saved without the basis: save(path, basis=True) keeps it")
        chosen = a[which, ...] if isinstance(which, int) else xp.take(a, xp.asarray(which, device=arrays.device(a)), axis=0)
        return chosen @ V.T if vector else V @ chosen

    return Prediction(
        points, a, xp.full_like(bound, xp.nan) if none else bound, there.offline.kind, outputs,
        xp.full_like(output_bound, xp.nan) if none and output_bound is not None else output_bound,
        xp.zeros(points.shape[0], dtype=xp.bool), norms, fields_of, fields_of,
    )  # fmt: skip
