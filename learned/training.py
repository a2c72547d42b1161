"""Training: networks of a recipe, on systems of families, resumed from a checkpoint to the same bits."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..solvers import cg
from . import losses
from .checkpoint import Recipe, read, version, write
from .families import Member, Split, System
from .losses import Sample
from .networks.message_passing import EncodeProcessDecode, module_of, network_of
from .preconditioner import GraphFactor

Loss = Callable[[Sample, tuple[Tensor, Tensor], Tensor, Tensor], Tensor]
DEFAULT = {"graph-factor": "data", "sparse-inverse-network": "unrolled-cg"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained how: all that decides the weights, besides the recipe and the systems.

    loss: 'unrolled-cg', or 'data' (GraphFactor), 'sai' or 'kaporin' (SparseInverseNetwork); batch: systems a step; columns:
    vectors a system; rate: of Adam, times `decay` every step; clip: the largest norm of a gradient; unrolled: steps of cg;
    every: steps from one validation to the next.
    """

    loss: str
    steps: int = 400
    batch: int = 2
    columns: int = 8
    rate: float = 3e-3
    decay: float = 0.996
    clip: float = 1.0
    unrolled: int = 12
    every: int = 50
    seed: int = 10_267

    def __post_init__(self) -> None:
        for what in ("steps", "batch", "columns", "unrolled", "every"):
            if not isinstance(getattr(self, what), int) or getattr(self, what) < 1:
                raise ValueError(f"{what} must be an integer and at least 1; got {getattr(self, what)!r}")
        for what in ("rate", "decay", "clip"):
            if not 0.0 < getattr(self, what) < math.inf:
                raise ValueError(f"{what} must be positive and finite; got {getattr(self, what)!r}")


def train(
    recipe: Recipe, parts: Split, *, loss: str | None = None, minutes: float | None = None, checkpoint: str | Path | None = None,
    progress: bool = True, device: str = "cpu", **options: Any,
) -> Recipe:  # fmt: skip
    """The recipe with the weights that need the fewest iterations on validation systems, of all that training met.

    Parameters
    ----------
    recipe : GraphFactor or SparseInverseNetwork
        Where to start: `untrained()`, or a trained one to tune.
    parts : Split
        What to train on and what to choose by (`families.split`); its test systems are not looked at.
    loss : str, optional
        'data' (default; that of the paper) or 'unrolled-cg' for a GraphFactor; 'unrolled-cg' (default), 'sai' or 'kaporin' for a
        SparseInverseNetwork.
    minutes : float, optional
        Stop after so many minutes even if steps are left; how many were done then depends on the machine.
    checkpoint : path, optional
        A file that is written at every validation and gone on with if it is there: after kill -9 the next call takes up the last
        one written and ends with the same bits, on one machine, as if nothing had happened.
    progress : bool
        Show a bar on stderr.
    device : str
        Of torch. The same bits are promised on 'cpu'.
    **options
        Those of `Plan`: steps, batch, columns, rate, decay, clip, unrolled, every, seed.

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
    Adam in double precision on one thread; every step draws from a generator of its own, seeded by (seed, step), so that nothing
    but weights, moments and the step number needs to be kept. Members are drawn anew for every step. A step of batch 2 at 400
    unknowns takes about 0.1 s. Ctrl-C loses what was done since the last checkpoint, and no more.

    Examples
    --------
    >>> from petrov import learned
    >>> parts = learned.split(["fv2d"], sizes=[40], unseen_sizes=[60], count=2, held_out=1)
    >>> start = learned.SparseInverseNetwork.untrained(width=4, steps=1)
    >>> learned.train(start, parts, steps=2, progress=False).name
    'sparse inverse net'
    """
    plan = Plan(loss or DEFAULT[recipe.kind], **options)
    objective = objective_of(recipe, plan)
    state = State.begin(recipe, plan, parts, checkpoint, device)
    deadline = math.inf if minutes is None else time.perf_counter() + 60.0 * minutes
    with one_thread(), bar(progress, plan.steps, state.step) as shown:
        if state.step == 0 and not state.history:
            state.validate(parts)
        while state.step < plan.steps and time.perf_counter() < deadline:
            value = advance(state, parts, plan, objective)
            if state.step % plan.every == 0 or state.step == plan.steps:
                state.validate(parts)
                state.write(checkpoint)
            shown(state.step, value, state.best_score)
        if state.history[-1][0] != state.step:  # the time was up
            state.validate(parts)
            state.write(checkpoint)
    return state.best


