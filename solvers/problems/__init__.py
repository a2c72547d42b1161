"""Named, seeded linear systems: NAME(n, dim, ...) returns a named tuple whose first two fields are A and b."""

from .diffusion import darcy, inclusions, jump, noise, poisson
from .elasticity import elasticity
from .heat import Heat, heat
from .problem import Problem
from .transport import anisotropic, convection_diffusion, helmholtz

__all__ = [
    "Heat", "Problem", "anisotropic", "convection_diffusion", "darcy", "elasticity", "heat", "helmholtz", "inclusions", "jump",
    "noise", "poisson",
]  # fmt: skip
