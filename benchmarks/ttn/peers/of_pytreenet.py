"""PyTreeNet: rank-adaptive BUG (in its repository, not in the released 1.0.0) and two-site TDVP, on chains and balanced trees.

`options["mode"]` names the solver of local equations, a TimeEvoMode ("fastest": exponentials of dense effective Hamiltonians;
"RK45": products alone, with `rtol` and `atol`); 1.0.0 knows no other than the first.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from fractions import Fraction
from importlib import metadata
from typing import Any

import numpy as np
from pytreenet.contractions import state_operator_contraction
from pytreenet.operators.hamiltonian import Hamiltonian
from pytreenet.operators.tensorproduct import TensorProduct
from pytreenet.special_ttn.mps import MatrixProductState
from pytreenet.time_evolution.tdvp_algorithms.secondordertwosite import SecondOrderTwoSiteTDVP
from pytreenet.ttno.ttno_class import TTNO
from pytreenet.util.tensor_splitting import SVDParameters

from .walk import Walk

RELEASED = importlib.util.find_spec("pytreenet.time_evolution.bug") is None  # 1.0.0
N, SX, SZ = np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([1.0, -1.0])


def version() -> str:
    return f"{metadata.version('pytreenet')}, {'without BUG' if RELEASED else 'with BUG'}"


def make(task: Mapping[str, Any]) -> Walk:
    state = product(task)
    H = operator(task, state)
    moving = EVOLUTIONS[task["method"]](task, state, H)
    return Walk(
        moving.run_one_time_step, lambda: magnetisation(moving.state, task["d"]), lambda: largest(moving.state), largest(H)
    )  # fmt: skip


def product(task: Mapping[str, Any]) -> Any:
    if task["tree"] == "chain":
        return MatrixProductState.constant_product_state(0, 2, task["d"], root_site=task["d"] // 2)
    binary = importlib.import_module("pytreenet.special_ttn.binary")
    return binary.generate_binary_ttns(task["d"], 1, np.array([[1.0, 0.0]], dtype=complex))


def operator(task: Mapping[str, Any], state: Any) -> Any:
    """1.0.0 has no factors beside its terms: there they are in the second operator of a pair."""
    symbols = {"N": N, "field": SX + N, "I1": np.eye(1), "I2": np.eye(2), **{f"{v} N": v * N for *_, v in task["pairs"]}}
    fields = [(1.0, {f"site{k}": "field"}) for k in range(task["d"])]
    if RELEASED:
        terms = [(1.0, {f"site{i}": "N", f"site{j}": f"{v} N"}) for i, j, v in task["pairs"]]
        return TTNO.from_hamiltonian(Hamiltonian([TensorProduct(of) for _, of in fields + terms], symbols), state)
    terms = [(v, {f"site{i}": "N", f"site{j}": "N"}) for i, j, v in task["pairs"]]
    exact = [(Fraction(v).limit_denominator(10**6), "1", TensorProduct(of)) for v, of in fields + terms]
    return TTNO.from_hamiltonian(Hamiltonian(exact, symbols), state)


def bug(task: Mapping[str, Any], state: Any, H: Any) -> Any:
    """Contractions that begin with the operator fail on trees whose nodes have no leg (4250f1c): all begin with the state."""
    module = importlib.import_module("pytreenet.time_evolution.bug")
    modes = importlib.import_module("pytreenet.time_evolution.time_evolution").TimeEvoMode
    first = state_operator_contraction.FirstContraction.KET
    state_operator_contraction.compare_contr_orders = lambda *_: first
    options = dict(task["options"])
    mode = modes(options.pop("mode"))
    config = module.BUGConfig(time_evo_mode=mode, **kept(task))
    return module.BUG(state, H, task["dt"], task["dt"], {}, config, options)


def tdvp2(task: Mapping[str, Any], state: Any, H: Any) -> Any:
    if RELEASED:
        return SecondOrderTwoSiteTDVP(state, H, task["dt"], task["dt"], [], SVDParameters(**kept(task), renorm=False))
    config = importlib.import_module("pytreenet.time_evolution.tdvp_algorithms.twositetdvp").TwoSiteTDVPConfig(**kept(task))
    return SecondOrderTwoSiteTDVP(state, H, task["dt"], task["dt"], {}, config)


def kept(task: Mapping[str, Any]) -> dict[str, Any]:
    return {"max_bond_dim": task["max_rank"], "rel_tol": 0.0, "total_tol": task["tolerance"]}


EVOLUTIONS = {"bug": bug, "tdvp2": tdvp2}


def magnetisation(state: Any, d: int) -> float:
    size = state.scalar_product().real
    return sum(state.single_site_operator_expectation_value(f"site{k}", SZ).real for k in range(d)) / d / size


def largest(network: Any) -> int:
    return max(node.parent_leg_dim() for node in network.nodes.values() if not node.is_root())
