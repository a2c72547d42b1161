"""Reduced-order models from a black box: hand over assemble(mu), get answers for thousands of parameters with their error."""

if not __name__.startswith("petrov."):
    raise ImportError("rom/ is the package petrov.rom: install petrov (or put src/ on the path) and import that")

from .coarse_space import CoarseSpace
from .empirical_interpolation import Interpolation, deim, eim, qdeim
from .files.model_file import ModelFileError
from .incremental_svd.svd import IncrementalSVD
from .loading import load
from .local_bases.bases import LocalBases, Partition
from .local_bases.clustering import kmeans, kmedoids
from .matrix_functions.interpolate import interpolate_function, interpolate_inverse, interpolate_logdet
from .operators.recipes import EIM, MDEIM, Affine, Training
from .parameters import Parameters
from .pod import Modes, pod
from .reduced_model.greedy import Greedy
from .reduced_model.model import ReducedModel
from .reduced_model.prediction import Prediction, Verification
from .reduced_model.training import POD
from .stability.context import Eigenvalue
from .stability.inf_sup import InfSup
from .stability.min_theta import MinTheta, Pointwise
from .stability.successive_constraints import SCM
from .transient.model import TransientModel

__all__ = [
    "EIM", "MDEIM", "POD", "SCM", "Affine", "CoarseSpace", "Eigenvalue", "Greedy", "IncrementalSVD", "InfSup", "Interpolation",
    "LocalBases", "MinTheta", "ModelFileError", "Modes", "Parameters", "Partition", "Pointwise", "Prediction", "ReducedModel",
    "Training", "TransientModel", "Verification", "deim", "eim", "interpolate_function", "interpolate_inverse",
    "interpolate_logdet", "kmeans", "kmedoids", "load", "pod", "qdeim",
]  # fmt: skip
