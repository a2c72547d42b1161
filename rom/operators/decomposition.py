"""A black box taken apart: the terms of A(mu), b(mu) and L(mu) with their weights, by whichever recipe was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...solvers import arrays
from ..parameters import Parameters, spaced
from ..ranks import ALONE, Ranks
from ..snapshots import BlackBox, System, kind
from .recipes import (
    EIM,
    EXACT,
    INTERPOLATED,
    MDEIM,
    TRAINED,
    Affine,
    Decomposition,
    Training,
    affine,
    by_entries,
    by_functions,
    by_training,
    constant,
)  # fmt: skip
from .terms import Terms, entries, on_pattern, terms, union

CHECKS = 3  # training parameters at which an exact sum is compared with an assembly
FRESH = 2  # other parameters of the box, which training points on a line or in a corner say nothing about
SAME = 1e-10  # relative to the largest entry of its row: where the comparison must come out
ROUNDING = 16  # units of round-off of what is summed: below that a difference, or a bound, says nothing
EPS = float(np.finfo(np.float64).eps)
MARGIN = 4  # bounds reckon with ROUNDING units, here so many differences that were seen
KINDS = (EXACT, INTERPOLATED, TRAINED)


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """One of A, b, L: its terms (Terms, or an array (P, ...)) and how their weights come about."""

    terms: Any
    by: Decomposition

    def weights(self, mus: np.ndarray) -> np.ndarray:
        """(Q, m), the parameters last."""
        return np.ascontiguousarray(self.by.weights(mus).T)

    def combined(self, mu: np.ndarray) -> Any:
        """The sum at one parameter."""
        weights = self.by.weights(mu[None])[0]
        return self.terms.combined(weights) if isinstance(self.terms, Terms) else np.tensordot(weights, self.terms, axes=1)

    def rounding(self, mu: np.ndarray) -> Any:
        """What rounding may make of the sum: of the entries of its terms; nothing where they are not known."""
        weights = ROUNDING * EPS * np.abs(self.by.weights(mu[None])[0])
        if not isinstance(self.terms, Terms):
            return np.tensordot(weights, np.abs(self.terms), axes=1)
        values = self.terms.values
        return 0.0 if values is None else replace(self.terms, values=np.abs(values)).combined(weights)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A(mu) x = b(mu), s = L(mu) x, taken apart."""

    A: Quantity
    b: Quantity
    L: Quantity | None
    unit: float = EPS  # what sums that are exact differed by from assemblies, relative; rounding, if nothing more

    @property
    def kind(self) -> str:
        """The least certain of the three."""
        parts = [part for part in (self.A, self.b, self.L) if part is not None]
        return max((part.by.kind for part in parts), key=KINDS.index)


@dataclass(slots=True, eq=False)
class Assemblies:
    """Assemblies of a black box, each made once, on one of the ranks where it has entries; progress() is called after each."""

    box: BlackBox
    progress: Callable[[], Any] = lambda: None
    ranks: Ranks = ALONE
    made: dict[bytes, System] = field(default_factory=dict)

    def __call__(self, mus: Iterable[np.ndarray]) -> list[System]:
        mus = list(mus)
        stored = bool(mus) and kind(self.one(mus[0]).A) != kind(None)  # which every rank makes, to compare the others with
        if stored and self.ranks.size > 1:
            missing = list({key: mu for mu in mus if (key := name(mu)) not in self.made}.values())
            for mu, system in zip(missing, self.ranks.mapped(self.box, missing), strict=True):
                self.keep(mu, system)
        return [self.one(mu) for mu in mus]

    def one(self, mu: np.ndarray) -> System:
        if (key := name(mu)) not in self.made:
            self.keep(mu, self.ranks.agreed(lambda: self.box(mu)))
        return self.made[key]

    def keep(self, mu: np.ndarray, system: System) -> None:
        self.made[name(mu)] = system
        self.progress()


def name(mu: np.ndarray) -> bytes:
    return np.asarray(mu, float).tobytes()


