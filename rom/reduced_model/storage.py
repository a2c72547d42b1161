"""A model in one file: JSON and arrays. Functions of the user are not in it; they are given again, and probed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers import arrays as back_ends
from ...solvers.direct.cholesky import Cholesky, cholesky
from ..files import model_file
from ..files.model_file import ModelFileError, group
from ..local_bases.bases import Partition
from ..operators import weight_files
from ..operators.decomposition import Quantity, Split
from ..operators.recipes import Decomposition
from ..operators.terms import Terms
from ..parameters import Parameters
from ..snapshots import working
from ..stability.context import Eigenvalue, User
from ..stability.inf_sup import InfSup
from ..stability.min_theta import MinTheta, Pointwise
from ..stability.successive_constraints import SCM
from .greedy import History
from .offline import Offline, context_of
from .online import Reduced
from .part import Dual, Part

KIND = "reduced model"
PROBES = 8
GIVEN = ("functions", "points")  # what a recipe takes from the user's operator
SAME = 1e-10
RECIPES: dict[str, Callable[..., Any]] = {
    "min-theta": MinTheta, "pointwise": Pointwise, "scm": SCM, "inf-sup": InfSup,
}  # fmt: skip


def save(model: Any, path: str | Path, *, basis: bool = True, single: bool = False) -> None:
    """Write a fitted model. basis: with V and X, so that fields can be made and predictions verified; single: V in single
    precision, which the fields then have and their bounds count.

    Raises ValueError for local bases chosen by a function of the user, and for Eigenvalue, whose matrices a file does not hold.
    """
    offline: Offline = model.fitted
    if offline.stability is not None and offline.stability.name == Eigenvalue.name:
        raise ValueError("stability=Eigenvalue() needs the matrices, which no file holds; fit with MinTheta(), SCM() or a number")
    probes = model.parameters.random(PROBES, seed=model.seed + 97)
    held: dict[str, np.ndarray] = {"probes/mus": probes, "history/bounds": np.array(model.history.bounds, float)}
    held["history/selected"] = model.selected
    header: dict[str, Any] = {
        "parameters": model.parameters.record(), "vector": model.box.vector, "unknowns": offline.split.A.terms.shape[0],
        "reason": model.history.reason, "seconds": model.seconds, "basis": basis, "parts": len(model.parts), "seed": model.seed,
        "rtol": model.box.rtol, "bound": offline.kind, "quantities": {}, "stability": None, "error": offline.error is not None,
        "measured": list(offline.measured), "unit": offline.split.unit,
    }  # fmt: skip
    for name in ("A", "b", "L"):
        quantity = getattr(offline.split, name)
        if quantity is not None:
            header["quantities"][name], own = weight_files.packed(quantity.by)
            held |= {f"{name}/{key}": value for key, value in own.items()} | {f"probes/{name}": quantity.by.weights(probes)}
    if offline.stability is not None:
        header["stability"] = {"name": offline.stability.name, "recipe": plain_fields(offline.stability_recipe)}
        held |= {f"stability/{key}": np.asarray(value) for key, value in offline.stability.arrays.items()}
        held["probes/alpha"] = offline.alpha(probes)
    for i, part in enumerate(model.parts):
        arrays, rounded = part_arrays(part, basis, offline.factor if single else None)
        held |= {f"part{i}/{key}": value for key, value in arrays.items()}
        header[f"part{i}"] = {"hermitian": part.reduced.hermitian, "triangular": part.reduced.triangular, "rounded": rounded}
        if part.dual is not None:
            own = part.dual.reduced
            header[f"part{i}"]["dual"] = {"hermitian": own.hermitian, "triangular": own.triangular}
    if model.partition is not None:
        if model.partition.features is not None:
            raise ValueError("the local bases are chosen by features= of yours, which a file cannot hold; leave them out to save")
        held |= {f"partition/{key}": value for key, value in model.partition.arrays().items()}
    if basis and offline.X is not None:
        header["X"], own = matrix_arrays(offline.X)
        held |= {f"X/{key}": value for key, value in own.items()}
    model_file.write(path, KIND, header, held)


def restored(model_type: Any, path: str | Path, *, assemble: Any, operator: Any, stability: Any, mmap: bool) -> Any:
    """The model in a file; see `petrov.rom.load`."""
    bases = [f"part{i}/V" for i in range(model_file.front(path)[1].get("parts", 0))] if mmap else []
    header, held = model_file.read(path, KIND, mmap=bases)
    try:
        parameters = Parameters(**header["parameters"])
        more = {"rtol": header["rtol"], "seed": header["seed"]}
        model = model_type(assemble or missing, parameters, operator=operator or "auto", **more)
        model.box.vector = header["vector"]
        model.offline = offline_of(header, held, model, operator, stability)
        model.parts = [part_from(header[f"part{i}"], group(held, f"part{i}")) for i in range(header["parts"])]
        if own := group(held, "partition"):
            model.partition = Partition.from_arrays(own)
        model.history = History(held["history/bounds"].tolist(), list(held["history/selected"]), [], header["reason"])
        model.seconds = dict(header["seconds"])
    except (KeyError, TypeError, IndexError) as error:
        raise ModelFileError(f"{path} is sound, but not a reduced model of this petrov: {error!r}; save it again") from error
    if assemble is None:
        model.box.assemble = None
    probed(model, held)
    return model


def missing(mu: Any) -> Any:
    raise ValueError("the model was loaded without assemble=: load(path, assemble=...)")


def probed(model: Any, held: Mapping[str, np.ndarray]) -> None:
    """Refuse functions that do not give what they gave when the model was saved."""
    offline, mus = model.fitted, held["probes/mus"]
    for name in ("A", "b", "L"):
        quantity = getattr(offline.split, name)
        if quantity is not None and (model.box.assemble is not None or not weight_files.reads_assemblies(quantity.by)):
            agree(quantity.by.weights(mus), held[f"probes/{name}"], f"the coefficient functions of {name}")
    if offline.stability is not None:
        agree(offline.alpha(mus), held["probes/alpha"], "the stability constant")


def agree(now: np.ndarray, then: np.ndarray, what: str) -> None:
    scale = np.abs(then).max(initial=0.0) or 1.0
    if now.shape != then.shape or not (np.abs(now - then) <= SAME * scale).all():
        raise ValueError(f"{what} are not those that the model was saved with: other values at the points kept for comparison")


# -- Pieces ----------------------------------------------------------------------------------------------------------------


def offline_of(header: Any, held: Mapping[str, np.ndarray], model: Any, operator: Any, stability: Any) -> Offline:
    n = int(header["unknowns"])
    quantities = {}
    for name, record in header["quantities"].items():
        by: Decomposition = weight_files.unpacked(record, group(held, name), name, model, operator)
        quantities[name] = Quantity(Terms((n, n), np.dtype(float), None) if name == "A" else None, by)
    split = Split(quantities["A"], quantities["b"], quantities.get("L"), float(header["unit"]))
    X = matrix_from(header["X"], group(held, "X")) if header.get("X") else None
    factor = None if X is None else cholesky(X)
    error = getattr(operator, "error", None)
    if header["error"] and error is None:
        raise ValueError("the model was saved with an error= of its operator; give the recipe again: load(path, operator=...)")
    measured = (float(header["measured"][0]), float(header["measured"][1]))
    if header["stability"] is None:
        return Offline(model.parameters, split, X, factor, None, error, None, measured)
    name = header["stability"]["name"]
    fields = header["stability"]["recipe"]
    if hasattr(stability, "prepare"):
        recipe = stability
    elif name == "user":
        if stability is None and "function" not in fields:
            raise ValueError("the stability constant is a function of yours, not in the file: load(path, stability=...)")
        recipe = User(fields["function"] if stability is None else stability)
    else:
        recipe = RECIPES[name](**fields)
    context = context_of(split, X, factor, operator, model.parameters.centre[None], model.box)
    constants = recipe.restore(group(held, "stability"), context)
    return Offline(model.parameters, split, X, factor, constants, error, recipe, measured)


def plain_fields(recipe: Any) -> dict[str, Any]:
    """The numbers among the fields of a stability recipe."""
    values = {name: getattr(recipe, name) for name in getattr(recipe, "__dataclass_fields__", {}) if name not in GIVEN}
    return {name: np.asarray(x).tolist() if isinstance(x, np.ndarray | tuple) else x for name, x in values.items() if storable(x)}


def storable(x: Any) -> bool:
    return isinstance(x, bool | int | float | str | np.ndarray | tuple)


def part_arrays(part: Part, basis: bool, factor: Cholesky | None) -> tuple[dict[str, np.ndarray], float]:
    """(what is stored of a part, what is lost of V): V in single precision where the factors of X are given, to measure that."""
    found = {name: getattr(part.reduced, name) for name in ("A", "b", "R", "L", "RL", "rounded")}
    if part.dual is not None:
        found |= {f"dual/{name}": getattr(part.dual.reduced, name) for name in ("A", "b", "R", "rounded")}
        found |= {"dual/along_A": part.dual.A, "dual/along_b": part.dual.b}
    rounded = part.rounded
    if basis and part.V is not None:
        found["V"] = part.V
        if factor is not None:
            found["V"] = part.V.astype(np.complex64 if np.iscomplexobj(part.V) else np.float32)
            lost = factor.lower(part.V.astype(working(part.V.dtype)) - found["V"])
            rounded += float(np.linalg.norm(lost, 2)) if lost.size else 0.0
    return {name: value for name, value in found.items() if value is not None}, rounded


def part_from(record: Any, held: Mapping[str, np.ndarray]) -> Part:
    flags = {name: record[name] for name in ("hermitian", "triangular")}
    R = laid(held["R"], record["triangular"])
    reduced = Reduced(held["A"], held["b"], R, held.get("L"), held.get("RL"), **flags, rounded=held["rounded"])
    dual = None
    if "dual" in record:
        own = group(held, "dual")
        R = laid(own["R"], record["dual"]["triangular"])
        small = Reduced(own["A"], own["b"], R, None, None, **record["dual"], rounded=own["rounded"])
        dual = Dual(small, own["along_b"], own["along_A"])
    return Part(held.get("V"), reduced, dual, rounded=float(record["rounded"]))


def laid(R: np.ndarray, triangular: bool) -> np.ndarray:
    return np.asfortranarray(R) if triangular else R


def matrix_arrays(X: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if back_ends.sparse(X):
        csr = X.tocsr()
        return {"sparse": list(csr.shape)}, {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
    return {"dense": list(X.shape)}, {"values": np.asarray(X)}


def matrix_from(record: Any, held: Mapping[str, np.ndarray]) -> Any:
    if "dense" in record:
        return held["values"]
    from scipy.sparse import csr_array

    X = csr_array((held["data"], held["indices"], held["indptr"]), shape=tuple(record["sparse"]))
    X.check_format(full_check=True)
    return X
