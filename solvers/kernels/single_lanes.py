"""Eight numbers in single precision at a time, as in lanes.py: for sums over many arrays, which the compiler's own vectorising
gives up on because it cannot tell that they do not overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from .lanes import FUSED, _chosen

SINGLES = 8
WIDE = ir.VectorType(ir.FloatType(), SINGLES)


class Singles(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Singles")


singles = Singles()


@register_model(Singles)
class SinglesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, WIDE)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    view = context.make_array(kind)(context, builder, array)
    return builder.bitcast(builder.gep(view.data, [index]), WIDE.as_pointer())


def _load(typingctx: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=4)

    return singles(array, types.intp), emit


def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature.args[0], *arguments[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, singles), emit


def _spread(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.insert_element(ir.Constant(WIDE, ir.Undefined), arguments[0], ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), SINGLES), [0] * SINGLES)
        return builder.shuffle_vector(first, ir.Constant(WIDE, ir.Undefined), mask)

    return singles(types.float32), emit


def _fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(builder.fmul(*arguments[:2], flags=FUSED), arguments[2], flags=FUSED)

    return singles(singles, singles, singles), emit


def _of_two(operation: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments, flags=FUSED)

        return singles(singles, singles), emit

    return typed


def _larger(typingctx: Any, a: Any, b: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return singles(singles, singles), emit


def _root(typingctx: Any, a: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [WIDE]), arguments)

    return singles(singles), emit


def _stored(array: Any, index: int, value: Any) -> None:
    array.reshape(-1)[index : index + SINGLES] = value


# Eight entries of a contiguous array in single precision from its flat `index` on.
load = _chosen(_load, lambda array, index: array.reshape(-1)[index : index + SINGLES].copy())
store = _chosen(_store, _stored)
spread = _chosen(_spread, lambda value: np.full(SINGLES, value, np.float32))  # one number in every lane
fused = _chosen(_fused, lambda a, b, c: a * b + c)
total = _chosen(_of_two("fadd"), lambda a, b: a + b)
difference = _chosen(_of_two("fsub"), lambda a, b: a - b)
product = _chosen(_of_two("fmul"), lambda a, b: a * b)
quotient = _chosen(_of_two("fdiv"), lambda a, b: a / b)
larger = _chosen(_larger, np.maximum)  # of a, b; b where a is NaN
root = _chosen(_root, np.sqrt)

__all__ = ["SINGLES", "difference", "fused", "larger", "load", "product", "quotient", "root", "spread", "store", "total"]
