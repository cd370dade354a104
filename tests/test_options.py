"""An integration means what its paper says; shapes hold whatever the sizes."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import assume, given, settings
from torch import Tensor
from torch.nn.functional import layer_norm

from torchrecurrent import BaseRecurrentCell, GRUCell, LSTMCell, RecurrentLayer, RNNCell
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.roles import INPUT, RECURRENT, ProductRole

from .making import (
    HIDDEN,
    assert_same,
    has_gate,
    has_product,
    input_for,
    make,
    states_for,
    tensors,
)


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


def test_layer_norm_integration_is_the_papers() -> None:
    cell = make(LSTMCell, integration="layer_norm", layer_norm_eps=0.1)
    p = {name: value.detach() for name, value in cell.named_parameters()}
    x, (h, c) = input_for(cell, 5), states_for(cell, 5)
    found = cell(x, (h, c))
    normal = partial(layer_norm, normalized_shape=(4 * HIDDEN,), eps=0.1)
    gates = normal(x @ p["weight_ih"].T, weight=p["ln_gamma_ih"])
    gates = gates + normal(h @ p["weight_hh"].T, weight=p["ln_gamma_hh"])
    i, f, g, o = (gates + p["bias_ih"] + p["bias_hh"]).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    assert_same(found, (torch.sigmoid(o) * torch.tanh(c), c))


def test_layer_norm_integration_normalises_what_is_alike_together() -> None:
    """As the authors do: both gates of a GRU are one vector, each part of its candidate another."""
    cell = make(GRUCell, integration="layer_norm", layer_norm_eps=0.1)
    p = {name: value.detach() for name, value in cell.named_parameters()}
    x, h = input_for(cell, 5), states_for(cell, 5)

    def product(weight: str, gain: str, value: Tensor) -> Tensor:
        rows, sizes = value @ p[weight].T, [2 * HIDDEN, HIDDEN]
        parts = [layer_norm(part, part.shape[-1:], eps=0.1) for part in rows.split(sizes, -1)]
        return cast("Tensor", torch.cat(parts, -1) * p[gain])

    r, z, n = (product("weight_ih", "ln_gamma_ih", x) + p["bias_ih"]).chunk(3, -1)
    u_r, u_z, m = (product("weight_hh", "ln_gamma_hh", h) + p["bias_hh"]).chunk(3, -1)
    r, z = torch.sigmoid(r + u_r), torch.sigmoid(z + u_z)
    n = torch.tanh(n + r * m)
    assert_same(cell(x, h), (1 - z) * n + z * h)


def test_layer_norm_integration_starts_at_ones_and_does_not_see_the_scale_of_a_weight(
    cell_class: type[BaseRecurrentCell],
) -> None:
    if not has_product(cell_class):
        message = f"{cell_class.__name__} has no argument with a product of either"
        with pytest.raises(ValueError, match=message):
            make(cell_class, integration="layer_norm")
        return
    # not 0, since a single unit has no variance
    cell = make(cell_class, integration="layer_norm", layer_norm_eps=1e-300, bias=False)
    input, hx = input_for(cell, 5), states_for(cell, 5)
    stacks = [weight for weight in (INPUT, RECURRENT) if cell.layout.blocks(weight)]
    roles = {argument.name: argument.role for argument in cell.signature.arguments}
    before = cell(input, hx)
    with torch.no_grad():
        for weight in stacks:
            for block in cell.layout.blocks(weight):  # a map that the step applies is left alone
                if isinstance(roles.get(block.name), ProductRole):
                    cell.block(weight.name, block.name).mul_(3.0)
    if cell.recurrent_kernel() is getattr(cell, "weight_hh", None):
        # a hundred times the roundings of float64 at size one: what is normalised is small
        assert_same(cell(input, hx), before, 1e-10)
    cell.reset_parameters()
    gains = [value for name, value in cell.named_parameters() if name.startswith("ln_")]
    assert gains
    assert all((value == 1).all() for value in gains)


def test_multiplicative_integration_starts_at_ones_and_contains_the_sum(
    cell_class: type[BaseRecurrentCell],
) -> None:
    if not has_gate(cell_class):
        message = f"multiplies .*; {cell_class.__name__} has none with a product of both"
        with pytest.raises(ValueError, match=message):
            make(cell_class, integration="multiplicative")
        return
    cell = make(cell_class, integration="multiplicative")
    plain = make(cell_class, integration="additive")
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
        assume("input_size should be at least 2" not in str(error))
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
    assert first.shape == (num_layers * directions, batch, cell.state_widths[0])
    again, last = layer(torch.randn(*shape, width), h_n)
    assert again.shape == output.shape
    assert [t.shape for t in tensors(last)] == [t.shape for t in tensors(h_n)]
