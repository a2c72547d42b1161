"""Losses of a network of directions: what one step of exact line search along it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..conjugate_directions import ConjugateDirections
from ..families import System
from ..networks.convolution import Convolutions, module_of
from ..plan import Plan
from ..ritz import VECTORS, RitzBasis, ritz_basis
from .objective import Objective

LOSSES = ("residual", "energy")
MEMORY = 2  # directions that a step is made conjugate to, as in flexible_cg
SCORED = 4  # steps in a row whose outcome is scored
TINY = 1e-30  # instead of the energy of a direction that is zero
FLOOR = 1e-3  # of what a step leaves: below, single precision tells nothing


def directions(recipe: ConjugateDirections, plan: Plan, device: str, data: str | Path | None = None) -> Objective:
    """'residual', |b - alpha A f(b)|^2 for |b| = 1, is the loss of the paper, for right-hand sides of Ritz vectors. 'energy' is
    the logarithm of what a step of flexible_cg leaves of the error in the norm of A, for residuals that the network meets: those
    after the first `unrolled` steps, or fewer, from such a right-hand side. data: the folder of their Ritz vectors."""
    if plan.loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} for {recipe.name}; got {plan.loss!r}")
    module = module_of(recipe.network).to(device)
    return Objective(module, partial(prepared, device, data), partial(loss_of, module, plan))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A system in torch, single precision, its vectors as rows (k, cells) on the whole grid, zero where no unknown is.

    diagonal (cells,); off: for every distance in the grid, the entries (cells,) of A that far beside the diagonal; inside: 1 at
    an unknown; cells: where the unknowns are.
    """

    diagonal: Tensor
    off: dict[int, Tensor]
    inside: Tensor
    cells: np.ndarray
    grid: tuple[int, ...]
    basis: RitzBasis

    def directions(self, module: Convolutions, b: Tensor) -> Tensor:
        """f(b) for rows b of length one."""
        u = (b * len(self.cells) ** 0.5).reshape(len(b), *self.grid)
        return module(u).reshape(b.shape) * self.inside

    def product(self, x: Tensor) -> Tensor:
        """A x."""
        y = self.diagonal * x
        for distance, entries in self.off.items():
            y = y + entries * x.roll(-distance, dims=1)
        return y

    def spread(self, rows: np.ndarray) -> Tensor:
        """Rows (k, n) over the unknowns on the whole grid."""
        x = np.zeros((len(rows), len(self.inside)), np.float32)
        x[:, self.cells] = rows
        return torch.from_numpy(x).to(self.inside.device)


def prepared(device: str, data: str | Path | None, system: System) -> Sample:
    if system.grid is None:
        raise ValueError(f"a network of directions is trained on grids; {system.name} has none: choose another family")
    mask = np.ones(system.grid, bool) if system.mask is None else system.mask
    cells, entries = np.flatnonzero(mask), system.A.tocoo()
    row, distance = cells[entries.row], cells[entries.col] - cells[entries.row]

    def diagonal(at: int) -> Tensor:
        values = np.zeros(mask.size, np.float32)
        values[row[distance == at]] = entries.data[distance == at]
        return torch.from_numpy(values).to(device)

    off = {int(at): diagonal(at) for at in np.unique(distance) if at}
    inside = torch.from_numpy(mask.ravel().astype(np.float32)).to(device)
    basis = ritz_basis(system.A.tocsr(), min(VECTORS, len(cells)), folder=data)
    return Sample(diagonal(0), off, inside, cells, system.grid, basis)


def loss_of(module: Convolutions, plan: Plan, at: Sample, rng: np.random.Generator) -> Tensor:
    combinations = at.basis.combinations(plan.columns, rng)
    if plan.loss == "residual":
        b = at.spread(combinations @ at.basis.vectors)
        q = at.directions(module, b)
        image = at.product(q)
        alpha = dots(q, b) / dots(q, image)
        return (b - alpha * image).square().sum(1).mean()
    error = at.spread((combinations / at.basis.values.astype(np.float32)) @ at.basis.vectors)
    return energy_left(module, at, error, int(rng.integers(plan.unrolled)))


def energy_left(module: Convolutions, at: Sample, e: Tensor, unscored: int) -> Tensor:
    """The mean of log(|e|_A^2 after a step / before) over some steps of flexible_cg from e, after others that are not scored.

    What a step leaves is 1 - <p, r>^2 / (<p, A p> <e, r>), p = f(r) made conjugate to the last directions; its gradient is taken
    step by step, through p and no further.
    """
    former: list[tuple[Tensor, Tensor]] = []
    scores = []
    e, r = scaled(at, e)
    for step in range(unscored + SCORED):
        with torch.set_grad_enabled(step >= unscored):
            p = at.directions(module, r)
            for old, image in former:
                p = p - dots(image, p) / dots(image, old).clamp_min(TINY) * old
            image = at.product(p)
            energy, slope = dots(p, image).clamp_min(TINY), dots(p, r)
            if step >= unscored:
                left = 1 - slope.square() / (energy * dots(e, r))
                scores.append((left + FLOOR).log().mean())
        p, image = p.detach(), image.detach()
        e, r = scaled(at, e - dots(p, r) / dots(p, image).clamp_min(TINY) * p)
        former = [*former, (p, image)][-MEMORY:]
    return torch.stack(scores).mean()


def scaled(at: Sample, e: Tensor) -> tuple[Tensor, Tensor]:
    """(e, r = A e), both divided by the length of r."""
    r = at.product(e)
    length = r.norm(dim=1, keepdim=True)
    return e / length, r / length


def dots(x: Tensor, y: Tensor) -> Tensor:
    """Inner products of the rows (k, 1)."""
    return (x * y).sum(1, keepdim=True)
