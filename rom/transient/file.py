"""A transient model as one file without code: arrays, texts, and what functions returned at some points, to know them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files import model_file
from ..operators.expressions import Expression
from ..operators.weights import Thetas
from ..parameters import Parameters
from .functions import Entries, Start, Stated, TimeThetas, stated
from .parabolic_bound import ParabolicBound
from .reduced import Reduced, Sampled, shaped
from .stencils import Differences
from .time_stepping import SCHEMES

KIND = "transient model"
PROBES = 8
SAME = 1e-10  # relative: how far a function given again may be from the one that was saved
MATRICES = ("M", "A", "b", "V", "dual")


def save(model: Any, path: str | Path) -> None:
    """Write the model: its two sizes, the bound, the functions that are texts, and 8 values of those that are not."""
    reduced = model.fitted("save")
    given = reduced.stated
    arrays: dict[str, np.ndarray] = {"times": given.times, "probes": given.parameters.random(PROBES, seed=15_485)}
    for name, part in (("model", reduced), ("richer", model.richer)):
        arrays |= {f"{name}/{key}": getattr(part, key) for key in MATRICES}
        arrays |= {} if part.L is None else {f"{name}/L": part.L}
        for key, by in (("f", part.f_by), ("rhs", part.b_by)):
            arrays |= {} if by is None else {f"{name}/{key}/{item}": value for item, value in sampled_arrays(by).items()}
    if given.start.constant:
        arrays["u0"] = given.start(given.parameters.centre)
    if model.samples and given.f is not None:
        arrays |= {"sample mus": np.stack([mu for mu, _ in model.samples]), "samples": np.stack([u for _, u in model.samples])}
    arrays = {key.replace(" ", "_"): value for key, value in arrays.items()}
    if model.bounded is not None:
        bounded = model.bounded
        if not given.start.constant and bounded.mass is not None:
            raise ValueError(
                "the bound of a model whose u0 depends on mu needs the mass matrix, which a file does not hold: make the model "
                "without stability=, or with a constant u0"
            )
        arrays |= {"bound/R": bounded.R, "bound/start": bounded.start}
    header = {
        "parameters": given.parameters.record(), "method": given.scheme.name, "tol": given.tol,
        "theta": [text(theta) for theta in given.weights.functions],
        "rhs theta": [text(theta) for theta in given.b_weights.functions],
        "stability": None if model.stability is None else text(model.stability.functions[0]),
        "has": [name for name, there in (
            ("nonlinear", given.f is not None), ("rhs", given.b is not None), ("u0", not given.start.constant),
            ("stability", model.bounded is not None)) if there],
    }  # fmt: skip
    for name, values in answers(model.samples, given, model.stability, arrays["probes"]).items():
        arrays[f"answers/{name.replace(' ', '_')}"] = values
    model_file.write(path, KIND, header, arrays)


def text(theta: Any) -> str | None:
    return theta.text if isinstance(theta, Expression) else None


def sampled_arrays(by: Sampled) -> dict[str, np.ndarray]:
    found = {"points": by.points, "W": by.W}
    return found if by.by is None else {**found, "rows": by.by.rows, "cols": by.by.cols}


def answers(samples: Any, given: Stated, stability: Thetas | None, probes: np.ndarray) -> dict[str, np.ndarray]:
    """What each function that is no text returns at the probes."""
    found, t, n = {}, float(given.times[-1]), given.start.n
    for q, theta in enumerate(given.weights.functions):
        if text(theta) is None:
            found[f"theta {q}"] = Thetas((theta,), given.parameters)(probes)
    for p, theta in enumerate(given.b_weights.functions):
        if text(theta) is None:
            found[f"rhs theta {p}"] = TimeThetas((theta,), given.parameters)(probes, t)
    if stability is not None and text(stability.functions[0]) is None:
        found["stability"] = stability(probes)
    if not given.start.constant:
        found["u0"] = np.stack([given.start(mu) for mu in probes])
    some = np.unique(np.linspace(0, n - 1, min(n, 100)).astype(np.intp))
    if given.f is not None:
        found["nonlinear"] = np.stack([given.f.one(u, mu, some) for mu, u in samples])
    if given.b is not None:
        found["rhs"] = np.stack([given.b.one(t, mu, some) for mu in probes])
    return found


def load(cls: Any, path: str | Path, functions: dict[str, Any]) -> Any:
    """The model in a file, with functions given again; ValueError if one is missing, unknown, or is another one."""
    header, arrays = model_file.read(path, KIND)
    parameters = Parameters(**header["parameters"])
    used: set[str] = set()

    def again(name: str, known: str | None, time: bool = False) -> Any:
        if known is not None:
            return stated(known, parameters.names, name, time)
        if name not in functions:
            raise ValueError(f"{path}: the function {name!r} is no text: give it again, load(path, {{{name!r}: ...}})")
        used.add(name)
        return functions[name]

    thetas = tuple(again(f"theta {q}", known) for q, known in enumerate(header["theta"]))
    of_b = tuple(again(f"rhs theta {p}", known, True) for p, known in enumerate(header["rhs theta"]))
    alpha = again("stability", header["stability"]) if "stability" in header["has"] else None
    f, b = (Entries(again(name, None), parameters, name) if name in header["has"] else None for name in ("nonlinear", "rhs"))
    n = arrays["model/V"].shape[0]
    start = Start(again("u0", None) if "u0" in header["has"] else arrays["u0"], parameters, n)
    if unknown := sorted({*functions} - used):
        raise ValueError(f"{path}: no function {unknown[0]!r} is to be given; there are {', '.join(sorted(used)) or 'none'}")
    weights, b_weights, scheme = Thetas(thetas, parameters), TimeThetas(of_b, parameters), SCHEMES[header["method"]]
    given = Stated(parameters, weights, f, b, b_weights, start, arrays["times"], scheme, float(header["tol"]))
    samples = list(zip(arrays["sample_mus"], arrays["samples"], strict=True)) if f is not None else []
    stability = None if alpha is None else Thetas((alpha,), parameters)
    for name, values in answers(samples, given, stability, arrays["probes"]).items():
        compare(name, values, arrays[f"answers/{name.replace(' ', '_')}"])
    return model_of(cls, given, arrays, samples, stability)


def compare(name: str, values: np.ndarray, saved: np.ndarray) -> None:
    if values.shape != saved.shape or not (np.abs(values - saved) <= SAME * np.abs(saved).max(initial=0.0)).all():
        raise ValueError(f"{name} is not the function that the model was made with: its values at the {PROBES} probes differ")


def model_of(cls: Any, given: Stated, arrays: dict[str, Any], samples: Any, stability: Thetas | None) -> Any:
    """The shell around what was read, without the full problem."""
    given = tried(given, samples, arrays["probes"])
    model = cls.__new__(cls)
    model.parameters, model.problem, model.samples, model.spectra = given.parameters, None, samples, {}
    model.reduced, model.richer = (reduced(given, arrays, name) for name in ("model", "richer"))
    model.stability, model.bounded = stability, None
    if stability is not None:
        model.bounded = ParabolicBound(arrays["bound/R"], arrays["bound/start"], None)
    return model


def tried(given: Stated, samples: Any, probes: np.ndarray) -> Stated:
    everything, f, b = np.arange(given.start.n), given.f, given.b
    if f is not None:
        f = f.tried(np.stack([u for _, u in samples]), np.stack([mu for mu, _ in samples]), everything)
    if b is not None:
        b = b.tried(float(given.times[-1]), probes[:3], everything)
    return replace(given, f=f, b=b)


def reduced(given: Stated, arrays: dict[str, Any], name: str) -> Reduced:
    M, A, b, V, dual = (arrays[f"{name}/{key}"] for key in MATRICES)
    f_by, b_by = (sampled(arrays, f"{name}/{key}", V) for key in ("f", "rhs"))
    return Reduced(given, M, A, b, f_by, b_by, arrays.get(f"{name}/L"), V, dual)


def sampled(arrays: dict[str, Any], name: str, V: np.ndarray) -> Sampled | None:
    if f"{name}/points" not in arrays:
        return None
    points, W = arrays[f"{name}/points"], arrays[f"{name}/W"]
    if f"{name}/rows" not in arrays:
        return Sampled(points, W)
    from scipy.sparse import csr_array

    where = (arrays[f"{name}/rows"], arrays[f"{name}/cols"])
    pattern = csr_array((np.ones(len(where[0]), bool), where), shape=(len(points), len(V)))
    return shaped(points, W, Differences.of(pattern), V)
