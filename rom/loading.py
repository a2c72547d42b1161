"""The front door for saved models, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import model_file
from .reduced_model import storage
from .reduced_model.model import ReducedModel
from .transient.file import KIND as TRANSIENT
from .transient.model import TransientModel


def load(
    path: str | Path, *, assemble: Any = None, operator: Any = None, stability: Any = None,
    functions: Mapping[str, Any] | None = None, mmap: bool = False,
) -> ReducedModel | TransientModel:  # fmt: skip
    """The model in a file that `ReducedModel.save` or `TransientModel.save` wrote.

    A file holds no code. Expressions are kept; Python functions are given again, and compared with what they gave when the model
    was saved. For a ReducedModel: operator, the recipe that had them, and stability, that function; assemble, for verify,
    fallback, and operators that read assemblies online; mmap: leave the basis on the disk until it is read. For a TransientModel:
    functions, name -> function; see `TransientModel.load`.

    Raises ModelFileError for a file that is damaged, hostile or newer than this petrov, ValueError for functions that are
    missing or not the ones that were saved, and for arguments of the other kind of model. Nothing in the file is run.

    >>> import numpy as np, tempfile
    >>> from petrov.rom import Parameters, ReducedModel, load
    >>> A = np.diag(np.arange(1.0, 9.0))
    >>> assemble = lambda mu: (A + mu["k"] * np.eye(8), np.ones(8))
    >>> model = ReducedModel(assemble, Parameters(k=(0.0, 1.0)), operator=["1", "k"]).fit(20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/a.rom")
    ...     bool(np.array_equal(load(f"{folder}/a.rom").predict([0.3]).bound, model.predict([0.3]).bound))
    True
    """
    if model_file.front(path)[0] == TRANSIENT:
        given = {"assemble=": assemble, "operator=": operator, "stability=": stability, "mmap=": mmap or None}
        if needless := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{path} holds a transient model, which takes functions={{name: function}} and no {needless[0]}")
        return TransientModel.load(path, functions)
    if functions is not None:
        raise ValueError("functions= belongs to transient models; a ReducedModel takes operator=, stability= and assemble=")
    return storage.restored(ReducedModel, path, assemble=assemble, operator=operator, stability=stability, mmap=mmap)
