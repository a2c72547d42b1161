"""Evolutions: times that are hit, what is recorded, Ctrl-C, kill -9, and what is refused."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from petrov.rom.ttn import (
    TTN,
    EvolutionError,
    EvolutionInterrupted,
    Function,
    KronSum,
    ProjectorSplitting,
    RankAdaptiveBUG,
    StepTruncate,
    Tree,
    evolve,
)
from petrov.rom.ttn.method import StepResult
from petrov.rom.ttn.run import Now, Run

TREE = Tree.balanced([2, 2, 2, 2])
SX = np.array([[0.0, 1.0], [1.0, 0.0]])
UP = np.array([1.0, 0.0])
H = KronSum(TREE, [(0.5, {leaf: SX}) for leaf in range(4)])
FIRST_UP = KronSum(TREE, [(1.0, {0: UP})])
EULER = StepTruncate(rk=1)


def start():
    return TTN.product(TREE, [UP] * 4)


class Noted:
    """A method that notes its steps and leaves the state as it is."""

    order = 1

    def __init__(self):
        self.steps = []

    def step(self, state, rhs, t, h, *, span=None):
        self.steps.append((t, h))
        return StepResult(state, (1e-3, 0.0), rejections=1)


def test_free_spins():
    observe = {"up": lambda Y: Y.expectation(FIRST_UP).real, "diagonal": lambda Y: np.array([Y.norm(), 2.0])}
    result = evolve(start(), -1j * H, (0.5, 1.5), dt=0.1, method=ProjectorSplitting(), observe=observe)
    np.testing.assert_allclose(result.times, 0.5 + 0.1 * np.arange(11), rtol=1e-13)
    np.testing.assert_allclose(result.observed["up"], np.cos((result.times - 0.5) / 2) ** 2, atol=1e-8)
    np.testing.assert_allclose(result.observed["diagonal"], [[1.0, 2.0]] * 11, atol=1e-8)
    assert result.ranks.shape == (11, 6) and result.discarded.shape == (11,) and result.state.dtype == "complex128"
    assert (result.steps, result.rejections, result.t) == (10, 0, 1.5)
    assert result.seconds > 0 and "10 steps" in repr(result)


@pytest.mark.parametrize(
    ("t", "dt", "save_at", "steps", "times"),
    [
        ((0, 1), 0.25, None, [0.25] * 4, [0, 0.25, 0.5, 0.75, 1]),
        ((0, 1), 0.4, None, [0.4, 0.4, 0.2], [0, 0.4, 0.8, 1]),
        ((0, 3 * 0.1), 0.1, [0.3], [0.1] * 3, [0.3]),  # 3 * 0.1 is more than 0.3, and more than 3 times 0.1
        ((0, 1), 0.4, [0, 0.5, 0.5, 1], [0.4, 0.1, 0.4, 0.1], [0, 0.5, 1]),
        ((-1, 1), 5.0, [0.25], [1.25, 0.75], [0.25]),
        ((2, 2), 0.1, None, [], [2]),
        ((2, 2), 0.1, [], [], []),
        ((0, 0.2), 0.1, [], [0.1, 0.1], []),
    ],
)
def test_times_are_hit(t, dt, save_at, steps, times):
    method = Noted()
    result = evolve(start(), H, t, dt=dt, method=method, save_at=save_at, observe={"t": lambda Y: Y.norm()})
    np.testing.assert_allclose([h for _, h in method.steps], steps, rtol=1e-12)
    np.testing.assert_allclose(
        [at for at, _ in method.steps], t[0] + np.cumsum([0, *steps])[: len(steps)], rtol=1e-12, atol=1e-15
    )
    np.testing.assert_allclose(result.times, times)
    assert result.t == t[1] and result.rejections == len(steps) and len(result.observed["t"]) == len(times)
    if t[1] in times:
        assert result.discarded[-1] == pytest.approx(1e-3 * len(steps))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dt": 0.0}, "dt must be positive"),
        ({"dt": np.nan}, "dt must be positive"),
        ({"t": (1, 0)}, "start <= end"),
        ({"t": (0, np.inf)}, "finite"),
        ({"t": 1.0}, "t must be"),
        ({"save_at": [2.0]}, "save_at must lie in"),
        ({"rhs": KronSum(Tree.chain([2] * 4), [(1.0, {0: SX})])}, "same tree"),
        ({"state": np.nan * start()}, "NaN"),
        ({"state": np.ones(16)}, "must be a TTN"),
        ({"rhs": SX}, "right-hand side is"),
        ({"method": "TDVP"}, "must be an integrator"),
        ({"method": StepTruncate}, "must be an integrator"),
        ({"dt": 1e-12}, "means 1e\\+12 steps"),
        ({"observe": {"up": lambda Y: None}}, r"observe\['up'\] must return a number .* got NoneType"),
        ({"observe": {"up": FIRST_UP}}, "functions of the state"),
    ],
)
def test_refused(change, told):
    asked = {"state": start(), "rhs": H, "t": (0, 1), "dt": 0.1, "method": EULER} | change
    with pytest.raises((ValueError, TypeError), match=told):
        evolve(asked.pop("state"), asked.pop("rhs"), asked.pop("t"), **asked)


def test_a_state_that_blows_up():
    class Growing:
        def step(self, state, rhs, t, h, *, span=None):
            return StepResult(1e200 * state)

    with np.errstate(all="ignore"), pytest.raises(EvolutionError, match=r"state at t = 0\.2 holds NaN or infinity") as caught:
        evolve(start(), H, (0, 1), dt=0.1, method=Growing())
    assert caught.value.result.t == 0.1 and np.isfinite(caught.value.result.state.cores[-1]).all()


def test_a_step_that_fails():
    def F(t, Y):
        if t > 0.25:
            raise ArithmeticError("no more")
        return -Y

    with pytest.raises(EvolutionError, match=r"t = 0\.3 to 0\.4 failed: no more") as caught:
        evolve(start(), Function(TREE, F), (0, 1), dt=0.1, method=EULER)
    assert caught.value.result.steps == 3


@pytest.mark.parametrize(
    ("broken", "told"), [(lambda Y: {}["x"], "KeyError: 'x'"), (lambda Y: np.ones(2), r"one shape; got \(2,\) after \(\)")]
)
def test_an_observation_that_fails(tmp_path, broken, told):
    """Nothing of what was reached is lost, in a folder neither; the error comes out of a process of a pool as well."""
    calls = []

    def sometimes(Y):
        calls.append(1)
        return 1.0 if len(calls) < 4 else broken(Y)

    with pytest.raises(EvolutionError, match=rf"t = 0\.3: .*{told}") as caught:
        evolve(start(), -H, (0, 1), dt=0.1, method=EULER, observe={"a": sometimes}, checkpoint=tmp_path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.result.steps == caught.value.result.steps == 2 and str(again) == str(caught.value)
    assert len(list(tmp_path.glob("step-*.rom"))) == 1


def test_interrupted_and_gone_on_with(tmp_path):
    """Ctrl-C between the steps and within an observation: what is there is whole."""
    asked = {"dt": 0.1, "method": ProjectorSplitting()}
    whole = evolve(start(), -1j * H, (0, 1), observe={"up": lambda Y: Y.expectation(FIRST_UP).real}, **asked)
    calls = []

    def up(Y):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return Y.expectation(FIRST_UP).real

    with pytest.raises(EvolutionInterrupted, match=r"t = 0\.3 of 1") as caught:
        evolve(start(), -1j * H, (0, 1), observe={"up": up}, checkpoint=tmp_path, **asked)
    part = caught.value.result
    np.testing.assert_array_equal(part.observed["up"], whole.observed["up"][:4])
    assert part.steps == 3 and isinstance(caught.value, KeyboardInterrupt)
    again = evolve(start(), -1j * H, (0, 1), observe={"up": up}, checkpoint=tmp_path, **asked)
    same(again, whole)
    assert len(calls) == 5 + 7  # nothing is observed twice but what was interrupted
    done = evolve(start(), -1j * H, (0, 1), observe={"up": up}, checkpoint=tmp_path, **asked)
    same(done, whole)


def test_a_row_that_an_interrupt_left_behind():
    run = Run(Now(start()), {})
    run.start([0.0])
    run.rows.append(run.row(0.1, start(), 7.0))  # as if interrupted before the step was taken over
    run.finish(StepResult(start(), (1.0,)), 0.1, True, 0.0)
    np.testing.assert_array_equal(run.result(0.1).discarded, [0.0, 1.0])


def same(a, b):
    for x, y in zip(a.state.cores, b.state.cores, strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.observed.keys() == b.observed.keys() and a.t == b.t and a.steps == b.steps and a.stats == b.stats
    for x, y in [(a.observed[name], b.observed[name]) for name in a.observed] + [
        (a.times, b.times),
        (a.ranks, b.ranks),
        (a.discarded, b.discarded),
    ]:
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dt": 0.2}, "steps"),
        ({"t": (0, 0.3)}, r"\['t'\]\[1\] is 0.2 there, 0.3 here"),
        ({"method": ProjectorSplitting(order=1)}, r"\['method'\]\['order'\] is '2' there, '1' here"),
        ({"method": RankAdaptiveBUG(keep=(TTN.random(TREE, 1),))}, "method"),
        ({"rhs": -1.1j * H}, "right-hand side"),
        ({"state": 2.0 * start()}, "state"),
        ({"observe": {"other": lambda Y: 1.0}}, "observe"),
    ],
)
def test_a_folder_of_another_run(tmp_path, change, told):
    asked = {"state": start(), "rhs": -1j * H, "t": (0, 0.2), "dt": 0.1, "method": ProjectorSplitting(), "checkpoint": tmp_path}
    for changed in ({}, change):
        now = asked | changed
        if changed:
            with pytest.raises(FileExistsError, match=told):
                evolve(now.pop("state"), now.pop("rhs"), now.pop("t"), **now)
        else:
            evolve(now.pop("state"), now.pop("rhs"), now.pop("t"), **now)


def test_a_folder_of_other_invariants(tmp_path):
    for seed in (1, 2):
        method = RankAdaptiveBUG(keep=(TTN.random(TREE, 1, seed=seed),))
        if seed == 1:
            evolve(start(), -H, (0, 0.1), dt=0.1, method=method, checkpoint=tmp_path)
        else:
            with pytest.raises(FileExistsError, match="keep"):
                evolve(start(), -H, (0, 0.1), dt=0.1, method=method, checkpoint=tmp_path)


RUN = """
import sys
import numpy as np
from petrov.rom.ttn import TTN, TTNO, ProjectorSplitting, Tree, evolve
tree = Tree.balanced([2] * 8)
n, sx = np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
V = 2.0 / np.maximum(np.abs(np.subtract.outer(range(8), range(8))), 1)
H = TTNO.pairwise(tree, V, n, onsite=sx + n)
slow = len(sys.argv) > 1
def weight(Y):
    if slow:
        print("step", flush=True)
    return Y.expectation(H).real