def objective_of(recipe: Recipe, plan: Plan) -> Loss:
    """The loss of (sample, (scalars of the nodes, of the edges), vectors (n, k), S A S times these)."""
    known = of_factor(recipe, plan) if isinstance(recipe, GraphFactor) else of_inverse(recipe.epsilon, plan)
    if plan.loss not in known:
        raise ValueError(f"loss must be one of {', '.join(known)} for a {recipe.name}; got {plan.loss!r}")
    return known[plan.loss]


def of_factor(recipe: GraphFactor, plan: Plan) -> dict[str, Loss]:
    def lower(at: Sample, out: tuple[Tensor, Tensor]) -> Tensor:
        return losses.bounded_lower(at, out[1], at.values if recipe.start == "gauss-seidel" else 0.0)

    return {
        "data": lambda at, out, X, B: losses.data_weighted(at, lower(at, out), X, B),
        "unrolled-cg": lambda at, out, X, B: losses.unrolled_cg(
            at, losses.triangular_product(at, lower(at, out)), X, plan.unrolled
        ),
    }  # fmt: skip


def of_inverse(epsilon: float, plan: Plan) -> dict[str, Loss]:
    def factor(at: Sample, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return 1.0 + out[0], out[1] - 0.5 * at.values

    def product(at: Sample, out: tuple[Tensor, Tensor]) -> losses.Product:
        return losses.inverse_product(at, *factor(at, out), epsilon)

    return {
        "sai": lambda at, out, X, B: losses.sai(at, product(at, out), X),
        "unrolled-cg": lambda at, out, X, B: losses.unrolled_cg(at, product(at, out), X, plan.unrolled),
        "kaporin": lambda at, out, X, B: losses.kaporin(at, *factor(at, out), epsilon),
    }


def advance(state: State, parts: Split, plan: Plan, objective: Loss) -> float:
    """One step of Adam on the mean loss of a batch; the loss."""
    rng = np.random.default_rng([plan.seed, state.step])
    chosen = rng.integers(len(parts.training), size=plan.batch)
    state.optimiser.zero_grad()
    value = torch.zeros((), dtype=torch.float64, device=state.device)
    for k in chosen:
        value = value + loss_of(state, parts.training[k].system(), plan, objective, rng) / plan.batch
    value.backward()
    torch.nn.utils.clip_grad_norm_(state.module.parameters(), plan.clip)
    for group in state.optimiser.param_groups:
        group["lr"] = plan.rate * plan.decay**state.step
    state.optimiser.step()
    state.step += 1
    return float(value.detach())


def loss_of(state: State, system: System, plan: Plan, objective: Loss, rng: np.random.Generator) -> Tensor:
    """The loss on one system, for random vectors x, or, where the loss is of data, for random b."""
    a = state.recipe.network.architecture
    known = a.graph(system.A, system.coordinates, system.node_features, system.edge_features)
    at = losses.sample(known, state.device)
    X = torch.from_numpy(rng.standard_normal((known.size, plan.columns))).to(state.device)
    B = at.A(X)
    if plan.loss == "data":
        B, X = X, torch.linalg.solve(at.dense(torch.ones_like(X[:, 0]), at.values), X)
    if not a.right_hand_side:
        return objective(at, state.module(at.nodes, at.edges, at.edge_index), X, B)
    column = B[:, :1] / B[:, :1].square().mean().sqrt()  # b of mean square one, as `predicted` gives it
    value = objective(at, state.module(torch.cat([at.nodes, 0 * column], 1), at.edges, at.edge_index), X, B)
    guess = state.module(torch.cat([at.nodes, column], 1), at.edges, at.edge_index)[0]
    return value + losses.prediction(guess[:, None] * (B[:, :1].square().mean().sqrt()), X[:, :1])


@dataclass(slots=True, eq=False)
class State:
    """Where training stands: all of it is in a checkpoint, except what is made again from the identity."""

    recipe: Recipe
    module: EncodeProcessDecode
    optimiser: torch.optim.Adam
    identity: dict[str, Any]
    device: str
    step: int
    best: Recipe
    best_score: float
    history: list[list[float]]

    @staticmethod
    def begin(recipe: Recipe, plan: Plan, parts: Split, checkpoint: str | Path | None, device: str) -> State:
        """From the checkpoint if there is one, else from the recipe."""
        identity = identity_of(recipe, plan, parts)
        module = module_of(recipe.network).to(device)
        state = State(recipe, module, torch.optim.Adam(module.parameters()), identity, device, 0, recipe, math.inf, [])
        if checkpoint is not None and Path(checkpoint).exists():
            state.read(checkpoint)
        return state

    def validate(self, parts: Split) -> None:
        """Count iterations on the validation systems: the geometric mean; keep the weights if it is the lowest so far."""
        recipe = replace(self.recipe, network=network_of(self.recipe.network.architecture, self.module))
        score = iterations(recipe, parts.validation)
        self.history.append([self.step, score])
        if score < self.best_score:
            self.best, self.best_score = recipe, score

    def write(self, checkpoint: str | Path | None) -> None:
        if checkpoint is None:
            return
        arrays = {f"now/{name}": value.detach().cpu().numpy() for name, value in self.module.state_dict().items()}
        arrays |= {f"best/{name}": value for name, value in self.best.network.weights.items()}
        for name, parameter in self.module.named_parameters():
            moments = self.optimiser.state[parameter]  # empty for what the loss does not see
            arrays |= {f"{what}/{name}": value.detach().cpu().numpy() for what, value in moments.items() if what != "step"}
        facts = {"step": self.step, "best_score": self.best_score, "history": self.history}
        write(checkpoint, {"kind": "training", "petrov": version(), "identity": self.identity, "facts": facts}, arrays)

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
        facts = header["facts"]
        self.module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in parts["now"].items()})
        for name, parameter in self.module.named_parameters():
            if name in parts["exp_avg"]:
                moments = {what: torch.from_numpy(parts[what][name].copy()).to(self.device) for what in ("exp_avg", "exp_avg_sq")}
                self.optimiser.state[parameter] = {"step": torch.tensor(float(facts["step"])), **moments}
        self.best = replace(self.recipe, network=replace(self.recipe.network, weights=parts["best"]))
        self.step, self.best_score, self.history = facts["step"], facts["best_score"], facts["history"]


def identity_of(recipe: Recipe, plan: Plan, parts: Split) -> dict[str, Any]:
    """What decides the weights, as JSON: a checkpoint of anything else is refused. More steps go on from fewer."""
    start = sha256(b"".join(value.tobytes() for _, value in sorted(recipe.network.weights.items()))).hexdigest()
    planned = {key: value for key, value in asdict(plan).items() if key != "steps"}
    members = {"training": parts.training, "validation": parts.validation}
    told = {
        "kind": recipe.kind, "architecture": asdict(recipe.network.architecture), "start": start, "plan": planned,
        "epsilon": getattr(recipe, "epsilon", None), "from": getattr(recipe, "start", None), **members,
    }  # fmt: skip
    return json.loads(json.dumps(told))


def iterations(recipe: Any, members: Sequence[Member], rtol: float = 1e-8) -> float:
    """The geometric mean of the iterations of cg over these systems; a solve that does not converge counts as its limit."""
    total = 0.0
    for member in members:
        system = member.system()
        total += math.log(max(cg(system.A, system.b, M=system.bind(recipe), rtol=rtol).iterations, 1))
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
