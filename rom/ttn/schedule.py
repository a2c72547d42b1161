"""Which steps an evolution takes, before it takes any."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

SAME = 1e-9  # of dt: times that differ by less are one
MOST = 10**7  # steps of one evolution: more are a mistake in dt, and would not fit into the memory


@dataclass(frozen=True, slots=True)
class Planned:
    """A step from t by h; `end`: the time it leads to; `saved`: whether that is one to record."""

    t: float
    h: float
    end: float
    saved: bool


def planned_steps(t: tuple[float, float], dt: float, save_at: Iterable[float] | None) -> tuple[list[float], list[Planned]]:
    """([t0] if it is recorded, the steps): of length dt, but for a shorter one before each time of save_at and before t1.

    ValueError for times that are not finite, in the wrong order or outside of t; dt <= 0, or so small that it means over 10^7
    steps.
    """
    start, stop, dt = checked_times(t, dt)
    wanted = [] if save_at is None else sorted({float(time) for time in save_at})
    for time in wanted:
        if not start - SAME * dt <= time <= stop + SAME * dt:
            raise ValueError(f"save_at must lie in t = ({start:g}, {stop:g}); got {time:g}")
    steps: list[Planned] = []
    at = start
    for end in [*(time for time in wanted if time > start + SAME * dt and time < stop - SAME * dt), stop]:
        count = max(math.ceil((end - at) / dt - SAME), 0)
        for k in range(count):
            first, last = at + k * dt, k == count - 1
            until = end if last else at + (k + 1) * dt
            steps.append(Planned(first, end - first if last else dt, until, save_at is None or (last and end < stop)))
        at = end if count else at
    if steps and any(time >= stop - SAME * dt for time in wanted):
        steps[-1] = Planned(steps[-1].t, steps[-1].h, steps[-1].end, True)
    first = save_at is None or any(time <= start + SAME * dt for time in wanted)
    return [start] * first, steps


def checked_times(t: tuple[float, float], dt: float) -> tuple[float, float, float]:
    if not (hasattr(t, "__len__") and len(t) == 2):
        raise ValueError(f"t must be (start, end); got {t!r}")
    start, stop, dt = float(t[0]), float(t[1]), float(dt)
    if not (math.isfinite(start) and math.isfinite(stop) and stop >= start):
        raise ValueError(f"t must be (start, end), finite and start <= end; got {t!r}. Take -rhs to go back")
    if not 0 < dt < math.inf:
        raise ValueError(f"dt must be positive and finite; got {dt!r}")
    if (stop - start) / dt > MOST:
        raise ValueError(f"dt = {dt:g} means {(stop - start) / dt:.0e} steps from {start:g} to {stop:g}; at most {MOST:.0e}")
    return start, stop, dt