def split(
    box: BlackBox, operator: Any, train: np.ndarray, *, seed: int, progress: Callable[[], Any] = lambda: None,
    ranks: Ranks = ALONE,
) -> Split:  # fmt: skip
    """A black box taken apart by a recipe (Affine, EIM, MDEIM, Training or "auto", which is the last), with parameters (m, p).

    Raises TypeError for another recipe, ValueError if stated coefficient functions are not those of the matrix, or if A is known
    by products alone and nothing is known of its coefficients.
    """
    recipe = Training() if isinstance(operator, str) and operator == "auto" else operator
    recipe = Affine(recipe) if isinstance(recipe, list) else recipe
    if not isinstance(recipe, Affine | EIM | MDEIM | Training):
        known = 'Affine, EIM, MDEIM, Training, a list of thetas or "auto"'
        raise TypeError(f"operator must be {known}; got {type(operator).__name__}")
    assembled = Assemblies(box, progress, ranks)
    rng = np.random.default_rng(seed)
    checks = train[rng.choice(len(train), min(CHECKS, len(train)), replace=False)]
    checks = np.concatenate([checks, box.parameters.random(FRESH, seed=seed)])
    few = sampled(recipe, train, checks) if isinstance(recipe, MDEIM | Training) else checks
    assembled(few)
    by_A = split_matrix(recipe, assembled, few, train)
    A = Quantity(recombined(by_A, [system.A for system in assembled(by_A.nodes)]), by_A)
    b = split_vectors("b", recipe, assembled, few, train)
    L = None if assembled.one(few[0]).L is None else split_vectors("L", recipe, assembled, few, train)
    found = Split(A, b, L)
    unit = max(compare_one(found, assembled.one(mu), mu, box.parameters) for mu in checks)
    return replace(found, unit=max(EPS, unit / MARGIN))


def sampled(recipe: MDEIM | Training, train: np.ndarray, checks: np.ndarray) -> np.ndarray:
    """`samples` of the training parameters, evenly over their order, and those of the checks that are none of training."""
    return np.concatenate([spaced(train, recipe.samples), checks[-FRESH:]])


def split_matrix(recipe: Any, assembled: Assemblies, few: np.ndarray, train: np.ndarray) -> Decomposition:
    parameters = assembled.box.parameters
    if isinstance(recipe, Affine):
        return affine(recipe.operator, parameters, train)
    if isinstance(recipe, EIM):
        return by_functions(recipe, recipe.functions, recipe.points, parameters, train)
    systems = assembled(few)
    if not (arrays.sparse(systems[0].A) or isinstance(systems[0].A, np.ndarray)):
        raise ValueError(
            "A is known by products alone, and nothing is known of its coefficients: pass operator=Affine([theta, ...]) or "
            "EIM(functions=[...], points=[...]), whose combinations need products only"
        )
    values, places = entries_of([system.A for system in systems])
    if isinstance(recipe, MDEIM):
        return by_entries(recipe, recipe.entries, places, values, few, parameters)
    return by_training(recipe, reader(assembled.box, "A"), places, values, few, parameters)


