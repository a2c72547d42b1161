"""Our preconditioners chosen by PETSc's options."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from ...preconditioners import NAMED
from .aggregation import DistributedAggregation
from .library import library
from .schwarz import DistributedSchwarz

STEM = "pc_petrov_"


def recipe_from_options(prefix: str | None, ranks: int) -> Any:
    """The recipe that -pc_petrov_type names ('amg' by default, see `NAMED`), its fields from options named like them.

    -flow_pc_petrov_type ic -flow_pc_petrov_shift 0.1 under the prefix "flow_". On several ranks 'amg' is DistributedAggregation
    and any other stands inside DistributedSchwarz, whose -pc_petrov_overlap and -pc_petrov_coarse are read too. ValueError
    listing the names for any other.
    """
    database = library().Options(prefix or "")
    kind = database.getString(f"{STEM}type", "amg")
    if kind not in NAMED:
        raise ValueError(f"-{prefix or ''}{STEM}type must be one of {', '.join(sorted(NAMED))}; got {kind}")
    if ranks > 1 and kind == "amg":
        return made(DistributedAggregation, database)
    recipe = made(NAMED[kind], database)
    return recipe if ranks == 1 else made(DistributedSchwarz, database, local=recipe)


def made(kind: Any, database: Any, **given: Any) -> Any:
    """kind(...) with what the options say of fields that are numbers, switches or words."""
    for field in fields(kind):
        name = f"{STEM}{field.name}"
        if field.name not in given and field.default is not MISSING and database.hasName(name):
            given[field.name] = value(database, name, field.default)
    return kind(**given)


def value(database: Any, name: str, default: Any) -> Any:
    """An option in the type of its default; where that is no number, or the option is none, a word."""
    if isinstance(default, bool):
        return database.getBool(name)
    word = database.getString(name)
    try:
        return type(default)(word) if isinstance(default, int | float) else word
    except ValueError:
        return word