state = TTN.product(tree, [np.array([1.0, 0.0])] * 8)
result = evolve(state, -1j * H, (0, 0.6), dt=0.02, method=ProjectorSplitting(), observe={"H": weight},
                checkpoint=sys.argv[1] if slow else None, checkpoint_seconds=0.0)
if not slow or len(sys.argv) > 2:
    np.savez(sys.argv[2] if slow else "plain.npz", *result.state.cores, H=result.observed["H"], ranks=result.ranks)
"""


def test_killed_and_gone_on_with_to_the_same_bits(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(RUN))
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script)]
    with subprocess.Popen([*command, "kept"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(10):
            process.stdout.readline()
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = len(list((tmp_path / "kept").glob("step-*.rom")))
    assert 0 < kept < 30
    subprocess.run([*command, "kept", "gone_on.npz"], cwd=tmp_path, env=env, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(command, cwd=tmp_path, env=env, check=True, stdout=subprocess.DEVNULL)
    with np.load(tmp_path / "gone_on.npz") as a, np.load(tmp_path / "plain.npz") as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


def test_progress(capsys):
    evolve(start(), -1j * H, (0, 0.2), dt=0.1, method=EULER, progress=True)
    assert "t = 0.2 of 0.2, rank 3" in capsys.readouterr().err
