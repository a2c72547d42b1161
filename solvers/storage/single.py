"""Whether single precision holds numbers exactly."""

from __future__ import annotations

import numpy as np


def fits_single(values: np.ndarray) -> bool:
    """Whether float32 holds every one of these exactly; NaN counts as not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((values.astype(np.float32) == values).all())
