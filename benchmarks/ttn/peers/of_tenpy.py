"""TeNPy (physics-tenpy): two-site TDVP, and TEBD where only neighbours act on each other. Chains alone.

`options` are those of its engines. For TEBD, `substeps` of one call are made in each step, with half steps merged, as it does.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tenpy
from tenpy.algorithms.tdvp import TwoSiteTDVPEngine
from tenpy.algorithms.tebd import TEBDEngine
from tenpy.models.lattice import Chain
from tenpy.models.model import CouplingModel, MPOModel, NearestNeighborModel
from tenpy.networks.mps import MPS
from tenpy.networks.site import SpinHalfSite

from .walk import Walk

ENGINES = {"tdvp2": TwoSiteTDVPEngine, "tebd": TEBDEngine}


class Spins(CouplingModel, NearestNeighborModel, MPOModel):
    """The model of a task; bonds for TEBD only where it asks for them."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        site = SpinHalfSite(conserve=None)
        site.add_op("N", np.diag([float(k == site.state_index("up")) for k in range(2)]))
        CouplingModel.__init__(self, Chain(task["d"], site, bc="open", bc_MPS="finite"))
        for k in range(task["d"]):
            self.add_onsite_term(1.0, k, "Sigmax")
            self.add_onsite_term(1.0, k, "N")
        for i, j, v in task["pairs"]:
            self.add_coupling_term(v, i, j, "N", "N")
        MPOModel.__init__(self, self.lat, self.calc_H_MPO())
        if task["method"] == "tebd":
            NearestNeighborModel.__init__(self, self.lat, self.calc_H_bond())


def version() -> str:
    return str(tenpy.__version__)


def make(task: Mapping[str, Any]) -> Walk:
    warnings.simplefilter("ignore")  # options that an engine does not read
    model = Spins(task)
    state = MPS.from_product_state(model.lat.mps_sites(), ["up"] * task["d"], bc="finite")
    options = dict(task["options"])
    substeps = options.pop("substeps", 1)
    kept = {"chi_max": task["max_rank"], "svd_min": 1e-14, "trunc_cut": task["tolerance"]}  # the 2-norm of what is cut off
    engine = ENGINES[task["method"]](state, model, {"trunc_params": kept, **options})
    dt = task["dt"] / substeps

    def step() -> None:
        engine.prepare_evolve(dt)
        engine.evolve(substeps, dt)

    return Walk(
        step, lambda: np.mean(state.expectation_value("Sigmaz")), lambda: max(state.chi), max(model.H_MPO.chi)
    )  # fmt: skip
