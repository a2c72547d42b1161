"""Reduced-order models from a black box: hand over assemble(mu), get answers for thousands of parameters with their error."""

if not __name__.startswith("petrov."):
    raise ImportError("rom/ is the package petrov.rom: install petrov (or put src/ on the path) and import that")

from .greedy import Greedy
from .inf_sup import InfSup
from .local_bases import LocalBases
from .min_theta import MinTheta, Pointwise
from .model_file import ModelFileError
from .operator_interpolation import EIM, MDEIM, Affine, Training
from .parameters import Parameters
from .prediction import Prediction, Verification
from .reduced_model import ReducedModel, load
from .stability import Eigenvalue
from .successive_constraints import SCM
from .training import POD

__all__ = [
    "EIM", "MDEIM", "POD", "SCM", "Affine", "Eigenvalue", "Greedy", "InfSup", "LocalBases", "MinTheta", "ModelFileError",
    "Parameters", "Pointwise", "Prediction", "ReducedModel", "Training", "Verification", "load",
]  # fmt: skip