def entries_of(matrices: list[Any]) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(values (entries, m) on the union of the patterns, (rows, cols) of the entries)."""
    if isinstance(matrices[0], np.ndarray):
        rows, cols = (index.ravel() for index in np.indices(matrices[0].shape))
        return np.stack([A.ravel() for A in matrices], axis=1), (rows, cols)
    pattern = union(matrices)
    values = np.stack([on_pattern(A, pattern) for A in matrices], axis=1)
    rows = np.repeat(np.arange(matrices[0].shape[0]), np.diff(pattern[1]))
    return values, (rows, pattern[0].astype(np.int64))


def reader(box: BlackBox, name: str) -> Callable[..., np.ndarray]:
    """read(mu, *places) -> some values of A, b or L, by a whole assembly."""

    def read(mu: np.ndarray, *places: np.ndarray) -> np.ndarray:
        value = getattr(box(mu), name)
        return entries(value, *places) if name == "A" else value.ravel()[places[0]]

    return read


def split_vectors(name: str, recipe: Any, assembled: Assemblies, few: np.ndarray, train: np.ndarray) -> Quantity:
    """b or L: as the recipe says; where it says nothing, constant if all assemblies agree bit for bit, else by training."""
    parameters, by = assembled.box.parameters, None
    stated = getattr(recipe, "rhs" if name == "b" else "output", None)
    if stated is not None and isinstance(recipe, Affine):
        by = affine(stated, parameters, train)
    elif stated is not None and isinstance(recipe, EIM):
        functions, points = stated
        by = by_functions(recipe, functions, points, parameters, train)
    if by is None:
        seen = [getattr(system, name) for system in assembled.made.values()]
        if all(np.array_equal(seen[0], x) for x in seen[1:]):
            by = constant(np.frombuffer(next(iter(assembled.made))))
        else:
            by = vectors_by_samples(name, recipe, stated, assembled, few, train)
    values = np.stack([getattr(system, name) for system in assembled(by.nodes)])
    return Quantity(values if by.T is None else np.tensordot(by.T, values, axes=1), by)


def vectors_by_samples(
    name: str, recipe: Any, stated: Any, assembled: Assemblies, few: np.ndarray, train: np.ndarray
) -> Decomposition:  # fmt: skip
    """By entries that the user evaluates, else by training."""
    box = assembled.box
    training = recipe if isinstance(recipe, Training) else Training()
    if not isinstance(recipe, MDEIM | Training):
        few = sampled(training, train, few)
    values = np.stack([getattr(system, name).ravel() for system in assembled(few)], axis=1)
    places = (np.arange(len(values)),)
    if isinstance(recipe, MDEIM) and stated is not None:
        return by_entries(recipe, stated, places, values, few, box.parameters)
    return by_training(training, reader(box, name), places, values, few, box.parameters)


def recombined(by: Decomposition, matrices: list[Any]) -> Terms:
    found = terms(matrices)
    return found if by.T is None else found.recombined(by.T)


def compare_one(found: Split, system: System, mu: np.ndarray, parameters: Parameters) -> float:
    """How much exact sums differ from the system that was assembled at mu; a ValueError if that is more than SAME."""
    largest = 0.0
    for name in ("A", "b", "L"):
        quantity = getattr(found, name)
        if quantity is None or quantity.by.kind != EXACT:
            continue
        rows = scales(system.A) if name == "b" else None
        error = difference(quantity.combined(mu), getattr(system, name), rows)
        if not error <= SAME:  # or it is the rounding of a sum that cancels, which bounds are floored at
            error = difference(quantity.combined(mu), getattr(system, name), rows, quantity.rounding(mu))
        if not error <= SAME:
            raise ValueError(
                f"at {parameters.said(mu)} {name} differs from the sum of its terms by {error:.1e} of its size: it does not "
                f"depend on the parameters in the way stated ({quantity.by.how}). Correct the coefficient functions (what no "
                'parameter changes, such as the rows of fixed unknowns, needs a "1" among them; functions that nearly depend on '
                'each other in the box cannot be told apart), assemble in double precision, or use EIM, MDEIM or "auto"'
            )
        largest = max(largest, error)
    return largest


def difference(found: Any, truth: Any, rows: np.ndarray | None = None, slack: Any = 0.0) -> float:
    """max |found - truth| in a row relative to its largest entry, of the worst row; of b, divided by `rows` first, in a column
    relative to its largest entry. By a product with a fixed vector where entries are not known. slack: what does not count."""
    if not (arrays.sparse(found) or isinstance(found, np.ndarray)):
        x = np.random.default_rng(60_013).standard_normal(truth.shape[1])
        found, truth, slack = np.asarray(found @ x)[None], np.asarray(truth @ x)[None], 0.0
    wrong = abs(found - truth)
    wrong = wrong if np.isscalar(slack) else (wrong - slack).maximum(0) if arrays.sparse(wrong) else np.maximum(wrong - slack, 0)
    if rows is not None:
        wrong, truth = (wrong / rows[:, None]).T, (truth / rows[:, None]).T
    return float((scales(wrong, 0.0) / scales(truth, float(abs(truth).max()) or 1.0)).max())


def scales(A: Any, zero: float = 1.0) -> np.ndarray:
    """The largest modulus in each row (n,); `zero` for an empty row. Ones where the entries are not known."""
    if not (arrays.sparse(A) or isinstance(A, np.ndarray)):
        return np.ones(A.shape[0])
    largest = abs(A).max(axis=1)
    largest = largest.toarray().ravel() if arrays.sparse(largest) else np.asarray(largest).ravel()
    return np.where(largest > 0, largest, zero)
