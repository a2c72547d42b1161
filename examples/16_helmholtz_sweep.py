"""A frequency sweep: sound in a room with a small window, at two thousand wave numbers from about thirty full solves.

K - k^2 M - i k C is complex, indefinite, and nearly singular at its resonances. Three functions of k are all that is handed over
besides the code. Nothing is coercive here: `InfSup` takes the smallest singular value at 60 wave numbers and a curve between
them, so that what `predict` gives is an estimate of the error, and says so. The model chooses by itself where to solve. The
response is the pressure in a corner of the ceiling; with a path it is drawn, and the full solves are marked.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from petrov import rom


def room(n: int, length: int = 2) -> tuple[Any, Any]:
    """(assemble, K + M) for bilinear elements on ]0, length[ x ]0, 1[: hard walls, a window at the right end of the floor."""

    def line(cells: int) -> list[Any]:
        ends, off, pairs = np.r_[0.5, np.ones(cells - 1), 0.5], np.ones(cells), ((2 * n, -n), (4 / 6 / n, 1 / 6 / n))
        return [sp.diags_array([b * off, a * ends, b * off], offsets=[-1, 0, 1]) for a, b in pairs]

    (Kx, Mx), (Ky, My) = line(length * n), line(n)
    K, M = (sp.kron(Kx, My) + sp.kron(Mx, Ky)).tocsr(), sp.kron(Mx, My).tocsr()
    x, y = np.repeat(np.arange(length * n + 1) / n, n + 1), np.tile(np.arange(n + 1) / n, length * n + 1)
    C = sp.diags_array(((y == 0) & (x > length - 0.25)) / n).tocsr()  # u' = i k u lets the sound out
    b, L = ((x == 0) & (y > 0.6)) / n, ((x == 0) & (y == 1.0)) * 1.0  # a loudspeaker in the left wall; a microphone
    return (lambda mu: (K - mu["k"] ** 2 * M - 1j * mu["k"] * C, b, L)), K + M


def main(n: int = 32, count: int = 2000, path: str | None = None) -> SimpleNamespace:
    assemble, X = room(n)
    P = rom.Parameters(k=(0.5, 10.0))
    model = rom.ReducedModel(assemble, P, operator=rom.Affine(["1", "k**2", "k"]), product=X, stability=rom.InfSup(60),
                             basis=rom.Greedy(tol=1e-3, relative=True)).fit(P.grid(1000))  # fmt: skip
    sweep = model.predict(P.grid(count))
    print(f"{model.report()}\n\n{sweep}\n\n    k     response    full solve  error in X    estimate")
    k, response, rows = sweep.mus[:, 0], abs(sweep.outputs[:, 0]), []
    for i in [int(np.argmax(response)), *range(count // 40, count, count // 20)]:  # the highest peak, and places of no meaning
        A, b, L = assemble({"k": k[i]})
        e = (u := spsolve(A, b)) - sweep.fields(i)
        rows.append((k[i], response[i], abs(L @ u), np.sqrt((e.conj() @ (X @ e)).real), sweep.bound[i]))
    print(*("{:6.3f}  {:11.6f}   {:11.6f}  {:10.1e}  {:10.1e}".format(*row) for row in rows[:5]), sep="\n")
    if path is not None:
        from matplotlib.figure import Figure

        axes = (figure := Figure(figsize=(9, 3.5), layout="constrained")).subplots()
        axes.semilogy(k, response, "-", model.selected[:, 0], np.full(model.size, response.min()), "|")
        axes.set(xlabel="wave number k", ylabel="|p| at the microphone", title=f"{count} answers, {model.size} solves (marked)")
        figure.savefig(path, dpi=150)
    return SimpleNamespace(kind=sweep.kind, size=model.size, rows=np.array(rows))


if __name__ == "__main__":
    main()
