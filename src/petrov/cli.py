"""The command line: `petrov solve | generate | train | bench | doctor`. Results go to stdout, messages to stderr.

Exit codes: 0 solved, 1 not solved, 2 bad input, 130 interrupted. What a command needs is loaded when it runs, so that
`petrov --help` loads no solver.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import __version__

SOLVED, NOT_SOLVED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
METHODS = ("auto", "cg", "block_cg", "flexible_cg", "minres", "gmres", "gcrodr", "bicgstab", "lsmr", "direct")
PRECONDITIONERS = ("auto", "none", "jacobi", "chebyshev", "ic", "ilu", "fsai", "amg", "gmg", "rs")
KINDS = ("conjugate-directions", "graph-factor", "graph-multigrid", "grid-multigrid", "sparse-inverse-network")
SEED = 20_317

EPILOG = "exit codes: 0 solved, 1 not solved, 2 bad input, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. argparse's own errors leave by SystemExit(2)."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        say("interrupted; nothing was written")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        say(f'{error}; if it is optional, pip install "petrov[bench]" brings it; `petrov doctor` lists what is missing')
        return BAD_INPUT
    except (ValueError, TypeError, OSError, ImportError) as error:
        say(str(error))
        return BAD_INPUT
    except MemoryError as error:
        say(f"out of memory: {error}")
        return BAD_INPUT


def say(message: str) -> None:
    print(f"petrov: {message}", file=sys.stderr)


def part(name: str) -> Any:
    """The package itself ('.'), one of its modules ('.name') or a library, loaded now."""
    return importlib.import_module(name, __package__)


# -- What can be asked -----------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="petrov", description="Solve linear systems, measure solvers, look at the installation.")
    top.add_argument("--version", action="version", version=f"petrov {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    add_solve(commands.add_parser("solve", help="solve A x = b from files", epilog=EPILOG))
    add_generate(commands.add_parser("generate", help="training data for operator learning", epilog=EPILOG))
    add_train(commands.add_parser("train", help="weights of a learned preconditioner", epilog=EPILOG))
    add_bench(commands.add_parser("bench", help="run a suite, or compare two runs"))
    doctor = commands.add_parser("doctor", help="what is installed, what works, what is missing")
    doctor.set_defaults(run=lambda arguments: part(".benchmarks.doctor").main())
    return top


def add_solve(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=solve)
    add = command.add_argument
    add("matrix", type=Path, metavar="A", help=".mtx, .mtx.gz, .npz (scipy.sparse.save_npz) or .npy")
    add("--rhs", type=Path, metavar="FILE", help="b as .mtx, .mtx.gz or .npy (default: A times a random vector)")
    add("--x0", type=Path, metavar="FILE", help="where to start, for example the --out of an interrupted solve")
    add("--method", choices=METHODS, default="auto", help="default: chosen from what can be seen of A")
    add("--precond", choices=PRECONDITIONERS, default="auto", help="amg and rs need PyAMG (default: chosen)")
    add("--nullspace", choices=("constant",), help="solve a singular system off its constant null space")
    add("--rtol", type=float, help="||b - A x|| <= rtol ||b|| (default: 1e-8, 1e-5 in single precision)")
    add("--max-iterations", type=int, metavar="N", help="default: min(10 n, 10000)")
    add("--time-limit", type=float, metavar="SECONDS")
    add("--out", type=Path, metavar="x.npy", help="write x here; if it did not converge, the best x so far")
    add("--report", type=Path, metavar="r.html", help='write a report; needs pip install "petrov[bench]"')


def add_generate(command: argparse.ArgumentParser) -> None:
    families = command.add_subparsers(metavar="FAMILY", required=True)
    darcy = families.add_parser("darcy", help="(a, u) with -div(a grad u) = 1 for random a; goes on where it was stopped")
    darcy.set_defaults(run=generate)
    add = darcy.add_argument
    add("--samples", type=int, required=True, metavar="N")
    add("--grid", type=int, required=True, metavar="N", help="cells a side")
    add("--out", type=Path, required=True, metavar="FOLDER", help="manifest.json, and a and u in shards of .npy")
    add("--dim", type=int, choices=(1, 2, 3), default=2)
    add("--coefficient", choices=("lognormal", "two-phase"), default="lognormal")
    add("--seed", type=int, default=5_309, help="of the first sample; the others follow (default: 5309)")
    add("--rtol", type=float, default=1e-8, help="||b - A u|| <= rtol ||b|| (default: 1e-8)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="of the files (default: float32)")
    add("--shard", type=int, default=256, metavar="N", help="samples a file (default: 256)")


def add_train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=train)
    add = command.add_argument
    add("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    add("--family", required=True, nargs="+", metavar="NAME", help="of systems to train on, as fem2d (a wrong name lists them)")
    add("--out", type=Path, metavar="FILE", help="for the weights (default: KIND.safetensors)")
    add("--minutes", type=float, help="at most (default: until the steps are done)")
    add("--steps", type=int, metavar="N", help="of the optimiser (default: 400)")
    add("--loss", help="default: that of the kind (a wrong name lists them)")
    add("--sizes", type=int, nargs="+", metavar="N", help="unknowns of the systems trained on")
    add("--unseen-sizes", type=int, nargs="+", metavar="N", help="unknowns of those that choose among the weights met")
    add("--systems", type=int, metavar="N", help="to train on (default: 64)")
    add("--start", metavar="WEIGHTS", help="a file or the name of shipped weights to go on from (default: untrained)")
    add("--seed", type=int, help="of the vectors (default: 10267)")
    add("--device", default="cpu", help="of torch, as cuda (default: cpu)")


def add_bench(command: argparse.ArgumentParser) -> None:
    suites = command.add_subparsers(metavar="SUITE", required=True)
    poisson = suites.add_parser("poisson", help="Poisson-like and real systems, petrov and its peers")
    poisson.set_defaults(run=bench)
    poisson.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    poisson.add_argument("--size", type=int, nargs="+", metavar="N", help="cells along a side")
    peers = suites.add_parser("peers", help="petrov against SciPy, PyAMG and PETSc, work by work, with bars and targets")
    peers.set_defaults(run=bench_peers)
    peers.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    peers.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    sequences = suites.add_parser("sequences", help="recycling, blocks and petrov.Sequence beside a paper and the rivals")
    sequences.set_defaults(run=bench_sequences)
    sequences.add_argument("--quick", action="store_true", help="small sets, about a minute")
    sequences.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    rom = suites.add_parser("rom", help="reduced models beside pyMOR, on the same matrices and training sets")
    rom.set_defaults(run=bench_rom)
    rom.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    rom.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    ttn = suites.add_parser("ttn", help="integrators on trees beside PyTreeNet and TeNPy, and what only petrov can run")
    ttn.set_defaults(run=bench_ttn)
    ttn.add_argument("--quick", action="store_true", help="few steps and small sizes, two minutes")
    ttn.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    learned = suites.add_parser("learned", help="learned preconditioners beside their untrained twins and all classical ones")
    learned.set_defaults(run=bench_learned)
    learned.add_argument("--quick", action="store_true", help="small sizes, two minutes")
    learned.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    gpu = suites.add_parser("gpu", help="petrov on CuPy beside a copy, cupyx and petrov on the host (needs a GPU)")
    gpu.set_defaults(run=bench_gpu)
    gpu.add_argument("--quick", action="store_true", help="small sizes, half a minute")
    gpu.add_argument("--only", nargs="+", metavar="WORK", help="these works alone (a wrong name lists them)")
    for command in (poisson, peers, sequences, rom, ttn, learned, gpu):
        command.add_argument("--json", type=Path, metavar="FILE", help="keep the rows, and go on with an unfinished run")
        command.add_argument("--html", type=Path, metavar="FILE", help="write the report")
    scaling = suites.add_parser("scaling", help="strong and weak scaling over ranks, and a model of it (needs PETSc)")
    scaling.set_defaults(run=bench_scaling)
    scaling.add_argument("--quick", action="store_true", help="small grids, half a minute")
    scaling.add_argument("--json", type=Path, metavar="FILE", help="keep what was measured")
    scaling.add_argument("--page", type=Path, metavar="FILE", help="write tables and plot into this page, as docs/scaling.md")
    compare = suites.add_parser("compare", help="two JSON files of earlier runs side by side")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    compare.set_defaults(run=lambda arguments: part(".benchmarks.compare").main(arguments.old, arguments.new))


# -- Commands --------------------------------------------------------------------------------------------------------------


def bench(arguments: argparse.Namespace) -> int:
    runner = part(".benchmarks.runner")
    return runner.main(
        suite="poisson", quick=arguments.quick, sizes=arguments.size, json=arguments.json, html=arguments.html
    )  # fmt: skip


def bench_peers(arguments: argparse.Namespace) -> int:
    versus = part(".benchmarks.versus")
    return versus.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_sequences(arguments: argparse.Namespace) -> int:
    suite = part(".benchmarks.sequences.suite")
    return suite.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_rom(arguments: argparse.Namespace) -> int:
    suite = part(".benchmarks.rom.suite")
    return suite.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_ttn(arguments: argparse.Namespace) -> int:
    suite = part(".benchmarks.ttn.suite")
    return suite.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_learned(arguments: argparse.Namespace) -> int:
    suite = part(".benchmarks.learned.suite")
    return suite.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_gpu(arguments: argparse.Namespace) -> int:
    suite = part(".benchmarks.gpu.suite")
    return suite.main(quick=arguments.quick, only=arguments.only, json=arguments.json, html=arguments.html)


def bench_scaling(arguments: argparse.Namespace) -> int:
    return part(".benchmarks.scaling.suite").main(quick=arguments.quick, json=arguments.json, page=arguments.page)


def generate(arguments: argparse.Namespace) -> int:
    """Write what is missing in the folder, with a bar on a terminal."""
    petrov, dataset, problems = part("."), part(".solvers.dataset"), part(".solvers.problems")
    n, dim, kind, seed = arguments.grid, arguments.dim, arguments.coefficient, arguments.seed
    family = {"problem": "darcy", "grid": n, "dim": dim, "coefficient": kind, "seed": seed}
    kept = {name: getattr(arguments, name) for name in ("samples", "rtol", "dtype", "shard")}
    wanted = dataset.Wanted(shape=(n,) * dim, family=family, **kept)

    def system(sample: int) -> tuple[Any, Any, Any]:
        problem = problems.darcy(n, dim, coefficient=kind, seed=seed + sample)
        return problem.A, problem.b, problem.coefficient

    try:
        with samples_bar() as step:
            summary = dataset.generate(system, wanted, arguments.out, progress=step)
    except petrov.SolveError as error:
        say(str(error))
        return NOT_SOLVED
    except (petrov.SolveInterrupted, KeyboardInterrupt):
        say(f"interrupted; the same command goes on with what is in {arguments.out}")
        return INTERRUPTED
    print(summary if summary.systems else "nothing was missing")
    print(f"{wanted.samples} samples of {' x '.join(map(str, wanted.shape))} are in {arguments.out}")
    return SOLVED


def train(arguments: argparse.Namespace) -> int:
    """Train and write the weights; the same command goes on where one was stopped."""
    out = arguments.out or Path(f"{arguments.kind}.safetensors")
    if out.suffix != ".safetensors" or out.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise ValueError(f"--out {out}: give the name of a .safetensors file in an existing, writable folder")
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise ValueError(f"--minutes must be positive; got {arguments.minutes}")
    checkpoint, runs = part(".learned.checkpoint"), part(".learned.runs")
    start = None if arguments.start is None else checkpoint.load(arguments.start)
    given = {name: getattr(arguments, name) for name in ("sizes", "unseen_sizes", "loss", "steps", "seed")}
    run = runs.asked(
        arguments.kind, tuple(arguments.family), start=start, count=arguments.systems,
        **{name: value for name, value in given.items() if value is not None},
    )  # fmt: skip
    try:
        run.perform(out, minutes=arguments.minutes, device=arguments.device, progress=sys.stderr.isatty())
    except KeyboardInterrupt:
        say(f"interrupted; the same command goes on from {out}.training")
        return INTERRUPTED
    facts = checkpoint.describe(out)["facts"]
    print(
        f"{out}: {facts['iterations']:.1f} iterations on unseen sizes, {facts['iterations_before']:.1f} before; "
        f"{facts['steps']} steps in {facts['seconds']:.0f} s"
    )
    return SOLVED


@contextmanager
def samples_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A callback that shows how many samples are there while stderr is a terminal, else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("samples", total=None)
        yield lambda there, wanted: bar.update(task, total=wanted, completed=there)


def solve(arguments: argparse.Namespace) -> int:
    """Read, solve, print the line; write x and the report, whatever the outcome."""
    check_outputs(arguments)
    petrov, files = part("."), part(".solvers.matrix_files")
    A = files.read_matrix(arguments.matrix)
    b, source = right_hand_side(A, arguments.rhs, files)
    x0 = None if arguments.x0 is None else files.read_vector(arguments.x0)
    try:
        with progress(b, arguments.rtol) as callback:
            result = petrov.solve(
                A, b, method=arguments.method, M=arguments.precond, x0=x0, rtol=arguments.rtol,
                max_iterations=arguments.max_iterations, time_limit=arguments.time_limit, callback=callback,
                nullspace=arguments.nullspace,
            )  # fmt: skip
        print(result)
        code = SOLVED
    except (petrov.SolveError, petrov.SolveInterrupted) as error:
        say(str(error))
        result = error.result
        code = NOT_SOLVED if isinstance(error, petrov.SolveError) else INTERRUPTED
    write(arguments, A, b, source, result, code, files)
    return code


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse before the work what would fail after it, and outputs that are inputs."""
    if arguments.out is not None and arguments.out.suffix != ".npy":
        raise ValueError(f"--out {arguments.out}: x is written as .npy; give a name that ends in it")
    inputs = {path.resolve() for path in (arguments.matrix, arguments.rhs) if path is not None}
    outputs = {"--out": arguments.out, "--report": arguments.report}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.resolve() in inputs:
            raise ValueError(f"{option} {path} is an input, which is never written to; give another name")
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise ValueError(f"{option} {path}: cannot be written; give the name of a file in an existing, writable folder")
    if arguments.report is not None:
        part(".benchmarks.solve_report").require_libraries()


