"""One evolution: the task as JSON on stdin, what `timed` says of it on stdout. An empty task: the library's version alone.

The task: `d` spins of size two, all up at the start; H = sum_k (sx_k + n_k) + sum over `pairs` [i, j, v] of v n_i n_j with
n = (1 + sz) / 2; `method` on `tree` ("chain" or "balanced"); `dt`; `steps` (0: the operator alone); `look`, the steps after which
the mean of sz is computed; `seconds` of the processor, after which no step begins; `tolerance`, `max_rank`; `options` of the
library.
"""

from __future__ import annotations

import importlib
import json
import sys

from .walk import timed

WARM_UP = {"d": 4, "pairs": [[0, 1, 1.0], [1, 2, 0.5], [2, 3, 0.5]], "steps": 2, "look": [2]}


def main(name: str) -> None:
    """A small task of the same method goes first, so that what is loaded or made at first is in no time."""
    told, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    task = json.load(sys.stdin)
    library = importlib.import_module(f".of_{name}", __package__)
    found = {"version": library.version()}
    if task:
        timed(library.make, {**task, **WARM_UP})
        found |= timed(library.make, task)
    json.dump(found, told)


if __name__ == "__main__":
    main(sys.argv[1])
