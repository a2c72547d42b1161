"""A state whose centre walks along the edges of its tree, and a right-hand side seen from there, kept up to date on the way."""

from __future__ import annotations

import math
from typing import Any

from .local_solvers import Flow
from .pairs import pair_flow
from .right_hand_sides import Stage, View
from .state import TTN
from .tensors import adjoint, along, conjugate, matrix, namespace, qr, unfolding
from .truncation import leading


class MovingCentre:
    """The cores of an orthonormal state, all orthonormal towards the node `at`, the centre, which starts at the root.

    The flow of the centre, of its edge or of a pair of neighbours, between the bases of the rest, costs one view a move. The
    cores of the state are not written to.
    """

    def __init__(self, stage: Stage, state: TTN) -> None:
        self.stage, self.tree, self.cores, self.at = stage, state.tree, [*state.cores], state.tree.root
        self.up: list[View] = []
        for node in self.tree.edges:
            self.up.append(stage.up(node, self.below(node), self.cores[node], self.cores[node]))
        self.down: list[View] = [None] * len(self.cores)

    @property
    def core(self) -> Any:
        return self.cores[self.at]

    def state(self) -> TTN:
        """The state; the centre must be at the root."""
        return TTN(self.tree, tuple(self.cores))

    def below(self, node: int) -> list[View]:
        return [self.up[child] for child in self.tree.children[node]]

    def descend(self, child: int) -> Any:
        """The centre becomes orthonormal towards this child; the weight S (r, r') on their edge, for `enter`."""
        Q, S = qr(unfolding(self.core, self.tree.axis(child)))
        self.point(child, Q)
        return S.T

    def point(self, child: int, Q: Any) -> None:
        """The parent's core := Q (all other axes, r') with its last axis where the child's is."""
        parent, axis = self.tree.parent[child], self.tree.axis(child)
        shape, xp = self.cores[parent].shape, namespace(Q)
        Q = xp.moveaxis(xp.reshape(Q, (*shape[:axis], *shape[axis + 1 :], -1)), -1, axis)
        self.cores[parent] = Q
        self.down[child] = self.stage.down(child, self.below(parent), self.down[parent], Q, Q)

    def enter(self, child: int, S: Any) -> None:
        """The centre moves to the child: its core times S (r, r') along its last axis."""
        self.cores[child] = along(S.T, self.cores[child], self.cores[child].ndim - 1)
        self.at = child

    def lift(self) -> Any:
        """The centre becomes orthonormal towards its parent; the weight R (r', r) on their edge, for `leave`."""
        Q, R = qr(matrix(self.core))
        self.close(self.at, namespace(Q).reshape(Q, (*self.core.shape[:-1], -1)))
        return R

    def close(self, node: int, Q: Any) -> None:
        """The core of the node := Q, of orthonormal columns."""
        self.cores[node] = Q
        self.up[node] = self.stage.up(node, self.below(node), Q, Q)

    def leave(self, R: Any) -> None:
        """The centre moves to the parent of the node that was lifted."""
        parent, axis = self.tree.parent[self.at], self.tree.axis(self.at)
        self.cores[parent] = along(R, self.cores[parent], axis)
        self.at = parent

    def walk_down(self, node: int) -> None:
        """The centre moves to a node below it, or stays."""
        path = [node]
        while path[-1] != self.at:
            path.append(self.tree.parent[path[-1]])
        for child in reversed(path[:-1]):
            self.enter(child, self.descend(child))

    def walk_up(self, node: int) -> None:
        """The centre moves to a node above it, or stays."""
        while self.at != node:
            self.leave(self.lift())

    def flow(self) -> Flow:
        """Of the core of the centre."""
        return self.stage.core(self.at, self.below(self.at), self.down[self.at], self.core)

    def edge_flow(self, node: int) -> Flow:
        """Of the weight (r of the node's basis, r of the rest), when the centre is on the edge of that node."""
        return self.stage.edge(node, self.up[node], self.down[node], self.cores[node])

    def pair(self, child: int) -> Any:
        """The cores of a child and its parent, one of which is the centre, as one: the child's axes, then the parent's others."""
        parent, axis = self.tree.parent[child], self.tree.axis(child)
        C = matrix(self.cores[child]) @ unfolding(self.cores[parent], axis).T
        return namespace(C).reshape(C, sum(self.pair_shape(child), ()))

    def pair_shape(self, child: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape, axis = tuple(self.cores[self.tree.parent[child]].shape), self.tree.axis(child)
        return tuple(self.cores[child].shape[:-1]), (*shape[:axis], *shape[axis + 1 :])

    def pair_flow(self, child: int, C: Any) -> Flow:
        """Of `pair(child)`."""
        parent = self.tree.parent[child]
        views = [None if view == child else self.up[view] for view in self.tree.children[parent]]
        return pair_flow(self.tree, self.stage, child, self.below(child), views, self.down[parent], C)

    def split(self, child: int, C: Any, *, to_parent: bool, tol: float, min_rank: int, max_rank: int | None) -> float:
        """The pair C as two cores again, the centre at one of them; the 2-norm of what was cut off."""
        rows, columns = self.pair_shape(child)
        parent, axis, xp = self.tree.parent[child], self.tree.axis(child), namespace(C)
        M = xp.reshape(C, (math.prod(rows), math.prod(columns)))
        P, _, discarded = leading(M if to_parent else M.T, tol, min_rank, max_rank)
        if to_parent:
            self.close(child, xp.reshape(P, (*rows, -1)))
            self.cores[parent] = xp.moveaxis(xp.reshape(adjoint(P) @ M, (-1, *columns)), 0, axis)
        else:
            self.point(child, P)
            self.cores[child] = xp.reshape(M @ conjugate(P), (*rows, -1))
        self.at = parent if to_parent else child
        return discarded
