"""A transient model as one file without code: arrays, texts, and what functions returned at some points, to know them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files import model_file
from ..files.model_file import ModelFileError, group
from ..operators.expressions import Expression
from ..operators.weights import Thetas
from ..parameters import Parameters
from .functions import Entries, Start, Stated, TimeThetas, as_theta
from .online import Online
from .parabolic_bound import ParabolicBound
from .reduced import Reduced, Sampled, with_differences
from .stencils import Differences
from .time_stepping import SCHEMES

KIND = "transient model"
PROBES = 8
SAME = 1e-10  # relative: how far a function given again may be from the one that was saved
MATRICES = ("M", "A", "b", "V", "dual")


def save(online: Online, path: str | Path) -> None:
    """Write the model: its two sizes, the bound, the functions that are texts, and 8 values of those that are not."""
    given, bound = online.reduced.stated, online.bound
    arrays = {"times": given.times, "probes": given.parameters.random(PROBES, seed=15_485)}
    for name, part in (("model", online.reduced), ("richer", online.richer)):
        arrays |= {f"{name}/{key}": value for key, value in reduced_arrays(part).items()}
    if given.start.constant:
        arrays["u0"] = given.start(given.parameters.centre)
    if online.samples and given.f is not None:
        arrays["sample_mus"], arrays["samples"] = (np.stack(part) for part in zip(*online.samples, strict=True))
    if bound is not None:
        if not given.start.constant and bound.mass is not None:
            raise ValueError(
                "the bound of a model whose u0 depends on mu needs the mass matrix, which a file does not hold: make the model "
                "without stability=, or with a constant u0"
            )
        arrays |= {"bound/R": bound.R, "bound/start": bound.start}
    alpha = None if bound is None else bound.alpha
    answers = answers_of(online.samples, given, alpha, arrays["probes"])
    arrays |= {f"answers/{name.replace(' ', '_')}": values for name, values in answers.items()}
    model_file.write(path, KIND, header_of(given, alpha), arrays)


def header_of(given: Stated, alpha: Thetas | None) -> dict[str, Any]:
    """What is not an array: the box, the method, the texts, and which functions there are."""
    there = {"nonlinear": given.f, "rhs": given.b, "u0": None if given.start.constant else given.start, "stability": alpha}
    return {
        "parameters": given.parameters.record(), "method": given.scheme.name, "tol": given.tol,
        "theta": [text(theta) for theta in given.weights.functions],
        "rhs theta": [text(theta) for theta in given.b_weights.functions],
        "stability": None if alpha is None else text(alpha.functions[0]),
        "has": [name for name, part in there.items() if part is not None],
    }  # fmt: skip


def text(theta: Any) -> str | None:
    """The text of a weight, None if it is a function."""
    return theta.text if isinstance(theta, Expression) else None


def reduced_arrays(part: Reduced) -> dict[str, np.ndarray]:
    """One reduced problem as arrays."""
    found = {name: getattr(part, name) for name in MATRICES}
    found |= {} if part.L is None else {"L": part.L}
    for name, by in (("f", part.f_by), ("rhs", part.b_by)):
        if by is not None:
            found |= {f"{name}/points": by.points, f"{name}/W": by.W}
            found |= {} if by.by is None else {f"{name}/rows": by.by.rows, f"{name}/cols": by.by.cols}
    return found


def answers_of(samples: Any, given: Stated, alpha: Thetas | None, probes: np.ndarray) -> dict[str, np.ndarray]:
    """name -> what each function that is no text returns at the probes, or at the samples."""
    found, t, n = {}, float(given.times[-1]), given.start.n
    for q, theta in enumerate(given.weights.functions):
        if text(theta) is None:
            found[f"theta {q}"] = Thetas((theta,), given.parameters)(probes)
    for p, theta in enumerate(given.b_weights.functions):
        if text(theta) is None:
            found[f"rhs theta {p}"] = TimeThetas((theta,), given.parameters)(probes, t)
    if alpha is not None and text(alpha.functions[0]) is None:
        found["stability"] = alpha(probes)
    if not given.start.constant:
        found["u0"] = np.stack([given.start(mu) for mu in probes])
    some = np.unique(np.linspace(0, n - 1, min(n, 100)).astype(np.intp))
    if given.f is not None:
        found["nonlinear"] = np.stack([given.f.one(u, mu, some) for mu, u in samples])
    if given.b is not None:
        found["rhs"] = np.stack([given.b.one(t, mu, some) for mu in probes])
    return found


def load(path: str | Path, functions: Mapping[str, Any]) -> Online:
    """The model in a file, with functions given again; see `TransientModel.load`."""
    header, arrays = model_file.read(path, KIND)
    try:
        given, alpha = stated_of(path, header, arrays, functions)
        samples = [] if given.f is None else list(zip(arrays["sample_mus"], arrays["samples"], strict=True))
        bound = None if alpha is None else ParabolicBound(arrays["bound/R"], arrays["bound/start"], None, alpha)
        parts = [reduced_of(given, group(arrays, name)) for name in ("model", "richer")]
        probes = arrays["probes"]
    except (KeyError, TypeError, IndexError) as error:
        raise ModelFileError(f"{path} is sound, but not a transient model of this petrov: {error!r}; save it again") from error
    for name, values in answers_of(samples, given, alpha, probes).items():
        compare(name, values, arrays.get(f"answers/{name.replace(' ', '_')}"))
    given = tried(given, samples, probes)
    reduced, richer = (replace(part, stated=given) for part in parts)
    return Online(reduced, richer, bound, samples)


def stated_of(
    path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], functions: Mapping[str, Any]
) -> tuple[Stated, Thetas | None]:
    """(what the reduced problem has in common with the full one, alpha of the bound)."""
    parameters, has = Parameters(**header["parameters"]), header["has"]
    again = Given(path, functions)
    thetas = tuple(again.theta(f"theta {q}", known, parameters) for q, known in enumerate(header["theta"]))
    of_b = tuple(again.theta(f"rhs theta {p}", known, parameters, time=True) for p, known in enumerate(header["rhs theta"]))
    alpha = Thetas((again.theta("stability", header["stability"], parameters),), parameters) if "stability" in has else None
    f, b = (Entries(again.function(name), parameters, name) if name in has else None for name in ("nonlinear", "rhs"))
    start = Start(again.function("u0") if "u0" in has else arrays["u0"], parameters, arrays["model/V"].shape[0])
    again.refuse_others()
    weights, b_weights, scheme = Thetas(thetas, parameters), TimeThetas(of_b, parameters), SCHEMES[header["method"]]
    return Stated(parameters, weights, f, b, b_weights, start, arrays["times"], scheme, float(header["tol"])), alpha


class Given:
    """The functions that the user gives again, and which of them were asked for."""

    def __init__(self, path: str | Path, functions: Mapping[str, Any]) -> None:
        self.path, self.functions = path, functions
        self.used: set[str] = set()

    def function(self, name: str) -> Callable[..., Any]:
        """The function of this name; ValueError if it was not given."""
        if name not in self.functions:
            raise ValueError(f"{self.path}: the function {name!r} is no text: give it again, load(path, {{{name!r}: ...}})")
        self.used.add(name)
        return self.functions[name]

    def theta(self, name: str, known: str | None, parameters: Parameters, time: bool = False) -> Any:
        """The weight whose text is known, or the function of this name."""
        return self.function(name) if known is None else as_theta(known, parameters.names, name, time)

    def refuse_others(self) -> None:
        """ValueError for a function that the model has not."""
        if unknown := sorted({*self.functions} - self.used):
            there = ", ".join(sorted(self.used)) or "none"
            raise ValueError(f"{self.path}: no function {unknown[0]!r} is to be given; there are {there}")


def compare(name: str, values: np.ndarray, saved: np.ndarray | None) -> None:
    """Refuse a function that does not give what it gave when the model was saved."""
    if saved is None:
        raise ModelFileError(f"the file holds no values of {name} to compare with: save the model again")
    if values.shape != saved.shape or not (np.abs(values - saved) <= SAME * np.abs(saved).max(initial=0.0)).all():
        raise ValueError(f"{name} is not the function that the model was made with: its values at the {PROBES} probes differ")


def tried(given: Stated, samples: Any, probes: np.ndarray) -> Stated:
    """With what a trial shows of f and b: whether they answer for many parameters at once."""
    everything, f, b = np.arange(given.start.n), given.f, given.b
    if f is not None:
        mus, states = (np.stack(part) for part in zip(*samples, strict=True))
        f = f.tried(states, mus, everything)
    if b is not None:
        b = b.tried(float(given.times[-1]), probes[:3], everything)
    return replace(given, f=f, b=b)


def reduced_of(given: Stated, arrays: Mapping[str, np.ndarray]) -> Reduced:
    """One reduced problem from `reduced_arrays`."""
    M, A, b, V, dual = (arrays[name] for name in MATRICES)
    f_by, b_by = (sampled_of(group(arrays, name), V) for name in ("f", "rhs"))
    return Reduced(given, M, A, b, f_by, b_by, arrays.get("L"), V, dual)


def sampled_of(arrays: Mapping[str, np.ndarray], V: np.ndarray) -> Sampled | None:
    """The points and what they depend on, None if there are none."""
    if not arrays:
        return None
    points, W = arrays["points"], arrays["W"]
    if "rows" not in arrays:
        return Sampled(points, W)
    from scipy.sparse import csr_array

    where = (arrays["rows"], arrays["cols"])
    pattern = csr_array((np.ones(len(where[0]), bool), where), shape=(len(points), len(V)))
    return with_differences(points, W, Differences.of(pattern), V)
