"""The operations that programs of contractions are made of: what `machine` writes and `compiled` runs."""

LEFT, RIGHT, SCALE, DIAGONAL, SPARSE, ZERO = range(6)  # a matrix; one along the last axis; a number; a diagonal; a CSR matrix
