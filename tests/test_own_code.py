"""All cells and all layers compile in one process, whatever torch's limit for one function."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, Recurrent, RecurrentLayer, RNNCell
from torchrecurrent.catalog.listing import cells, layer_of

from .making import assert_same, input_for, make

#: More than torch compiles one function for, by default.
MANY = 10
FIRST = list(itertools.islice(cells().values(), MANY))


@pytest.mark.parametrize("layers", [False, True], ids=["cells", "layers"])
def test_many_kinds_compile_in_one_process(layers: bool) -> None:
    torch.compiler.reset()
    for cell in FIRST:
        module = make(layer_of(cell) if layers else cell)
        input = input_for(module, 4, 2)
        input = input if layers else input[0]
        compiled: Any = torch.compile(module, fullgraph=True, backend="eager")
        assert_same(compiled(input), module(input))


def test_a_forward_has_the_code_of_its_class_alone(layer_class: type[RecurrentLayer]) -> None:
    for kind, base in ((layer_class.cell, BaseRecurrentCell), (layer_class, Recurrent)):
        forward: Any = kind.forward
        assert forward.__code__ is not base.forward.__code__
        assert inspect.signature(forward) == inspect.signature(base.forward)
        assert inspect.getsource(forward) == inspect.getsource(base.forward)
        assert forward.__doc__ == base.forward.__doc__
        assert forward.__qualname__ == base.forward.__qualname__


class DoubledCell(RNNCell):
    """A cell whose forward is its author's."""

    def forward(self, input: Tensor, hx: Any = None, **_: Any) -> Any:
        return 2 * super().forward(input, hx)


class AgainCell(DoubledCell):
    """A cell that inherits it."""


def test_an_override_stays_what_it_is() -> None:
    cell = AgainCell(3, 4)
    plain = RNNCell(3, 4)
    plain.load_state_dict(cell.state_dict())
    input = torch.randn(2, 3)
    assert_same(cell(input), 2 * plain(input), 0)
    again: Any = AgainCell.forward
    assert again.__code__ is not DoubledCell.forward.__code__
    assert again.__code__.co_filename == __file__
