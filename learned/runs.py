"""Training runs as records: what the command line asks for and what made the weights that come with petrov."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .checkpoint import KINDS, save
from .families import FAMILIES, family, split
from .recipe import Recipe
from .training import OBJECTIVES, trained

# Unknowns of the systems trained on, and of those that choose among the weights met, by dimension.
SIZES = {2: (256, 576), 3: (512, 1000)}
UNSEEN = {2: (2304,), 3: (4096,)}


@dataclass(frozen=True, slots=True)
class Run:
    """One training: the recipe to start from, systems of `families` at `sizes`, and options of `train`.

    count: training systems; held_out: validation systems of every family and unseen size; seed: of the systems.
    """

    start: Callable[[], Recipe]
    families: tuple[str, ...]
    sizes: tuple[int, ...]
    unseen_sizes: tuple[int, ...]
    count: int = 64
    held_out: int = 4
    seed: int = 71_993
    options: Mapping[str, Any] = field(default_factory=dict)

    def perform(
        self, path: str | Path, *, minutes: float | None = None, progress: bool = True, device: str = "cpu", keep: bool = False
    ) -> Recipe:  # fmt: skip
        """Train and write the weights to `path`, with the facts that `describe` tells.

        PATH.training is the checkpoint: a run that was stopped is gone on with by the same call. It is removed at the end unless
        `keep`, which lets a later call with more steps or minutes go on.
        """
        checkpoint = Path(f"{path}.training")
        parts = split(
            self.families, sizes=self.sizes, unseen_sizes=self.unseen_sizes, count=self.count, held_out=self.held_out,
            seed=self.seed,
        )  # fmt: skip
        state = trained(
            self.start(), parts, minutes=minutes, checkpoint=checkpoint, progress=progress, device=device, **self.options
        )
        facts = {
            "families": self.families, "sizes": self.sizes, "unseen_sizes": self.unseen_sizes, "systems": self.count,
            "seed": self.seed, "plan": state.identity["plan"], "steps": state.step, "seconds": round(state.seconds, 3),
            "iterations_before": state.history[0][1], "iterations": state.best_score, "device": device,
        }  # fmt: skip
        save(state.best, path, facts)
        if not keep:
            checkpoint.unlink(missing_ok=True)
        return state.best


def asked(kind: str, families: tuple[str, ...], *, start: Recipe | None = None, **options: Any) -> Run:
    """The run of a kind on families, of sizes that suit their dimension; ValueError if the kind or a family is not known."""
    if kind not in KINDS or kind not in OBJECTIVES:
        raise ValueError(f"kind must be one of {', '.join(k for k in KINDS if k in OBJECTIVES)}; got {kind!r}")
    if not families:
        raise ValueError(f"name at least one family of {', '.join(FAMILIES)}")
    dims = {family(name).dim for name in families}
    if len(dims) > 1:
        raise ValueError(f"families must have one dimension; got {', '.join(families)}")
    dim = dims.pop()
    sizes = options.pop("sizes", None) or SIZES[dim]
    unseen = options.pop("unseen_sizes", None) or tuple(size for size in UNSEEN[dim] if size not in sizes) or (4 * max(sizes),)
    recipe = start if start is not None else beginning(kind, dim)
    if recipe.kind != kind:
        raise ValueError(f"the weights to start from are of kind {recipe.kind!r}, not {kind!r}")
    numbers = {name: options.pop(name, None) for name in ("count", "held_out")}
    numbers = {name: value for name, value in numbers.items() if value is not None}
    return Run(lambda: recipe, families, tuple(sizes), tuple(unseen), options=options, **numbers)


def beginning(kind: str, dim: int) -> Any:
    """An untrained recipe of this kind for systems of this dimension."""
    make = KINDS[kind].untrained
    return make(dim=dim) if "dim" in make.__annotations__ else make()