def right_hand_side(A: Any, path: Path | None, files: Any) -> tuple[Any, str]:
    """b from its file, or A times a seeded random x, which is said; and where it came from."""
    if path is not None:
        return files.read_vector(path), str(path)
    source = f"A @ x, x standard normal from numpy.random.default_rng({SEED})"
    say(f"no --rhs given: b = {source}")
    return A @ part("numpy").random.default_rng(SEED).standard_normal(A.shape[1]), source


@contextmanager
def progress(b: Any, rtol: float | None) -> Iterator[Callable[[Any], None] | None]:
    """A callback that shows iteration, residual and digits gained while stderr is a terminal, else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    size = float(part("numpy").linalg.norm(b, axis=0).max(initial=0.0))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("setting up", total=None)
        digits = -math.log10(rtol) if rtol and 0 < rtol < 1 else 8.0

        def show(state: Any) -> None:
            residual = float(state.residual.max()) if getattr(state.residual, "ndim", 0) else float(state.residual)
            gained = math.log10(size / residual) if size > 0 and 0 < residual < math.inf else 0.0
            described = f"iteration {state.iteration:,}, residual {residual:.2e}"
            bar.update(task, description=described, total=digits, completed=max(0.0, min(gained, digits)))

        yield show


def write(arguments: argparse.Namespace, A: Any, b: Any, source: str, result: Any, code: int, files: Any) -> None:
    """x, unless nothing was done to it, and the report, where they were asked for."""
    begun = result is not None and (code == SOLVED or part("numpy").any(result.iterations))
    if arguments.out is not None and begun:
        files.write_vector(arguments.out, result.x)
        say(f"x is in {arguments.out}" if code == SOLVED else f"the best x so far is in {arguments.out}; --x0 goes on from it")
    elif arguments.out is not None:
        say(f"no iteration was made: {arguments.out} was not written")
    if arguments.report is not None and result is not None:
        entries = f"{A.nnz:,} entries" if hasattr(A, "nnz") else "dense"
        facts = {"A": f"{arguments.matrix}: {A.shape[0]:,} x {A.shape[1]:,}, {entries}, {A.dtype}", "b": source}
        part(".benchmarks.solve_report").write(result, b, arguments.report, title=arguments.matrix.name, facts=facts)
        say(f"report: {arguments.report}")
