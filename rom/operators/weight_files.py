"""The weights of a decomposition as JSON and arrays, and back, with the functions of the user given again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..empirical_interpolation import Interpolation
from ..parameters import Parameters
from .decomposition import reader
from .expressions import Expression, as_function, as_theta
from .recipes import EIM, MDEIM, Affine, Decomposition
from .weights import (
    AssemblySampler,
    Chosen,
    Constant,
    EntrySampler,
    FunctionSampler,
    Interpolated,
    Polynomial,
    Thetas,
)  # fmt: skip

PARTS = ("nodes", "points", "lower", "upper", "errors")


def packed(by: Decomposition) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(record, arrays) of a decomposition."""
    record: dict[str, Any] = {"kind": by.kind, "how": by.how}
    held = {"nodes": by.nodes, "errors": by.errors}
    if by.singular_values is not None:
        held["singular_values"] = by.singular_values
    weights = by.weights
    if isinstance(weights, Constant):
        return record | {"weights": "constant"}, held
    if isinstance(weights, Chosen):
        record, held = record | {"chosen": True}, held | {"which": weights.which}
        weights = weights.of
    if isinstance(weights, Thetas):
        return record | {"weights": "thetas", "functions": texts(weights.functions)}, held
    assert isinstance(weights, Interpolated)
    own, arrays = sampler_packed(weights.sampler)
    arrays |= {f"interpolation/{name}": getattr(weights.interpolation, name) for name in PARTS}
    return record | {"weights": "interpolated"} | own, held | arrays


def sampler_packed(sampler: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if isinstance(sampler, FunctionSampler):
        held = {"which": sampler.which, "scales": sampler.scales}
        held |= {f"x{l}": x for l, x in enumerate(sampler.x)}
        return {"sampler": "functions", "functions": texts(sampler.functions)}, held
    if isinstance(sampler, Polynomial):
        held = {"degrees": sampler.degrees, "coefficients": sampler.coefficients}
        return {"sampler": "polynomial", "linear": not sampler.parameters.log.any()}, held
    name = "entries" if isinstance(sampler, EntrySampler) else "assembly"
    held = {f"place{i}": place for i, place in enumerate(sampler.places)}
    return {"sampler": name, "scale": float(sampler.scale), "ones": bool(sampler.ones), "axes": len(sampler.places)}, held


def texts(functions: tuple[Any, ...]) -> list[str | None]:
    """Expressions as they were written; None for functions of the user."""
    return [f.text if isinstance(f, Expression) else None for f in functions]


def reads_assemblies(by: Decomposition) -> bool:
    """Whether the weights need assemble(mu) online."""
    return isinstance(by.weights, Interpolated) and isinstance(by.weights.sampler, AssemblySampler)


def unpacked(record: Mapping[str, Any], held: Mapping[str, np.ndarray], name: str, model: Any, operator: Any) -> Decomposition:
    """The decomposition of A, b or L again. Raises ValueError if functions are missing, naming what to give."""
    parameters: Parameters = model.parameters
    if record["weights"] == "constant":
        weights: Any = Constant()
    elif record["weights"] == "thetas":
        given = {"A": "operator", "b": "rhs", "L": "output"}[name]
        own = getattr(operator, given, None) if isinstance(operator, Affine) else operator if name == "A" else None
        functions = supplied(record["functions"], own, f"Affine({given}=[...])")
        weights = Thetas(tuple(as_theta(f, parameters.names) for f in functions), parameters)
        weights = Chosen(weights, held["which"]) if record.get("chosen") else weights
    else:
        interpolation = Interpolation(*(held[f"interpolation/{part}"] for part in PARTS))
        weights = Interpolated(interpolation, sampler_unpacked(record, held, name, model, operator))
    return Decomposition(
        held["nodes"], None, weights, record["kind"], record["how"], held["errors"], held.get("singular_values")
    )  # fmt: skip


def sampler_unpacked(record: Mapping[str, Any], held: Mapping[str, np.ndarray], name: str, model: Any, operator: Any) -> Any:
    parameters: Parameters = model.parameters
    if record["sampler"] == "polynomial":
        return Polynomial(held["degrees"], held["coefficients"], parameters.linear() if record["linear"] else parameters)
    if record["sampler"] == "functions":
        stated = None
        if isinstance(operator, EIM):
            pair = operator.rhs if name == "b" else operator.output
            stated = operator.functions if name == "A" else None if pair is None else pair[0]
        functions = supplied(record["functions"], stated, "EIM(functions=[...], ...)")
        x = tuple(held[f"x{l}"] for l in range(len(held["which"])))
        known = tuple(as_function(g, parameters.names) for g in functions)
        return FunctionSampler(known, held["which"], x, held["scales"], parameters)
    places = tuple(held[f"place{i}"] for i in range(record["axes"]))
    if record["sampler"] == "assembly":
        return AssemblySampler(reader(model.box, name), places, record["scale"], record["ones"])
    entries = (operator.entries if name == "A" else operator.rhs) if isinstance(operator, MDEIM) else None
    if entries is None:
        raise ValueError("the entries of the operator are read by a function of yours: load(path, operator=MDEIM(...))")
    return EntrySampler(entries, places, record["scale"], record["ones"], parameters)


def supplied(kept: list[str | None], given: Any, what: str) -> list[Any]:
    """The functions of the user where they are given, else the expressions of the file."""
    if given is not None:
        if len(given) != len(kept):
            raise ValueError(f"{what} must hold the {len(kept)} functions that the model was saved with; got {len(given)}")
        return list(given)
    if any(text is None for text in kept):
        raise ValueError(f"the coefficients are functions of yours, which are not in the file: load(path, operator={what})")
    return list(kept)
