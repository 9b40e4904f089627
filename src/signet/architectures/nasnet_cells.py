"""The cells of NASNet as tables: which state goes through which operation, and what is joined with what.

Paper: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2017),
arXiv:1707.07012; the search space is section 3 and appendix A.4.

States are numbered: first the cell's inputs (0 the map of the cell before, 1 the one before that), then one
for each block in order. In a reduction cell an operation on an input halves the map; the others keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operation = Literal["identity", "separable 3x3", "separable 5x5", "separable 7x7", "average 3x3", "max 3x3"]
Kind = Literal["normal", "reduction"]


@dataclass(frozen=True, slots=True)
class Block:
    """Two states, an operation on each, and their sum, which is a new state."""

    left: int
    left_operation: Operation
    right: int
    right_operation: Operation


@dataclass(frozen=True, slots=True)
class CellTable:
    """One cell.

    Attributes:
        kind: a "reduction" halves the map.
        blocks: in order; each may use the states of the ones before.
        outputs: the states whose maps, side by side in this order, are what the cell gives.
    """

    kind: Kind
    blocks: tuple[Block, ...]
    outputs: tuple[int, ...]


INPUTS = 2
"""States that a cell starts with."""

NORMAL_A = CellTable(
    "normal",
    (
        Block(0, "separable 5x5", 1, "separable 3x3"),
        Block(1, "separable 5x5", 1, "separable 3x3"),
        Block(0, "average 3x3", 1, "identity"),
        Block(1, "average 3x3", 1, "average 3x3"),
        Block(0, "separable 3x3", 0, "identity"),
    ),
    (1, 2, 3, 4, 5, 6),
)
"""NASNet-A, figure 4 left.

The figure joins the five blocks; the authors' code and all published weights join state 1 with them.
"""

REDUCTION_A = CellTable(
    "reduction",
    (
        Block(0, "separable 5x5", 1, "separable 7x7"),
        Block(0, "max 3x3", 1, "separable 7x7"),
        Block(0, "average 3x3", 1, "separable 5x5"),
        Block(3, "identity", 2, "average 3x3"),
        Block(2, "separable 3x3", 0, "max 3x3"),
    ),
    (3, 4, 5, 6),
)
"""NASNet-A, figure 4 right; the authors' code and all published weights join state 3 too."""
