"""What local bases gain over one basis of all: predicted from the training snapshots, and measured on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class PredictedGain:
    """Mean relative projection errors of the training snapshots: on their local bases, and on one of all of the largest size.

    members, sizes (k,): the snapshots and the basis vectors of each cluster. means (k, 2): of its snapshots, local and whole.
    local, whole: of all snapshots. str() is a table.
    """

    members: np.ndarray
    sizes: np.ndarray
    means: np.ndarray
    local: float
    whole: float

    @property
    def gain(self) -> float:
        """log10(whole / local)."""
        return decades(self.whole, self.local)

    def __str__(self) -> str:
        lines = ["mean relative projection errors of the training snapshots", "cluster  fields    N     local     whole"]
        for c, (count, N, (local, whole)) in enumerate(zip(self.members, self.sizes, self.means, strict=True)):
            lines.append(f"{c:>7}  {count:>6}  {N:>3}  {local:8.1e}  {whole:8.1e}")
        lines.append(f"{'all':>7}  {self.members.sum():>6}  {self.sizes.max():>3}  {self.local:8.1e}  {self.whole:8.1e}")
        return "\n".join([*lines, f"predicted gain: {self.gain:.2f} digits"])


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredGain:
    """Mean relative projection errors of snapshots not seen before: on one basis of all, and on local ones chosen in three ways.

    oracle: by the best of the local bases, seen afterwards; random: in the mean over all choices; classifier: by `assign`.
    accuracy: how often the classifier chose the best basis; validated: its leave-one-out accuracy on the training labels.
    count: of the snapshots; size: of the one basis, `whole` its error. str() is a table.
    """

    count: int
    size: int
    whole: float
    oracle: float
    random: float
    classifier: float
    accuracy: float
    validated: float

    @property
    def gain(self) -> float:
        """log10(whole / oracle)."""
        return decades(self.whole, self.oracle)

    @property
    def break_even(self) -> float:
        """(whole - random) / (oracle - random): how often a choice must be the oracle's, else random, to equal the whole basis.

        0 if any choice is as good, infinite if even the oracle's is not better.
        """
        if self.oracle >= self.whole:
            return np.inf
        return max((self.random - self.whole) / (self.random - self.oracle), 0.0) if self.random > self.oracle else 0.0

    def __str__(self) -> str:
        return "\n".join(
            [
                f"mean relative projection error of {self.count} fields not seen before",
                f"  one basis of all, N = {self.size:<4}    {self.whole:8.1e}",
                f"  local bases, best choice      {self.oracle:8.1e}   gain: {self.gain:.2f} digits",
                f"  local bases, classifier       {self.classifier:8.1e}   the best choice in {self.accuracy:.0%}",
                f"  local bases, random choice    {self.random:8.1e}   break-even accuracy: {self.break_even:.0%}",
            ]
        )


def decades(whole: float, local: float) -> float:
    """log10(whole / local), where an error below rounding counts as rounding."""
    return float(np.log10(max(whole, EPS) / max(local, EPS)))
