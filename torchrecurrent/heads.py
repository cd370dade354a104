"""What cells share whose heads have a matrix each, in which values are stored under keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor

from .cell import BaseRecurrentCell
from .roles import INPUT, AcrossRole, Function, ProductRole, StateRole

__all__ = [
    "HeadFold",
    "HeadGate",
    "HeadState",
    "HeadSum",
    "MatrixCell",
    "ToKeys",
    "ToValues",
    "ValueSum",
    "by_turns_",
]

#: One number a head.
HeadState = Annotated[Tensor, StateRole("num_heads")]
HeadGate = Annotated[Tensor, ProductRole(INPUT, rows="num_heads")]
#: The sum of each head's part of a key, and the number of each head for all of its key or value.
HeadSum = Annotated[Function, AcrossRole("folded", "num_heads", r"\mathrm{heads}")]
ToKeys = Annotated[Function, AcrossRole("tiled", "hidden_size", r"\mathrm{keys}")]
ToValues = Annotated[Function, AcrossRole("repeated", "hidden_size", r"\mathrm{values}")]
#: The sum of each head's part of a value.
ValueSum = Annotated[Function, AcrossRole("grouped", "num_heads", r"\mathrm{total}")]
#: The sum of the rows of all matrices, in a cell whose output has another width than its values.
HeadFold = Annotated[Function, AcrossRole("folded", "value_size", r"\mathrm{fold}")]


def by_turns_(key: Tensor, fill: Callable[[Tensor], object], num_heads: int) -> Tensor:
    """Fill a key, in which heads take turns, as one is filled in which they lie one by one."""
    one_by_one = torch.empty_like(key)
    fill(one_by_one)
    return key.copy_(one_by_one.view(num_heads, -1).T.flatten())


class MatrixCell(BaseRecurrentCell):
    """A cell of which each of ``num_heads`` heads has a matrix.

    A row belongs to one number of a key, a column to one of a value. All heads together have
    ``hidden_size`` numbers of either. Those of a value lie head by head; in a key the heads take
    turns, so that a row of all matrices together has the numbers of a value in their order.
    """

    @property
    def scale(self) -> float:
        """The root of the width of a head's key."""
        return math.sqrt(self.hidden_size // self.num_heads)

    @property
    def value_size(self) -> int:
        """How many numbers the values of all heads have."""
        return self.hidden_size

    @property
    def matrix_size(self) -> int:
        """How many numbers the matrices of all heads have."""
        return self.hidden_size * self.hidden_size // self.num_heads

    def check_options(self) -> None:
        super().check_options()
        if self.num_heads < 1 or self.hidden_size % self.num_heads:
            raise ValueError(
                f"num_heads should divide hidden_size, {self.hidden_size}, got {self.num_heads}"
            )
