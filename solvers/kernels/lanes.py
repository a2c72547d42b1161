"""Eight numbers at a time: what the compiler's own vectorising does not give the inner loops over tiles.

It checks at run time whether arrays overlap, loads what lies one row further from memory again, and cannot be told which numbers
to keep in registers. Lanes are values like numbers, eight doubles wide, and become whatever registers the processor has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 8
COMPILED = not getattr(numba.config, "DISABLE_JIT")  # noqa: B009  (set at run time)
FUSED = ("contract",)  # in one operation, but in the order in which they stand: bits must not depend on what is inlined where


class Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.DoubleType(), LANES))


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    view = context.make_array(kind)(context, builder, array)
    place = builder.gep(view.data, [index])
    return builder.bitcast(place, ir.VectorType(context.get_data_type(kind.dtype), LANES).as_pointer())


def _load(typingctx: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_place(context, builder, signature.args[0], *arguments), align=signature.args[0].dtype.bitwidth // 8)
        wide = ir.VectorType(ir.DoubleType(), LANES)
        return value if value.type == wide else builder.fpext(value, wide)

    return lanes(array, types.intp), emit


def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature.args[0], *arguments[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), emit


def _spread(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(ir.DoubleType(), LANES)
        first = builder.insert_element(ir.Constant(wide, ir.Undefined), arguments[0], ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(wide, ir.Undefined), mask)

    return lanes(types.float64), emit


def _product(typingctx: Any, a: Any, b: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments, flags=FUSED)

    return lanes(lanes, lanes), emit


def _fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(builder.fmul(*arguments[:2], flags=FUSED), arguments[2], flags=FUSED)

    return lanes(lanes, lanes, lanes), emit


def _summed(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (total,), half = arguments, LANES // 2
        while half:  # halves upon each other
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [(lane + half) % LANES for lane in range(LANES)])
            total, half = builder.fadd(total, builder.shuffle_vector(total, total, mask)), half // 2
        return builder.extract_element(total, ir.IntType(32)(0))

    return types.float64(lanes), emit


def _shifted(by: int) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(by, by + LANES)))
            return builder.shuffle_vector(*arguments, mask)

        return lanes(lanes, lanes), emit

    return typed


def _chosen(compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    return cast(Any, intrinsic(compiled)) if COMPILED else plain


def _stored(array: Any, index: int, value: Any) -> None:
    array.reshape(-1)[index : index + LANES] = value


# Eight entries of a contiguous array from its flat `index` on, widened to double.
load = _chosen(_load, lambda array, index: array.reshape(-1)[index : index + LANES].astype(np.float64))
store = _chosen(_store, _stored)
spread = _chosen(_spread, lambda value: np.full(LANES, value))  # one number in every lane
product = _chosen(_product, lambda a, b: a * b)
fused = _chosen(_fused, lambda a, b, c: a * b + c)
summed = _chosen(_summed, np.sum)
# Of two neighbours in memory: the eight that begin at the second number of a, and those that begin at the last.
later = _chosen(_shifted(1), lambda a, b: np.concatenate((a[1:], b[:1])))
earlier = _chosen(_shifted(LANES - 1), lambda a, b: np.concatenate((a[-1:], b[:-1])))

__all__ = ["LANES", "earlier", "fused", "later", "load", "product", "spread", "store", "summed"]
