"""Tree tensor networks, and integrators for high-dimensional differential equations in that form."""

from .bug import BUG, RankAdaptiveBUG
from .drawing import draw
from .environments import Environments
from .evolve import evolve
from .gauges import Gauges, gauges
from .implicit import Implicit
from .kron_sum import KronSum
from .krylov import Krylov
from .local_solvers import FunctionFlow
from .midpoint_bug import MidpointBUG
from .parallel_bug import ParallelBUG
from .projector_splitting import ProjectorSplitting
from .result import Evolution, EvolutionError, EvolutionInterrupted, TruncationWarning
from .right_hand_sides import Affine, Function, Linear
from .runge_kutta import RK4, AdaptiveRK
from .second_order_parallel_bug import SecondOrderParallelBUG
from .state import TTN
from .step_truncate import StepTruncate
from .tree import Tree
from .truncation import truncated
from .ttno import TTNO

__all__ = [
    "BUG",
    "RK4",
    "TTN",
    "TTNO",
    "AdaptiveRK",
    "Affine",
    "Environments",
    "Evolution",
    "EvolutionError",
    "EvolutionInterrupted",
    "Function",
    "FunctionFlow",
    "Gauges",
    "Implicit",
    "KronSum",
    "Krylov",
    "Linear",
    "MidpointBUG",
    "ParallelBUG",
    "ProjectorSplitting",
    "RankAdaptiveBUG",
    "SecondOrderParallelBUG",
    "StepTruncate",
    "Tree",
    "TruncationWarning",
    "draw",
    "evolve",
    "gauges",
    "truncated",
]
