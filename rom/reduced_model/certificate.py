"""One assembly tells the error of one prediction; and a full solve takes over where it is too large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...solvers import arrays
from ..snapshots import System
from ..stability.eigenvalues import confirmed, hermitian_part, smallest_eigenvalue, smallest_singular_value
from .evaluation import EPS, LIKELY, ROUNDING
from .offline import ESTIMATE, NONE, RIGOROUS, Offline, full_solution
from .part import part_of
from .prediction import Prediction, Verification
from .projection import like_rounding


def verify(model: Any, mu: np.ndarray) -> Verification:
    """The certificate at mu (1, p)."""
    offline: Offline = model.fitted
    if offline.factor is None or model.box.assemble is None:
        raise ValueError("verify needs assemble= and the inner product: load(path, assemble=...) of a file saved with basis=True")
    system = model.box(mu[0])
    u = model.answers(mu).fields(0).reshape(system.b.shape)
    residual = residual_norm(offline, system, u)
    alpha, kind, how = constant(offline, system, mu)
    bound = residual / alpha if alpha > 0 else np.full(residual.shape, np.inf if kind != NONE else np.nan)
    single = model.box.vector
    return Verification(
        model.parameters.mapping(mu[0]), float(bound[0]) if single else bound, kind, float(residual[0]) if single else residual,
        alpha, how,
    )  # fmt: skip


def residual_norm(offline: Offline, system: System, u: np.ndarray) -> np.ndarray:
    """||b - A u||_{X'} (k,), floored at what rounding may make of it: of |A| |u| too, with any signs, where entries are known."""
    norm = offline.factor.dual_norm  # type: ignore[union-attr]
    image = np.asarray(system.A @ u)
    floor = ROUNDING * EPS * (norm(system.b) + norm(image))
    if arrays.sparse(system.A) or isinstance(system.A, np.ndarray):
        floor = np.maximum(floor, norm(like_rounding(abs(system.A) @ abs(u))))
    return np.maximum(norm(system.b - image) + floor / LIKELY, floor)


def constant(offline: Offline, system: System, mu: np.ndarray) -> tuple[float, str, str]:
    """(alpha, kind, how) for the true A: what is stated for it, else an eigenvalue confirmed here, else an estimate."""
    stability, X = offline.stability, offline.X
    if stability is not None and stability.for_true_operator:
        return float(stability.values(mu)[0]), RIGOROUS, stability.name
    if not (arrays.sparse(system.A) or isinstance(system.A, np.ndarray)):
        if stability is None:
            return np.nan, NONE, "nothing: A is known by products alone"
        return float(offline.alpha(mu)[0]), ESTIMATE, stability.name
    H = hermitian_part(system.A)
    alpha = confirmed(H, X, smallest_eigenvalue(H, X, offline.factor))
    if alpha > 0:
        return alpha, RIGOROUS, "an eigenvalue, confirmed by a Cholesky factorisation"
    assert offline.factor is not None
    return smallest_singular_value(system.A, X, offline.factor), ESTIMATE, "inverse iteration for the inf-sup constant"


def fall_back(model: Any, found: Prediction, tol: float, fallback: str, relative: bool) -> Prediction:
    """The same prediction with full solutions where the bound is above tol; "enrich": they join the basis as they come."""
    if model.box.assemble is None:
        raise ValueError(f'fallback="{fallback}" needs assemble=: load(path, assemble=...)')
    if fallback == "enrich" and (model.partition is not None or model.parts[0].projection is None):
        raise ValueError('fallback="enrich" needs a model with one basis that was fitted, not loaded; use "full"')
    solved: dict[int, tuple[np.ndarray, np.ndarray, System]] = {}
    rows = list(np.flatnonzero(above(found, tol, relative)))
    while rows:
        row = int(rows.pop(0))
        mu = found.mus[row]
        system, u = full_solution(model, mu, found.fields(row))
        solved[row] = (u, full_bound(model, system, u, mu), system)
        if fallback == "enrich":
            enrich(model, mu, u)
            rows = list(np.array(rows, int)[above(model.answers(found.mus[rows]), tol, relative)])
    if fallback == "enrich" and solved:
        found = model.answers(found.mus)
    return with_full(model, found, solved)


def above(found: Prediction, tol: float, relative: bool) -> np.ndarray:
    """Where the bound of any right-hand side is not at most tol; NaN is."""
    bound = found.relative_bound if relative else found.bound
    return np.asarray(~(bound <= tol).all(axis=tuple(range(1, bound.ndim))))


def enrich(model: Any, mu: np.ndarray, u: np.ndarray) -> None:
    part = model.parts[0]
    if part.projection.append(u):
        model.parts = [part_of(part.projection, part.dual_projection)]
        model.history.selected.append(mu.copy())


def full_bound(model: Any, system: System, u: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """What the residual of a full solution says of its error (k,)."""
    offline: Offline = model.fitted
    if offline.stability is None or offline.factor is None:
        return np.full(u.shape[1], np.nan)
    alpha = float(offline.alpha(mu[None])[0])
    return residual_norm(offline, system, u) / alpha if alpha > 0 else np.full(u.shape[1], np.inf)


def with_full(model: Any, found: Prediction, solved: dict[int, tuple[np.ndarray, np.ndarray, System]]) -> Prediction:
    """A prediction with the rows that were solved put in."""
    if not solved:
        return found
    single, offline = model.box.vector, model.fitted
    bound, norms, full = found.bound.copy(), found.norms.copy(), found.full.copy()
    outputs = None if found.outputs is None else found.outputs.copy()
    output_bound = None if found.output_bound is None else found.output_bound.copy()
    for row, (u, error, system) in solved.items():
        shape = (lambda x: x[..., 0]) if single else (lambda x: x)
        full[row], bound[row] = True, shape(error)
        if offline.factor is not None:
            norms[row] = shape(offline.factor.norm(u))
        if outputs is not None and output_bound is not None and system.L is not None:
            outputs[row] = shape(system.L @ u)
            size = np.full(len(system.L), np.nan) if offline.factor is None else offline.factor.dual_norm(system.L.conj().T)
            output_bound[row] = shape(size[:, None] * error[None, :])

    def field(i: int) -> np.ndarray:
        return (solved[i][0][:, 0] if single else solved[i][0]) if i in solved else found.field_of(i)

    return replace(
        found, bound=bound, norms=norms, full=full, outputs=outputs, output_bound=output_bound, field_of=field
    )  # fmt: skip
