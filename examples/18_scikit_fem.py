"""scikit-fem: heat in a plate of fibres, for every direction of them, from a script that knows nothing of reduced models.

The script is what one writes anyway: `asm` of the forms at the given mu, `condense` for the boundary values, and (A, b) returned.
With operator="auto" nothing is told about it. petrov assembles at a hundred training parameters, sees by their singular values
that all matrices are combinations of three, and learns the weights; how an angle gets into them is not the user's affair. What
is learned is not proved: `predict` gives estimates, and `verify` certifies single answers by one assembly each.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from skfem import Basis, BilinearForm, ElementTriP2, LinearForm, MeshTri, asm, condense, solve
from skfem.helpers import dot, grad

from petrov import rom


@BilinearForm
def conduction(u, v, w):
    """Conductivity 1 across the fibres, 10 along them."""
    along = np.array([np.cos(w["angle"]), np.sin(w["angle"])])[:, None, None]
    return dot(grad(u), grad(v)) + 9 * dot(along, grad(u)) * dot(along, grad(v))


@LinearForm
def torch(v, w):
    return 100 * np.exp(-50 * ((w.x[0] - 0.3) ** 2 + (w.x[1] - 0.4) ** 2)) * v


def main(refinements: int = 4, count: int = 2000) -> SimpleNamespace:
    basis = Basis(MeshTri().refined(refinements), ElementTriP2())
    f, edge = asm(torch, basis), basis.get_dofs().all()
    free = basis.complement_dofs(edge)

    def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        A, b, _, _ = condense(asm(conduction, basis, angle=mu["angle"]), f, D=edge)
        return A, b

    sensor = basis.probes(np.array([[0.6], [0.6]])).toarray()[:, free]
    P = rom.Parameters(angle=(0.0, np.pi))
    model = rom.ReducedModel(assemble, P, operator="auto", output=sensor, basis=rom.Greedy(tol=1e-3)).fit(200)
    r = model.predict(P.grid(count))
    hottest = np.argmax(r.outputs[:, 0])
    print(f"{model.report()}\n\n{r}\nthe sensor is hottest at {np.degrees(r.mus[hottest, 0]):.2f} degrees")
    print("\n  angle    sensor   in full    error in X   estimate      bound")
    X, rows = assemble(P.mapping(P.centre))[0], []
    for i in range(count // 20, count, count // 10):
        full = solve(*condense(asm(conduction, basis, angle=r.mus[i, 0]), f, D=edge))
        e, certificate = full[free] - r.fields(i), model.verify(r.mus[i])
        rows.append((r.mus[i, 0], r.outputs[i, 0], (sensor @ full[free])[0], np.sqrt(e @ X @ e), r.bound[i], certificate.bound))
    print(*("{:7.4f}  {:8.6f}  {:8.6f}      {:.2e}   {:.2e}   {:.2e}".format(*row) for row in rows), sep="\n")
    kinds, calls = (r.kind, certificate.kind), model.box.calls
    return SimpleNamespace(kinds=kinds, hottest=r.mus[hottest, 0], calls=calls, rows=np.array(rows))


if __name__ == "__main__":
    main()
