"""Tree tensor networks: a tensor held as one small core a node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

from ...solvers import arrays
from ..homes import together
from . import algebra
from .local_sums import expected
from .singular_values import cut, leading
from .tensors import adjoint, along, eye, matrix, namespace, norm, read
from .tree import Tree

MOST_ENTRIES = 2**28  # of a dense tensor: 2 GiB of float64


@dataclass(frozen=True, slots=True, eq=False)
class TTN:
    """A tensor of the shape `tree.sizes` in tree tensor network form: `cores[t]` for every node t, in post-order.

    The axes of a core are the children in order, the leg if there is one, the parent last; the length of that last axis is the
    rank of the edge, 1 at the root. Cores are arrays of any one library; their type is kept, real stays real. Immutable: methods
    return new states, which share the cores that did not change. ValueError if a shape does not fit, TypeError for cores of two
    libraries or devices.

    With CuPy cores all is computed on the device, and what the methods return are CuPy states and arrays (numbers are Python's).
    The host reads singular values where ranks are chosen, and norms.

    >>> import numpy as np
    >>> tree = Tree.balanced([2, 3, 2, 2])
    >>> Y = TTN.product(tree, [np.ones(2), np.arange(3.0), np.ones(2), np.ones(2)], rank=2)
    >>> Y.ranks, Y.to_dense()[0, :, 1, 1], round(Y.norm() ** 2)
    ((2, 2, 2, 2, 2, 2), array([0., 1., 2.]), 40)
    """

    tree: Tree
    cores: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        if len(self.cores) != len(self.tree.parent):
            raise ValueError(f"a tree of {len(self.tree.parent)} nodes needs as many cores; got {len(self.cores)}")
        if any(type(core) is not np.ndarray for core in self.cores):
            together(**{f"core {node}": core for node, core in enumerate(self.cores)})
        ranks = [core.shape[-1] for core in self.cores]
        for node, core in enumerate(self.cores):
            if tuple(core.shape) != self.tree.core_shape(node, ranks):
                expected = self.tree.core_shape(node, ranks)
                raise ValueError(f"core {node} must have the shape {expected}: children, leg, parent; got {tuple(core.shape)}")

    @classmethod
    def product(cls, tree: Tree, vectors: Sequence[Any], rank: int | Sequence[int] = 1) -> TTN:
        """The product of one vector (n_l,) a leaf. With a rank > 1, embedded in orthonormal bases that it does not use.

        The further columns of a leaf basis complete the vector by unit vectors, those of inner nodes are products of few of them;
        they have weight zero, and are the same at every call. Ranks are lowered to what fits (`Tree.feasible`).
        """
        if len(vectors) != tree.order:
            raise ValueError(f"the tree has {tree.order} leaves; got {len(vectors)} vectors")
        vectors = [vector if hasattr(vector, "shape") else np.asarray(vector) for vector in vectors]
        for leaf, vector in enumerate(vectors):
            if tuple(vector.shape) != (tree.sizes[leaf],):
                raise ValueError(f"vector {leaf} must have the shape ({tree.sizes[leaf]},); got {tuple(vector.shape)}")
        together(**{f"vector {leaf}": vector for leaf, vector in enumerate(vectors)})
        xp, dtype = namespace(vectors[0]), working(vectors)
        vectors = [xp.astype(vector, getattr(xp, dtype)) for vector in vectors]
        lengths = [norm(vector) for vector in vectors]
        ranks, cores = tree.feasible(rank), []
        for node in tree.nodes:
            shape = tree.core_shape(node, ranks)
            if tree.leg[node] >= 0:  # no column needs more of the leg than the first min(n, r) directions
                shape = (*shape[:-2], min(shape[-2:]), shape[-1])
            core = xp.reshape(low_columns(shape, vectors[0]), shape)
            if tree.leg[node] >= 0:
                core = along(completed(vectors[tree.leg[node]], shape[-2]), core, len(shape) - 2)
            cores.append(core if node < tree.root else core * math.prod(lengths))
        return cls(tree, tuple(cores))

    @classmethod
    def random(cls, tree: Tree, ranks: int | Sequence[int], seed: int = 20571, dtype: str = "float64") -> TTN:
        """An orthonormal state of norm 1 with normal random cores in NumPy; ranks are lowered to what fits."""
        if dtype not in arrays.REAL:
            raise ValueError(f'dtype must be "float32", "float64", "complex64" or "complex128"; got {dtype!r}')
        rng, kept = np.random.default_rng(seed), tree.feasible(ranks)
        cores = []
        for node in tree.nodes:
            shape = tree.core_shape(node, kept)
            core = rng.standard_normal(shape)
            cores.append((core + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else core).astype(dtype))
        state = cls(tree, tuple(cores)).orthonormal()
        return state.scaled(1.0 / norm(state.cores[-1]))

    @classmethod
    def from_dense(cls, tree: Tree, array: Any, tol: float = 1e-13) -> TTN:
        """The array (axes in the order of the leaves) with a relative error of at most tol in the 2-norm. Orthonormal.

        Singular value decompositions from the leaves to the root: de Lathauwer, de Moor and Vandewalle, SIAM J. Matrix
        Anal. Appl. 21 (2000) 1253, node by node as in Grasedyck, SIAM J. Matrix Anal. Appl. 31 (2010) 2029.
        """
        array = array if hasattr(array, "shape") else np.asarray(array)
        if tuple(array.shape) != tree.sizes:
            raise ValueError(f"the array must have the shape {tree.sizes} of the leaves; got {tuple(array.shape)}")
        if not tol >= 0:
            raise ValueError(f"tol must be >= 0, as a part of the norm; got {tol}")
        if not math.isfinite(size := norm(array)):
            raise ValueError("the array holds NaN or infinity, or numbers whose squares overflow")
        allowed = tol * size / math.sqrt(max(len(tree.edges), 1))
        return cls(tree, algebra.decomposed(tree, array, leading, allowed))

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of every edge: of node t to its parent."""
        return tuple(int(core.shape[-1]) for core in self.cores[:-1])

    @property
    def dtype(self) -> str:
        return np.result_type(*{arrays.dtype_name(core) for core in self.cores}).name

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(math.prod(core.shape) * np.dtype(arrays.dtype_name(core)).itemsize for core in self.cores)

    def __repr__(self) -> str:
        ranks = f"ranks {min(self.ranks)} to {max(self.ranks)}" if self.ranks else "one node"
        return f"{type(self).__name__}: {self.tree.order} leaves, {ranks}, {self.dtype}, {self.nbytes} bytes"

    def to_text(self) -> str:
        """The tree drawn with its ranks."""
        return self.tree.to_text(self.ranks)

    def to_dense(self) -> Any:
        """The whole array, axes in the order of the leaves. ValueError above 2^28 entries."""
        if math.prod(self.tree.sizes) > MOST_ENTRIES:
            raise ValueError(f"a dense array of the shape {self.tree.sizes} is too large: contract leaves, or ask for entries")
        return namespace(self.cores[0]).reshape(algebra.dense(self.tree, self.cores), self.tree.sizes)

    def with_cores(self, cores: Mapping[int, Any]) -> TTN:
        """The state with these cores in place of its own."""
        return TTN(self.tree, tuple(cores.get(node, core) for node, core in enumerate(self.cores)))

    def orthonormal(self) -> TTN:
        """The same tensor; the cores below the root, as matrices (all other axes, parent), have orthonormal columns.

        One QR factorisation a node, from the leaves to the root: the root's core has the norm of the tensor. A rank that is
        larger than the rest of its core is lowered.
        """
        return TTN(self.tree, algebra.orthonormal(self.tree, self.cores))

    def rounded(self, tol: float = 0.0, max_rank: int | None = None, *, relative: bool = True) -> TTN:
        """Of smaller ranks: weighted truncation (`truncation.truncated`) with a tail of at most tol an edge.

        tol is of the norm if relative. The error is at most sqrt(number of edges) times that, unless max_rank binds.
        """
        if not tol >= 0 or (max_rank is not None and max_rank < 1):
            raise ValueError(f"tol must be >= 0 and max_rank >= 1 or None; got {tol} and {max_rank}")
        cores = algebra.orthonormal(self.tree, self.cores)
        limit = tol * norm(cores[-1]) if relative else tol
        return TTN(self.tree, cut(self.tree, cores, limit, 1, max_rank, True)[0])

    def norm(self) -> float:
        """The 2-norm, by QR factorisations: accurate to rounding also where terms cancel."""
        return norm(self.orthonormal().cores[-1])

    def scaled(self, factor: complex) -> TTN:
        """Times a number, in the precision of the state."""
        if getattr(factor, "shape", None) == ():
            factor = arrays.scalar(factor)
        elif not isinstance(factor, Number):
            raise TypeError(f"a state is multiplied by numbers; got {type(factor).__name__}")
        factor = factor.item() if isinstance(factor, np.generic) else factor
        return self.with_cores({self.tree.root: self.cores[-1] * factor})

    def cast(self, dtype: str) -> TTN:
        """In another type, for example "complex128" before a unitary evolution of a real state."""
        xp = namespace(self.cores[0])
        return TTN(self.tree, tuple(xp.astype(core, getattr(xp, dtype)) for core in self.cores))

    def __add__(self, other: TTN) -> TTN:
        same_tree(self, other)
        return TTN(self.tree, algebra.added(self.tree, self.cores, other.cores))

    def __sub__(self, other: TTN) -> TTN:
        return self + other.scaled(-1.0)

    def __mul__(self, factor: complex) -> TTN:
        return self.scaled(factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: complex) -> TTN:
        return self.scaled(1.0 / divisor)

    def __neg__(self) -> TTN:
        return self.scaled(-1.0)

    def inner(self, other: TTN) -> Any:
        """<self, other>, conjugate in self; a Python number."""
        same_tree(self, other)
        return arrays.scalar(algebra.overlaps(self.tree, self.cores, other.cores)[-1][0, 0])

    def entry(self, *index: int) -> Any:
        """One entry of the tensor, a Python number, at the cost of one small product a node."""
        return algebra.entry(self.tree, self.cores, index)

    def expectation(self, A: Any) -> Any:
        """<self, A self> of a KronSum or TTNO; divide by norm()^2 where the norm is not 1."""
        if A.tree != self.tree:
            raise ValueError(
                f"the operator must have the tree of the state; it has\n{A.tree.to_text()}\nand not\n{self.to_text()}"
            )
        return expected(A.program, self.cores, self.cores)

    def project(self, leaf: int, M: Any) -> TTN:
        """The leg of the leaf multiplied by M^T, M (n_l, k): a state with k in place of n_l. Nothing is conjugated."""
        node = self.tree.node_of[checked_leaf(self.tree, leaf, M)]
        core = along(M.T, self.cores[node], self.cores[node].ndim - 2)
        cores = (*self.cores[:node], core, *self.cores[node + 1 :])
        return TTN(self.tree.resized({leaf: M.shape[1]}), cores)

    def contract(self, vectors: Mapping[int, Any]) -> TTN:
        """Legs multiplied by one vector (n_l,) each, as in a mean over quadrature nodes: they have the length 1 afterwards."""
        cores = {}
        for leaf, vector in vectors.items():
            node = self.tree.node_of[checked_leaf(self.tree, leaf, vector)]
            cores[node] = along(vector[None, :], self.cores[node], self.cores[node].ndim - 2)
        tree = self.tree.resized(dict.fromkeys(vectors, 1))
        return TTN(tree, tuple(cores.get(node, core) for node, core in enumerate(self.cores)))

    def moments(self, vectors: Mapping[int, Any]) -> Any:
        """`contract`, as a dense array over the leaves that are left, in order; a 0-d array if none is."""
        kept = tuple(size for leaf, size in enumerate(self.tree.sizes) if leaf not in vectors)
        state = self.contract(vectors)
        if math.prod(kept) > MOST_ENTRIES:
            raise ValueError(f"a dense array of the shape {kept} is too large: contract more leaves")
        return namespace(state.cores[0]).reshape(algebra.dense(state.tree, state.cores), kept)


def working(vectors: Sequence[Any]) -> str:
    """The floating-point type of all: integers become float64."""
    return arrays.working_dtype(*(arrays.dtype_name(vector) for vector in vectors))


def completed(vector: Any, count: int) -> Any:
    """Orthonormal columns (n, count), the first the vector divided by its norm (the first unit vector if that is 0)."""
    xp, n, length = namespace(vector), vector.shape[0], norm(vector)
    units = xp.eye(n, count, dtype=vector.dtype, device=arrays.device(vector))
    first = vector / length if length > 0 else units[:, 0]
    position = int(xp.argmax(xp.abs(first)))
    others = [i for i in range(count) if i != position][: count - 1]
    Q, R = xp.linalg.qr(xp.concat([first[:, None], columns_of(units, others)], axis=1) if others else first[:, None])
    phases = xp.linalg.diagonal(R)
    return Q * (phases / xp.abs(phases))  # so that the first column is the vector, and not a multiple


def low_columns(shape: tuple[int, ...], like: Any) -> Any:
    """(all other axes, r) of a core of that shape: columns are unit tensors, those that differ least from (0, ..., 0) first."""
    indices = sorted(np.ndindex(*shape[:-1]), key=lambda index: (sum(i > 0 for i in index), sum(index)))
    columns = [int(np.ravel_multi_index(index, shape[:-1])) if index else 0 for index in indices[: shape[-1]]]
    return columns_of(eye(math.prod(shape[:-1]), like), columns)


def columns_of(M: Any, columns: list[int]) -> Any:
    xp = namespace(M)
    return xp.take(M, xp.asarray(columns, device=arrays.device(M)), axis=1)


def checked_leaf(tree: Tree, leaf: int, factor: Any) -> int:
    """leaf, if the tree has it and the first axis of the factor is as long as its leg."""
    if leaf not in range(tree.order):
        raise ValueError(f"the tree has the leaves 0 ... {tree.order - 1}; got {leaf}")
    if tuple(factor.shape)[:1] != (tree.sizes[leaf],):
        raise ValueError(f"leaf {leaf} has the length {tree.sizes[leaf]}; got a factor of the shape {tuple(factor.shape)}")
    return leaf


def same_tree(a: TTN, b: TTN) -> None:
    if not isinstance(b, TTN):
        raise TypeError(f"a TTN goes with a TTN; got {type(b).__name__}")
    if a.tree != b.tree:
        raise ValueError("the two states must have the same tree; they have\n" + a.to_text() + "\nand\n" + b.to_text())
    together(**{"the one state": a.cores[-1], "the other": b.cores[-1]})


def unitary_error(state: TTN) -> float:
    """How far the cores below the root are from orthonormal columns: the largest entry of Q^H Q - I."""
    worst = []
    for core in state.cores[:-1]:
        Q = matrix(core)
        xp = namespace(Q)
        worst.append(xp.max(xp.abs(adjoint(Q) @ Q - eye(Q.shape[1], Q))))
    return float(np.max(read(worst))) if worst else 0.0
