"""A suite of seconds: two small problems, methods made of SciPy and of lies."""

import io

import numpy as np
import pytest
from rich.console import Console
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from petrov.benchmarks.measure import Settings, model_system
from petrov.benchmarks.records import EVERY, Method, Outcome, Problem


def factor(system):
    return splu(csc_array(system.A))


def nothing(system):
    return None


def substitute(factors, system, rtol, limits, history):
    if history is not None:
        history.extend([1.0, 1e-3, 1e-12])
    return Outcome(factors.solve(system.b), claims=None, iterations=2)


def lie(prepared, system, rtol, limits, history):
    return Outcome(np.zeros_like(system.b), claims=True, iterations=1)


def give_up(prepared, system, rtol, limits, history):
    return Outcome(np.zeros_like(system.b), claims=False, iterations=limits.iterations)


def explode(prepared, system, rtol, limits, history):
    raise RuntimeError("boiler pressure\nsecond line")


@pytest.fixture
def problems():
    return [
        Problem("laplace 6^2", "laplace", "spd", lambda: model_system("spd", 6)),
        Problem("laplace 9^2", "laplace", "spd", lambda: model_system("spd", 9), plotted=True),
        Problem("laplace 12^2", "laplace", "spd", lambda: model_system("spd", 12)),
    ]


@pytest.fixture
def methods():
    return {
        "direct": Method("petrov.solve", "petrov", EVERY, factor, substitute),
        "peer": Method("scipy splu", "scipy", EVERY, factor, substitute),
        "lie": Method("liar", "scipy", EVERY, nothing, lie),
        "give up": Method("quitter", "scipy", EVERY, nothing, give_up),
        "explode": Method("bomb", "scipy", EVERY, nothing, explode),
    }


@pytest.fixture
def settings():
    return Settings(rtol=1e-8, repeat=2)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=150)
