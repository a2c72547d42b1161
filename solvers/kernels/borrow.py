"""Arrays without reference counts, for the inner loops of kernels.

numba counts references when an array is sliced or handed to another compiled function; the counter is atomic and shared by all
threads. In a function called once a row of 64 numbers that was half of the time (measured).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
from llvmlite import ir
from numba import types
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


def _fetch(typingctx: Any, array: Any, index: Any) -> Any:
    def hint(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, word(0), word(2), word(1)])  # to read, into the second cache, data
        return context.get_dummy_value()

    return types.void(array, types.intp), hint


# Calls the cache line of an entry of an array from memory, and does not wait. Where many arrays are read in turn, the processor
# does not see the next of them coming.
fetch: Callable[[Any, int], None] = (
    (lambda array, index: None) if getattr(numba.config, "DISABLE_JIT") else cast(Any, intrinsic(_fetch))  # noqa: B009
)

__all__ = ["borrowed", "fetch"]
