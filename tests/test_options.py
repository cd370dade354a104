"""Multiplicative integration means what its paper says; shapes hold whatever the sizes."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from torchrecurrent import BaseRecurrentCell, RecurrentLayer, RNNCell
from torchrecurrent.catalog.listing import cells, layer_of

from .making import assert_same, has_gate, input_for, make, states_for, tensors


def test_multiplicative_integration_is_the_papers() -> None:
    cell = make(RNNCell, integration="multiplicative")
    p = {name: value.detach() for name, value in cell.named_parameters()}
    assert set(p) >= {"mi_alpha", "mi_beta_ih", "mi_beta_hh"}
    x, h = input_for(cell), states_for(cell)
    Wx, Uh = p["weight_ih"] @ x, p["weight_hh"] @ h
    expected = torch.tanh(
        p["mi_alpha"] * Wx * Uh
        + p["mi_beta_hh"] * Uh
        + p["mi_beta_ih"] * Wx
        + p["bias_ih"]
        + p["bias_hh"]
    )
    assert_same(cell(x, h), expected)


def test_multiplicative_integration_starts_at_ones_and_contains_the_sum(
    cell_class: type[BaseRecurrentCell],
) -> None:
    if not has_gate(cell_class):
        message = f"multiplies .*; {cell_class.__name__} has none with a product of both"
        with pytest.raises(ValueError, match=message):
            make(cell_class, integration="multiplicative")
        return
    cell, plain = make(cell_class, integration="multiplicative"), make(cell_class)
    cell.load_state_dict(plain.state_dict(), strict=False)
    names = [name for name, _ in cell.named_parameters() if name.startswith("mi_")]
    cell.reset_parameters()
    assert len(names) == 3
    assert all((cell.get_parameter(name) == 1).all() for name in names)
    cell.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        cell.get_parameter("mi_alpha").zero_()
    input, hx = input_for(cell, 5), states_for(cell, 5)
    assert_same(cell(input, hx), plain(input, hx))


SIZES = st.integers(min_value=1, max_value=9)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(list(cells().values())),
    sizes=st.tuples(SIZES, SIZES, SIZES, SIZES),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    data=st.data(),
)
def test_shapes_of_layers(
    kind: type[BaseRecurrentCell],
    sizes: tuple[int, int, int, int],
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
    data: st.DataObject,
) -> None:
    steps, batch, width, hidden = sizes
    layer: RecurrentLayer
    try:
        layer = layer_of(kind)(
            width, hidden, num_layers, bidirectional=bidirectional, batch_first=batch_first
        )
    except ValueError as error:  # a cell as wide as its input, in one direction only
        assert "input_size == hidden_size is needed" in str(error)  # noqa: PT017
        layer, width, bidirectional = layer_of(kind)(hidden, hidden, num_layers), hidden, False
        batch_first = False
    directions = 1 + bidirectional
    lengths = data.draw(st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    shape = (batch, steps) if batch_first else (steps, batch)
    output, h_n = layer(torch.randn(*shape, width), lengths=lengths)
    cell: Any = layer.cells[-1]
    assert output.shape == (*shape, directions * cell.output_size)
    first = h_n if isinstance(h_n, torch.Tensor) else h_n[0]
    assert first.shape == (num_layers * directions, batch, hidden)
    again, last = layer(torch.randn(*shape, width), h_n)
    assert again.shape == output.shape
    assert [t.shape for t in tensors(last)] == [t.shape for t in tensors(h_n)]
