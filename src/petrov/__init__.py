"""petrov: linear solvers and reduced-order models that get faster with every system they solve.

>>> import numpy as np, petrov
>>> petrov.solve(np.diag([1.0, 2.0]), np.ones(2)).x
array([1. , 0.5])
"""

import functools
import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Straight from the tree (PYTHONPATH=src) the mapped packages lie at the root of the repository, not beside this file.
_root = Path(__file__).resolve().parents[2]
if importlib.util.find_spec("petrov.solvers") is None and (_root / "solvers" / "__init__.py").is_file():
    __path__.append(str(_root))

if TYPE_CHECKING:
    from .solvers import Sequence, SolveError, SolveInterrupted, Solver, SolveResult, Status, solve

PARTS = ("learned", "rom", "solvers")
__all__ = ["Sequence", "SolveError", "SolveInterrupted", "SolveResult", "Solver", "Status", "__version__", *PARTS, "solve"]


CHOOSING = ("Sequence", "Solver", "solve")  # what weighs candidates: here with those that petrov.learned has to offer


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used: `petrov --help` and `petrov.__version__` need no solver."""
    if name in PARTS:
        return importlib.import_module(f".{name}", __name__)
    if name in CHOOSING:
        return offered(name)
    if name in __all__:
        return getattr(importlib.import_module(".solvers", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")


@functools.cache
def offered(name: str) -> Any:
    """`solvers.NAME` with the shipped weights among its candidates, unless the caller names others; () for none."""
    plain = getattr(importlib.import_module(".solvers", __name__), name)
    shipped = importlib.import_module(".learned.candidates", __name__).SHIPPED
    if isinstance(plain, type):
        body = {"__init__": functools.partialmethod(vars(plain)["__init__"], candidates=shipped), "__module__": __name__}
        return type(name, (plain,), {**body, "__doc__": plain.__doc__, "__signature__": inspect.signature(plain)})

    @functools.wraps(plain)
    def solve(*arguments: Any, candidates: Any = shipped, **keywords: Any) -> Any:
        return plain(*arguments, candidates=candidates, **keywords)

    solve.__module__ = __name__  # by which it is pickled
    return solve


def __dir__() -> list[str]:
    return sorted(__all__)
