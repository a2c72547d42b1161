"""Weights on disk: one safetensors file whose metadata are JSON. Nothing in a file is run, and no torch is needed to read one."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .conjugate_directions import ConjugateDirections
from .graph_multigrid import GraphMultigrid
from .grid_multigrid import GridMultigrid
from .preconditioner import GraphFactor, SparseInverseNetwork
from .probe import defect
from .recipe import Recipe

SCHEMA = 1
KEY = "petrov"  # the one entry of a file's metadata
RECIPES = (GraphFactor, GraphMultigrid, GridMultigrid, SparseInverseNetwork, ConjugateDirections)
KINDS: dict[str, Any] = {recipe.kind: recipe for recipe in RECIPES}
LARGEST = 1 << 30  # bytes
SHIPPED = Path(__file__).parent / "weights"
SUFFIX = ".safetensors"


class WeightsError(ValueError):
    """A file holds no weights that may be used; the message says what was found."""


def write(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """A file of named arrays and a header of JSON values: the old one or the whole new one, whenever the process is killed.

    Every array's sha256 is kept in the header. Equal contents give equal bytes.
    """
    from safetensors.numpy import save

    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    front = {"schema": SCHEMA, **header, "sha256": {name: digest(array) for name, array in held.items()}}
    path = Path(path)
    temporary = path.with_name(f".petrov-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(save(held, metadata={KEY: json.dumps(front, sort_keys=True, allow_nan=False)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header, arrays) of a file that `write` wrote; WeightsError if it is damaged, of others, or newer than this petrov."""
    from safetensors import SafetensorError, safe_open

    size = Path(path).stat().st_size
    if size > LARGEST:
        raise WeightsError(f"{path} has {size} bytes: no weights of ours are that large")
    try:
        with safe_open(str(path), framework="numpy") as file:
            front = json.loads((file.metadata() or {}).get(KEY, "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}): it is damaged, or no safetensors file") from error
    if not isinstance(front, dict) or "schema" not in front:
        raise WeightsError(f"{path} is a safetensors file without the header of petrov: use a file that learned.save wrote")
    if front["schema"] != SCHEMA:
        raise WeightsError(f"{path} has schema {front['schema']!r}, this petrov reads {SCHEMA}: use a newer petrov")
    sums = front.get("sha256")
    if not isinstance(sums, dict) or sums != {name: digest(array) for name, array in arrays.items()}:
        raise WeightsError(f"{path}: the arrays are not those that were written: the file is damaged, take a copy")
    return front, arrays


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode() + array.tobytes()).hexdigest()


def save(recipe: Recipe, path: str | Path, facts: Mapping[str, Any] | None = None) -> None:
    """Write a recipe's weights, with facts (JSON values: training family, seed, losses) that `describe` tells again.

    The file also says which petrov wrote it and the bounds that make M definite. What `bind` gave is not kept. Raises OSError if
    it cannot be written, TypeError or ValueError for facts that JSON does not hold.
    """
    header = {"kind": recipe.kind, "petrov": version(), "facts": dict(facts or {}), **recipe.description()}
    write(path, header, recipe.weights)


def version() -> str:
    """The version of petrov; the front door is loaded before any of its parts."""
    return sys.modules[__name__.partition(".")[0]].__version__


def shipped() -> list[str]:
    """The names of the weights that come with petrov."""
    return sorted(path.stem for path in SHIPPED.glob("*" + SUFFIX))


def located(name_or_path: str | Path) -> Path:
    """The file of shipped weights of this name, or else the path; FileNotFoundError naming what there is."""
    if isinstance(name_or_path, str) and name_or_path in shipped():
        return SHIPPED / (name_or_path + SUFFIX)
    path = Path(name_or_path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}, nor weights of that name among the shipped: {', '.join(shipped())}")
    return path


def load(name_or_path: str | Path) -> Any:
    """The recipe in a file that `save` or `train` wrote, or by the name of shipped weights: a preconditioner for any solver.

    Needs no torch, and none to be applied. The weights are checked (shapes, finite, checksums) and the recipe is probed on a
    small system: finite, and, if it says that it is, symmetric and positive. Raises FileNotFoundError, naming the weights that
    come with petrov, or WeightsError saying what was found.

    >>> import tempfile
    >>> from petrov.learned import SparseInverseNetwork, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(SparseInverseNetwork.untrained(), f"{folder}/weights.safetensors", {"family": "none"})
    ...     load(f"{folder}/weights.safetensors").network.parameters
    19658
    """
    path = located(name_or_path)
    header, arrays = read(path)
    try:
        recipe = recipe_of(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} holds no preconditioner of this petrov: {error}") from error
    if told := defect(recipe.small()):
        raise WeightsError(f"{path} failed its probe on a small system: {told}; train it again")
    return recipe


def describe(name_or_path: str | Path) -> dict[str, Any]:
    """What a file of weights says of itself: kind, petrov, bounds, what its kind needs, and the facts of its training.

    Raises what `load` raises, but does not look at the weights.

    >>> import tempfile
    >>> from petrov.learned import GraphFactor, describe, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(GraphFactor.untrained(), f"{folder}/weights.safetensors", {"family": "fem2d", "seed": 3})
    ...     describe(f"{folder}/weights.safetensors")["facts"]
    {'family': 'fem2d', 'seed': 3}
    """
    header = read(located(name_or_path))[0]
    return {key: value for key, value in header.items() if key != "sha256"}


def recipe_of(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """The recipe that a header and its weights describe; KeyError, TypeError or ValueError if they describe none."""
    if header["kind"] not in KINDS:
        raise ValueError(f"its kind is {header['kind']!r}; known are {', '.join(KINDS)}")
    return KINDS[header["kind"]].described(header, arrays)
