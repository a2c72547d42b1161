"""Training: networks of a recipe, on systems of families, resumed from a checkpoint to the same bits."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..solvers import cg, flexible_cg
from .checkpoint import read, version, write
from .families import Source, Split
from .objectives import conjugate_directions, graph_multigrid, graph_networks, grid_multigrid
from .objectives.objective import Objective, weights_of
from .plan import Plan
from .recipe import Recipe

KEPT = 256  # prepared training systems
LIMIT = 1000  # iterations of a validation
# kind -> objective(recipe, plan, device), and the losses it knows, the default first
OBJECTIVES: dict[str, tuple[Callable[..., Objective], tuple[str, ...]]] = {
    "graph-factor": (graph_networks.factor, ("data", "unrolled-cg")),
    "graph-multigrid": (graph_multigrid.multigrid, graph_multigrid.LOSSES),
    "grid-multigrid": (grid_multigrid.objective, grid_multigrid.LOSSES),
    "sparse-inverse-network": (graph_networks.inverse, ("unrolled-cg", "sai", "kaporin")),
    "conjugate-directions": (conjugate_directions.directions, conjugate_directions.LOSSES),
}


def train(
    recipe: Recipe, parts: Split, *, loss: str | None = None, minutes: float | None = None, checkpoint: str | Path | None = None,
    progress: bool = True, device: str = "cpu", data: str | Path | None = None, **options: Any,
) -> Recipe:  # fmt: skip
    """The recipe with the weights that need the fewest iterations on validation systems, of all that training met.

    Parameters
    ----------
    recipe : a recipe of this package with weights
        Where to start: `untrained()`, or a trained one to tune.
    parts : Split
        What to train on and what to choose by (`families.split`); its test systems are not looked at.
    loss : str, optional
        'data' (default; that of the paper) or 'unrolled-cg' for a GraphFactor; 'unrolled-cg' (default), 'sai' or 'kaporin' for a
        SparseInverseNetwork; 'residual' (default; that of the paper) or 'energy' for ConjugateDirections.
    minutes : float, optional
        Stop after so many minutes even if steps are left; how many were done then depends on the machine.
    checkpoint : path, optional
        A file that is written at every validation and gone on with if it is there: after kill -9 the next call takes up the last
        one written and ends with the same bits, on one machine, as if nothing had happened.
    progress : bool
        Show a bar on stderr.
    device : str
        Of torch. The same bits are promised on 'cpu'.
    data : path, optional
        A folder for what ConjugateDirections learns from, Ritz vectors (`learned.ritz`): read where they are, written where not.
    **options
        Those of `Plan`: steps, batch, columns, rate, decay, clip, unrolled, every, rtol, seed.

    Returns
    -------
    recipe
        Of the same kind. The start counts: it is returned if nothing beat it.

    Raises
    ------
    ValueError
        For a loss that is not of this recipe, a plan that makes no sense, or a checkpoint of other work (naming what differs).

    Notes
    -----
    Adam on one thread, in double precision (single for ConjugateDirections); every step draws from a generator of its own,
    seeded by (seed, step), so that nothing but weights, moments and the step number needs to be kept. A training system is
    drawn and prepared once. A step of batch 2 at 400 unknowns takes about 0.1 s. Ctrl-C loses what was done since the last
    checkpoint, and no more.

    Examples
    --------
    >>> from petrov import learned
    >>> parts = learned.split(["fv2d"], sizes=[40], unseen_sizes=[60], count=2, held_out=1)
    >>> start = learned.SparseInverseNetwork.untrained(width=4, steps=1)
    >>> learned.train(start, parts, steps=2, progress=False).name
    'sparse inverse net'
    """
    return trained(
        recipe, parts, loss=loss, minutes=minutes, checkpoint=checkpoint, progress=progress, device=device, data=data,
        **options,
    ).best  # fmt: skip


def trained(
    recipe: Recipe, parts: Split, *, loss: str | None = None, minutes: float | None = None, checkpoint: str | Path | None = None,
    progress: bool = True, device: str = "cpu", data: str | Path | None = None, **options: Any,
) -> State:  # fmt: skip
    """Where `train` ended: the best recipe, and how it came about."""
    objective, known = OBJECTIVES[recipe.kind]
    plan = Plan(loss or known[0], **options)
    made = objective(recipe, plan, device, **({} if data is None else {"data": data}))
    state = State.begin(recipe, made, plan, parts, checkpoint)
    begun, before = time.perf_counter(), state.seconds
    deadline = math.inf if minutes is None else begun + 60.0 * minutes
    with one_thread(), bar(progress, plan.steps, state.step) as shown:
        if state.step == 0 and not state.history:
            state.validate(parts, plan)
        while state.step < plan.steps and time.perf_counter() < deadline:
            value = advance(state, parts, plan)
            if state.step % plan.every == 0 or state.step == plan.steps:
                state.validate(parts, plan)
                state.seconds = before + time.perf_counter() - begun
                state.write(checkpoint)
            shown(state.step, value, state.best_score)
        if state.history[-1][0] != state.step:  # the time was up
            state.validate(parts, plan)
            state.write(checkpoint)
    state.seconds = before + time.perf_counter() - begun
    return state


def advance(state: State, parts: Split, plan: Plan) -> float:
    """One step of Adam on the mean loss of a batch; the loss."""
    rng = np.random.default_rng([plan.seed, state.step])
    chosen = rng.integers(len(parts.training), size=plan.batch)
    state.optimiser.zero_grad()
    value = torch.stack([state.objective.loss(state.prepared(parts.training[k]), rng) for k in chosen]).mean()
    value.backward()
    torch.nn.utils.clip_grad_norm_(state.objective.module.parameters(), plan.clip)
    for group in state.optimiser.param_groups:
        group["lr"] = plan.rate * plan.decay**state.step
    state.optimiser.step()
    state.step += 1
    return float(value.detach())


@dataclass(slots=True, eq=False)
class State:
    """Where training stands: all of it is in a checkpoint, except what is made again from the identity."""

    recipe: Recipe
    objective: Objective
    optimiser: torch.optim.Adam
    identity: dict[str, Any]
    step: int
    best: Recipe
    best_score: float
    history: list[list[float]]
    prepared: Callable[[Any], Any]
    seconds: float = 0.0  # of all tries together

    @staticmethod
    def begin(recipe: Recipe, objective: Objective, plan: Plan, parts: Split, checkpoint: str | Path | None) -> State:
        """From the checkpoint if there is one, else from the recipe."""
        optimiser = torch.optim.Adam(objective.module.parameters())
        prepared = lru_cache(KEPT)(lambda member: objective.prepare(member.system()))
        state = State(recipe, objective, optimiser, identity_of(recipe, plan, parts), 0, recipe, math.inf, [], prepared)
        if checkpoint is not None and Path(checkpoint).exists():
            state.read(checkpoint)
        return state

    def validate(self, parts: Split, plan: Plan) -> None:
        """The geometric mean of iterations, or of what they cost, on the validation systems; keep the weights if it is the lowest
        so far."""
        recipe = self.recipe.with_weights(weights_of(self.objective.module))
        score = judged(recipe, parts.validation, plan.rtol, self.objective.cost)
        self.history.append([self.step, score])
        if score < self.best_score:
            self.best, self.best_score = recipe, score

    def write(self, checkpoint: str | Path | None) -> None:
        if checkpoint is None:
            return
        arrays = {f"now/{name}": value for name, value in weights_of(self.objective.module).items()}
        arrays |= {f"best/{name}": value for name, value in self.best.weights.items()}
        for name, parameter in self.objective.module.named_parameters():
            moments = self.optimiser.state[parameter]  # empty for what the loss does not see
            arrays |= {f"{what}/{name}": value.detach().cpu().numpy() for what, value in moments.items() if what != "step"}
        facts = {"step": self.step, "best_score": self.best_score, "history": self.history}
        told = {"kind": "training", "petrov": version(), "identity": self.identity, "facts": facts, "seconds": self.seconds}
        write(checkpoint, told, arrays)

    def read(self, checkpoint: str | Path) -> None:
        header, arrays = read(checkpoint)
        there = header.get("identity")
        if header.get("kind") != "training" or there != self.identity:
            differs = [key for key in self.identity if not isinstance(there, dict) or there.get(key) != self.identity[key]]
            raise ValueError(f"{checkpoint} is of other work ({', '.join(differs) or 'not training'} differs): name another file")
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in ("now", "best", "exp_avg", "exp_avg_sq")}
        for name, value in arrays.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value
        facts, module = header["facts"], self.objective.module
        module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in parts["now"].items()})
        for name, parameter in module.named_parameters():
            if name in parts["exp_avg"]:
                moments = {
                    what: torch.from_numpy(parts[what][name].copy()).to(parameter.device) for what in ("exp_avg", "exp_avg_sq")
                }
                self.optimiser.state[parameter] = {"step": torch.tensor(float(facts["step"])), **moments}
        self.best = self.recipe.with_weights(parts["best"])
        self.step, self.best_score, self.history = facts["step"], facts["best_score"], facts["history"]
        self.seconds = header["seconds"]


def identity_of(recipe: Recipe, plan: Plan, parts: Split) -> dict[str, Any]:
    """What decides the weights, as JSON: a checkpoint of anything else is refused. More steps go on from fewer."""
    start = sha256(b"".join(value.tobytes() for _, value in sorted(recipe.weights.items()))).hexdigest()
    planned = {key: value for key, value in asdict(plan).items() if key != "steps"}
    members = {"training": parts.training, "validation": parts.validation}
    told = {"kind": recipe.kind, "start": start, "plan": planned, "recipe": recipe.description(), **members}
    return json.loads(json.dumps(told, default=lambda member: member.digest))


def judged(recipe: Any, members: Sequence[Source], rtol: float, cost: Callable[[Any, float], float]) -> float:
    """The geometric mean over these systems of the cost of the iterations, of cg, or of flexible_cg where M is not known to be
    definite.

    A solve that does not converge within 1000 of them counts as 1000, wherever it ended.
    """
    total = 0.0
    for member in members:
        system = member.system()
        M = system.bind(recipe)(system.A)
        method = cg if getattr(M, "linear", True) and getattr(M, "spd", None) else flexible_cg
        result = method(system.A, system.b, M=M, rtol=rtol, max_iterations=LIMIT)
        total += math.log(cost(M, max(result.iterations, 1) if result.converged else LIMIT))
    return math.exp(total / max(len(members), 1))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: sums in one order, and small graphs are no faster on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def bar(wanted: bool, steps: int, done: int) -> Iterator[Callable[[int, float, float], Any]]:
    """shown(step, loss, score) of a progress bar on stderr, or of none."""
    if not wanted:
        yield lambda step, loss, score: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("training", total=steps, completed=done)

        def shown(step: int, loss: float, score: float) -> None:
            progress.update(task, completed=step, description=f"loss {loss:.4f}, best {score:.1f} iterations")

        yield shown
