"""Learned preconditioners: what the shipped multigrid does on meshes it never met, whether its network helps, and tuning.

The weights come with petrov and were trained on a few thousand unknowns. Whether the network helps is told by the column
`scalars`, the same cycle with seven trained numbers: hardly; what helps, and most where the mesh is squeezed and turned, is the
cycle that both share. The last lines tune other weights to a user's own systems (torch: pip install "petrov[learned]").
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from petrov import learned
from petrov.solvers import SmoothedAggregation, cg, problems

RECIPES = {
    "SmoothedAggregation": SmoothedAggregation(),
    "untrained": learned.GraphMultigrid.untrained(),
    "scalars": learned.load("graph-multigrid-scalars"),
    "network": learned.load("graph-multigrid"),
}


def counted(family: str, size: int) -> dict[str, float]:
    """Mean iterations over five systems that nobody was trained on."""
    systems = [learned.FAMILIES[family].system(size, seed) for seed in range(900, 905)]
    return {name: float(np.mean([cg(s.A, s.b, M=M).iterations for s in systems])) for name, M in RECIPES.items()}


def main() -> SimpleNamespace:
    facts = learned.describe("graph-multigrid")["facts"]
    print(f"trained on {', '.join(facts['families'])} of {facts['sizes']} unknowns, {facts['steps']} steps\n")
    print(f"{'iterations to 1e-8':28}" + "".join(f"{name:>21}" for name in RECIPES))
    table = {}
    for family, size in (("fem2d", 15_000), ("fem3d", 15_000), ("anisotropic2d", 15_000)):
        row = table[family] = counted(family, size)
        print(f"{family + f', {size:,} unknowns':28}" + "".join(f"{count:>21.1f}" for count in row.values()))

    own = [problems.anisotropic(20, epsilon=0.01, angle=angle)[:2] for angle in np.linspace(0.3, 0.5, 6)]
    A, b = problems.anisotropic(64, epsilon=0.01, angle=0.41).A, np.random.default_rng(1).standard_normal(64**2)
    tuned = learned.tune("graph-factor-2d", own, minutes=2, loss="unrolled-cg", rate=3e-3, steps=150, every=25, progress=False)
    counts = tuple(cg(A, b, M=M).iterations for M in (learned.load("graph-factor-2d"), tuned))
    print(f"\na learned factor tuned on six systems of 400 unknowns: {counts[0]} -> {counts[1]} iterations on one of 4096")
    return SimpleNamespace(table=table, tuned=counts)


if __name__ == "__main__":
    main()
