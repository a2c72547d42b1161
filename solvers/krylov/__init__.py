"""Krylov methods: one method a file, one interface, one result."""

from .bicgstab import bicgstab
from .block_cg import block_cg
from .cg import cg
from .flexible_cg import flexible_cg
from .gcrodr import gcrodr
from .gmres import gmres
from .lsmr import lsmr
from .minres import minres

__all__ = ["bicgstab", "block_cg", "cg", "flexible_cg", "gcrodr", "gmres", "lsmr", "minres"]
