"""Arrays without reference counts, for the inner loops of kernels.

numba counts references when an array is sliced or handed to another compiled function; the counter is atomic and shared by all
threads. In a function called once a row of 64 numbers that was half of the time (measured).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
from numba.core import cgutils
from numba.extending import intrinsic


def _borrowed(typingctx: Any, array: Any) -> Any:
    def without_owner(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), without_owner


# The same array, which its owner must outlive: a kernel's argument, seen from inside the kernel.
borrowed: Callable[[Any], Any] = (
    (lambda array: array) if getattr(numba.config, "DISABLE_JIT") else cast(Any, intrinsic(_borrowed))  # noqa: B009
)

__all__ = ["borrowed"]
