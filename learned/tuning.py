"""Fine-tuning: weights brought nearer to the systems that a user has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import scipy.sparse as sp

from .checkpoint import load
from .families import Split, System
from .recipe import Recipe
from .training import train

RATE = 1e-3  # of Adam: a third of the rate from scratch, the weights being good already


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A system at hand, where `Member` draws one."""

    at_hand: System

    def system(self) -> System:
        return self.at_hand

    @property
    def digest(self) -> str:
        """What tells it from others in a checkpoint."""
        A = self.at_hand.A
        parts = (A.indptr, A.indices, A.data, self.at_hand.b)
        return sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def tune(M: Recipe | str, systems: Iterable[Any], *, minutes: float = 2.0, **options: Any) -> Any:
    """The recipe M with weights trained further on these systems, for others of their family.

    Parameters
    ----------
    M : a learned recipe, or the name or path of weights
    systems : iterable of (A, b), or of `System`
        Two or more, A stored, symmetric positive definite. Every fourth, and at least one, chooses among the weights that
        training meets; the others are trained on. Small ones serve larger ones: weights have no size, training has.
    minutes : float
        At most so long, and `steps` steps.
    **options
        Those of `train`: loss, steps, checkpoint, progress, device, batch, columns, rate (1e-3 here), decay, unrolled, every, ...

    Returns
    -------
    recipe
        Of M's kind; M itself if no weights met needed fewer iterations on the systems that choose.

    Raises
    ------
    ValueError
        For fewer than two systems, or what `train` refuses.

    Examples
    --------
    >>> from petrov import learned
    >>> from petrov.solvers import problems
    >>> M = learned.SparseInverseNetwork.untrained(width=4, steps=1)
    >>> systems = [problems.jump(8, seed=seed)[:2] for seed in range(3)]
    >>> learned.tune(M, systems, steps=2, progress=False).name
    'sparse inverse net'
    """
    recipe = load(M) if isinstance(M, str) else M
    members = [Given(system_of(k, given)) for k, given in enumerate(systems)]
    if len(members) < 2:
        raise ValueError(f"tune needs two systems or more, one to train on and one to choose by; got {len(members)}")
    chooses = [k % 4 == 1 for k in range(len(members))]
    training = tuple(member for member, yes in zip(members, chooses, strict=True) if not yes)
    validation = tuple(member for member, yes in zip(members, chooses, strict=True) if yes)
    return train(recipe, Split(training, validation, ()), minutes=minutes, **{"rate": RATE, **options})


def system_of(k: int, given: Any) -> System:
    """(A, b) as a system of which nothing else is known."""
    if isinstance(given, System):
        return given
    try:
        A, b = given[0], np.asarray(given[1], float)
    except (TypeError, IndexError) as error:
        raise TypeError(f"systems[{k}] must be (A, b); got {type(given).__name__}") from error
    A = sp.csr_array(A)
    if b.shape != (A.shape[0],):
        raise ValueError(f"systems[{k}]: b must have shape ({A.shape[0]},); got {b.shape}")
    return System(A, b, None, None, None, f"system {k}")  # type: ignore[arg-type]
