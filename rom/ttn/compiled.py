"""Contractions as programs of instructions, run without the interpreter; and the solvers that apply them again and again.

A row of `code` is one product: (operation, source, target, factor, before, columns, rows, after, add, number). Source and
target are places in `work`, an array for all intermediate results, the factor is one in `pool`, an array for all matrices. The
target (before, rows, after) becomes, or with `add` is increased by, the factor times the source (before, columns, after). The
core comes in at place 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...solvers.kernels.compiler import njit
from .instructions import DIAGONAL, LEFT, RIGHT, SCALE, ZERO

NARROW = 12  # columns of a source below which the library multiplies at less than half its speed
CHUNK = 64  # rows of a product from the right that is added to something: they stay in the first cache
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**OPTIONS)
def combine(recipe, numbers, pool):
    """pool[to : to + n] = the sum of numbers[k] pool[at : at + n] over the rows (to, at, n, k, add) of the recipe."""
    for row in range(recipe.shape[0]):
        to, at, n, k, add = recipe[row]
        c = numbers[k]
        if add:
            for i in range(n):
                pool[to + i] += c * pool[at + i]
        else:
            for i in range(n):
                pool[to + i] = c * pool[at + i]


@njit(**OPTIONS)
def side_by_side(M, X, Y, add):
    """Y[p] (+)= M X[p] by one product."""
    before, columns, after = X.shape
    rows = len(M)
    wide = np.empty((columns, before * after), X.dtype)
    for p in range(before):
        for i in range(columns):
            for j in range(after):
                wide[i, p * after + j] = X[p, i, j]
    product = np.dot(M, wide)
    for p in range(before):
        for i in range(rows):
            for j in range(after):
                value = product[i, p * after + j]
                Y[p, i, j] = Y[p, i, j] + value if add else value


@njit(**OPTIONS)
def from_left(M, source, target, before, add):
    """target[p] (+)= M source[p]; for narrow sources all side by side as one."""
    rows, columns = M.shape
    after = len(target) // (before * rows)
    if before > 1 and after < NARROW:
        side_by_side(M, source.reshape(before, columns, after), target.reshape(before, rows, after), add)
        return
    product = np.empty((rows if add else 0, after), target.dtype)
    for p in range(before):
        X = source[p * columns * after : (p + 1) * columns * after].reshape(columns, after)
        Y = target[p * rows * after : (p + 1) * rows * after].reshape(rows, after)
        if add:
            np.dot(M, X, product)
            for i in range(rows):
                for j in range(after):
                    Y[i, j] += product[i, j]
        else:
            np.dot(M, X, Y)


@njit(**OPTIONS)
def from_right(M, source, target, add):
    """target (+)= source M^T, as matrices of as many rows as fit."""
    rows, columns = M.shape
    X, Y = source.reshape(-1, columns), target.reshape(-1, rows)
    if not add:
        np.dot(X, M.T, Y)
        return
    product = np.empty((CHUNK, rows), target.dtype)
    for low in range(0, len(X), CHUNK):
        high = min(low + CHUNK, len(X))
        np.dot(X[low:high], M.T, product[: high - low])
        for i in range(high - low):
            for j in range(rows):
                Y[low + i, j] += product[i, j]


@njit(**OPTIONS)
def from_sparse(values, starts, indices, source, target, before, after, add):
    """target[p] (+)= S source[p] for a CSR matrix S; a diagonal is one with a value a row."""
    rows = len(starts) - 1
    columns = len(source) // (before * after)
    X, Y = source.reshape(before, columns, after), target.reshape(before, rows, after)
    for p in range(before):
        for i in range(rows):
            if not add:
                Y[p, i, :] = 0
            for k in range(starts[i], starts[i + 1]):
                c, j = values[k], indices[k]
                for l in range(after):
                    Y[p, i, l] += c * X[p, j, l]


@njit(**OPTIONS)
def run(code, integers, numbers, pool, work):
    """All instructions, one after another."""
    for line in range(code.shape[0]):
        op, at, to, factor, before, columns, rows, after, add, k = code[line]
        source, target = work[at : at + before * columns * after], work[to : to + before * rows * after]
        if op == LEFT:
            from_left(pool[factor : factor + rows * columns].reshape(rows, columns), source, target, before, add)
        elif op == RIGHT:
            from_right(pool[factor : factor + rows * columns].reshape(rows, columns), source, target, add)
        elif op == SCALE:
            c = numbers[k]
            for i in range(len(target)):
                target[i] = c * source[i] + (target[i] if add else target.dtype.type(0))
        elif op == DIAGONAL:
            d = pool[factor : factor + rows]
            X, Y = source.reshape(before, rows, after), target.reshape(before, rows, after)
            for p in range(before):
                for i in range(rows):
                    for j in range(after):
                        Y[p, i, j] = d[i] * X[p, i, j] + (Y[p, i, j] if add else target.dtype.type(0))
        elif op == ZERO:
            target[:] = 0
        else:
            starts = integers[k : k + rows + 1]
            count = starts[rows]
            indices = integers[k + rows + 1 : k + rows + 1 + count]
            from_sparse(pool[factor : factor + count], starts, indices, source, target, before, after, add)


@njit(**OPTIONS)
def apply(code, integers, numbers, pool, work, start, result, place):
    """result[k] = what the program makes of start[k] (k, n), found at `place`."""
    for k in range(len(start)):
        work[: start.shape[1]] = start[k]
        run(code, integers, numbers, pool, work)
        result[k] = work[place : place + result.shape[1]]


@njit(**OPTIONS)
def project(code, integers, numbers, pool, work, start, bra, place, skipped, result):
    """result[b] (m', m) = <bra, sum b of the program> over all axes but one; the identity for b = skipped.

    bra (before, m', after); the sums, cores (before, m, after) each, lie one after another from `place` on.
    """
    before, rows, after = bra.shape
    columns = result.shape[2]
    size = before * columns * after
    work[: len(start)] = start
    run(code, integers, numbers, pool, work)
    conjugate = np.conj(bra)
    product = np.empty((rows, columns), result.dtype)
    for b in range(len(result)):
        if b == skipped:
            result[b] = np.eye(rows).astype(result.dtype)
            continue
        W = work[place + b * size : place + (b + 1) * size]
        if after == 1:
            np.dot(conjugate.reshape(before, rows).T, W.reshape(before, columns), result[b])
            continue
        for p in range(before):
            np.dot(conjugate[p], W[p * columns * after : (p + 1) * columns * after].reshape(columns, after).T, product)
            result[b] = product if p == 0 else result[b] + product


@njit(**OPTIONS)
def squared(w):
    total = 0.0
    for i in range(len(w)):
        total += w[i].real * w[i].real + w[i].imag * w[i].imag
    return total


@njit(**OPTIONS)
def krylov(code, integers, numbers, pool, work, place, V, T, m, hermitian, growth, leading, early, look, limit):
    """(m, beta, leading): the Krylov basis V (most, n) with m + 1 rows known, and T, grown until the error is to be looked at.

    As `krylov.orthogonal`, twice against all rows; beta = 0 if the space is invariant, NaN if the operator gave one.
    """
    most, n = V.shape
    while True:
        work[:n] = V[m]
        run(code, integers, numbers, pool, work)
        w = work[place : place + n]
        m += 1
        for turn in range(2):
            first = max(m - 2, 0) if hermitian and turn == 0 else 0
            c = np.conj(np.dot(V[first:m], np.conj(w)))
            w -= np.dot(c, V[first:m])
            for k in range(first, m):
                T[k, m - 1] += c[k - first]
        beta, inside = np.sqrt(squared(w)), np.sqrt(squared(T[:m, m - 1]))
        if not np.isfinite(beta + inside):
            return m, np.nan, leading
        if beta <= limit * inside:
            beta = 0.0
        elif m < most:
            T[m, m - 1] = beta
            V[m] = w * V.dtype.type(1.0 / beta)
        leading *= beta * growth / m
        if beta == 0.0 or m == most or leading <= early or (m % look == 0 and m >= 2 * look):
            return m, beta, leading


@njit(**OPTIONS)
def classical(code, integers, numbers, pool, work, place, start, source, c, steps):
    """start after `steps` steps of the classical Runge-Kutta method for Y' = c[0] H(Y) + source (empty for none).

    c: the factor, then h, h / 2, h / 6 and 2, in the type of start.
    """
    n = len(start)
    Y, total = start.copy(), np.empty_like(start)
    factor, part, half, sixth, two = c[0], c[1], c[2], c[3], c[4]
    for _ in range(steps):
        work[:n] = Y
        for stage in range(4):
            run(code, integers, numbers, pool, work)
            weight = sixth if stage in (0, 3) else two * sixth
            ahead = part if stage == 2 else half
            for i in range(n):
                slope = factor * work[place + i]
                if len(source):
                    slope += source[i]
                total[i] = (Y[i] if stage == 0 else total[i]) + weight * slope
                work[i] = Y[i] + ahead * slope
        Y[:] = total
    return Y
