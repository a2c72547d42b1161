"""The drop-in replacements for scipy.sparse.linalg, put through SciPy's own tests first."""

from __future__ import annotations

import ast
import importlib.util
import types
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as sla

from petrov.solvers.external import scipy as ours

NAMES = ("bicgstab", "cg", "gmres", "minres")

# -- SciPy's own tests, as its wheel ships them -------------------------------------------------------------------------------

OTHER_SOLVERS = {"test_show", "TestQMR"}  # of tfqmr and qmr, which are not replaced
DROPPED_MARKS = ("pytest.mark.fail_slow", "pytest.mark.xfail")  # a plug-in's mark; an excuse of SciPy's that ours does not need


def scipy_tests(name):
    """SciPy's test module, executed anew with our functions where it imports SciPy's, and its list of solvers cut to ours."""
    spec = importlib.util.find_spec(f"scipy.sparse.linalg._isolve.tests.{name}")
    if spec is None:
        pytest.skip(f"this SciPy came without its tests ({name})", allow_module_level=True)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [mark for mark in node.decorator_list if not ast.unparse(mark).startswith(DROPPED_MARKS)]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_SOLVERS":
            node.value = ast.parse(f"[{', '.join(NAMES)}]", mode="eval").body
    module = types.ModuleType(f"scipy_{name}")
    with mock.patch.multiple("scipy.sparse.linalg._isolve", **{method: getattr(ours, method) for method in NAMES}):
        exec(compile(ast.fix_missing_locations(tree), spec.origin, "exec"), vars(module))
    return module


def collected(module):
    """What pytest has to see of a module: its tests and the fixtures they ask for."""
    names = {name for name in vars(module) if name.startswith(("test_", "Test"))} | ({"solver", "case"} & set(vars(module)))
    return {name: vars(module)[name] for name in names - OTHER_SOLVERS}


iterative, minimal = scipy_tests("test_iterative"), scipy_tests("test_minres")
globals().update(collected(iterative) | collected(minimal))
