"""A layer exported to ONNX runs in onnxruntime at any length and batch size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    BR,
    GRU,
    LEM,
    LSTM,
    TGRU,
    BRCell,
    FastSlow,
    GRUCell,
    LSTMCell,
    MGUCell,
    Multiplicative,
    Recurrent,
    nBR,
    nBRCell,
)
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.cells.ligru import NormalizedLiGRUCell
from torchrecurrent.engine.run.onnx import operator_of
from torchrecurrent.roles import Gate, State

from .exporting import ANY, Exported, any_batch, check_layer, random_input
from .making import make, randomize, rebuilt, tensors

# The exporter's own modules warn on import, and of how it looks at a tree.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


class Alone(nn.Module):
    """A cell whose first state is its own, with a buffer, and a tensor that is no buffer."""

    def __init__(self, input_size: int, hidden_size: int, **_: Any) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.product = nn.Linear(input_size + hidden_size, hidden_size)
        self.register_buffer("scale", torch.full((hidden_size,), 0.5))
        self.first = torch.ones(hidden_size)

    def forward(self, input: Tensor, state: Tensor | None = None) -> Tensor:
        if state is None:
            state = self.first.expand(input.size(0), -1)
        return torch.tanh(self.product(torch.cat([input, state], -1)) * self.scale + self.first)


class Together(nn.Module):
    """Layers that read the first columns of one input: an export of each would take long."""

    batch_first, input_size = False, 4

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(layers)

    def init_hidden(self, batch_size: int) -> list[Any]:
        return [layer.init_hidden(batch_size) for layer in self.layers]

    def forward(self, input: Tensor, states: Any = None) -> list[Any]:
        given = states or [None] * len(self.layers)
        return [
            layer(input[..., : layer.input_size], state)
            for layer, state in zip(self.layers, given, strict=True)
        ]


ALL = list(cells().values())
GROUPS = [ALL[first : first + 5] for first in range(0, len(ALL), 5)]


@pytest.mark.parametrize(
    "number", range(len(GROUPS)), ids=[" ".join(cell.__name__ for cell in each) for each in GROUPS]
)
def test_every_cell(number: int) -> None:
    """One node for all steps of each; first states are inputs of every other group."""
    group = GROUPS[number]
    model = Together([make(layer_of(cell), dtype=torch.float32) for cell in group])
    exported = check_layer(model, given=number % 2 == 1)
    operators = (cell.onnx_operator for cell in group)
    expected = Counter("Scan" if each is None else each.name for each in operators)
    assert exported.nodes & expected == expected
    assert exported.nodes["MatMul"] <= len(group)  # no loop is unrolled


@pytest.mark.parametrize(
    ("kind", "options", "given"),
    [
        (LSTM, {"batch_first": True}, False),
        (GRU, {"return_sequences": False}, True),
        (TGRU, {}, True),
        (nBR, {"batch_first": True, "return_sequences": False}, False),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else str(each),
)
def test_layers_and_directions(kind: Any, options: Any, given: bool) -> None:
    layer = randomize(kind(3, 4, num_layers=2, bidirectional=True, **options))
    exported = check_layer(layer, given)
    assert sum(exported.nodes[name] for name in ("Scan", "LSTM", "GRU")) == 4


def test_one_sequence_without_a_batch() -> None:
    layer = randomize(GRU(3, 4))
    exported = Exported(layer, (torch.randn(5, 3),), ({0: ANY},))
    exported.check(torch.randn(1, 3))
    exported.check(torch.randn(9, 3))


@pytest.mark.parametrize(
    "stack",
    [
        [nBRCell, nn.GRUCell, LSTMCell, "LEM"],
        [partial(FastSlow, LSTMCell, GRUCell, slow_size=2), partial(Multiplicative, GRUCell)],
        [Alone, nn.LSTMCell],
    ],
    ids=["cells", "made of cells", "a module"],
)
def test_a_mixed_stack(stack: Sequence[Any]) -> None:
    check_layer(randomize(Recurrent(list(stack), 3, 4)))


@pytest.mark.parametrize(
    "layer",
    [
        partial(LSTM, bidirectional=True, return_sequences=False),
        partial(GRU, batch_first=True),
        partial(nBR, bidirectional=True, batch_first=True),
        partial(LEM, return_sequences=False),
        partial(Recurrent, [nn.RNNCell, Alone]),
    ],
    ids=["LSTM", "GRU", "nBR", "LEM", "modules"],
)
def test_lengths_are_an_input(layer: Any) -> None:
    layer = randomize(layer(3, 4))
    least = 0 if layer.cells[-1].__class__ is not Alone else 1  # whose first state is not known
    exported = Exported(
        layer,
        (random_input(layer, 5, 3),),
        {"input": {0: ANY, 1: ANY}, "lengths": {0: ANY}},
        {"lengths": torch.tensor([5, 2, 3])},
    )
    for steps, lengths in ((9, [1, 9, least, 4]), (1, [1]), (4, [least, least])):
        input = random_input(layer, steps, len(lengths))
        exported.check(input, lengths=torch.tensor(lengths))


def test_lengths_are_a_constant() -> None:
    layer = randomize(BR(3, 4))
    shapes = {"input": {0: ANY}, "lengths": [None, None]}
    exported = Exported(layer, (torch.randn(5, 2, 3),), shapes, {"lengths": [4, 1]})
    assert [each.name for each in exported.session.get_inputs()] == ["input"]


def test_what_has_no_padded_form_says_so() -> None:
    packed = nn.utils.rnn.pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    layer = BR(3, 4).eval()
    with pytest.raises(Exception, match="a padded Tensor with lengths"):
        torch.onnx.export(layer, (packed,), dynamo=True, verbose=False)
    lengths = torch.tensor([4, 2])
    with pytest.raises(TypeError, match="an export to ONNX can"):
        torch.export.export(layer, (torch.randn(4, 2, 3),), {"lengths": lengths})


class GentlerGRUCell(GRUCell):
    """A step of its own, to which the operator of its parent does not apply."""

    @staticmethod
    def step(h: State, r: Gate, z: Gate, n: Gate) -> Tensor:  # type: ignore[override]
        return h + torch.sigmoid(z) * (torch.tanh(n) - h)


@pytest.mark.parametrize(
    "layer",
    [
        LSTM(3, 4, bias=False, recurrent_bias=True),
        GRU(3, 4, recurrent_bias=False),
    ],
    ids=repr,
)
def test_the_operator_with_other_options(layer: Any) -> None:
    exported = check_layer(randomize(layer))
    assert exported.nodes[layer.cells[0].onnx_operator.name] == 1


@pytest.mark.parametrize(
    "cell",
    [
        LSTMCell(3, 4, proj_size=2),
        LSTMCell(3, 4, recurrence="diagonal"),
        GRUCell(3, 4, num_heads=2),
        GRUCell(3, 4, integration="multiplicative"),
        GRUCell(3, 4, dtype=torch.float64),
        GentlerGRUCell(3, 4),
        BRCell(3, 4),
    ],
    ids=repr,
)
def test_what_the_operator_does_not_compute(cell: Any) -> None:
    data = torch.zeros(5, 2, 3, dtype=cell.weight_ih.dtype)
    assert operator_of(cell, data, cell.effective_parameters()) is None


def test_other_precisions_have_a_scan() -> None:
    layer = make(GRU)
    exported = Exported(layer, (torch.randn(5, 2, 3, dtype=torch.float64),), ({0: ANY, 1: ANY},))
    assert exported.nodes["Scan"] == 1


def test_a_projection_of_its_own_and_weights_that_are_computed() -> None:
    layer = randomize(Recurrent([NormalizedLiGRUCell, MGUCell], 3, 4))
    nn.utils.parametrizations.weight_norm(layer.cells[1], "weight_hh")
    check_layer(layer)


class Streaming(nn.Module):
    """A model that takes its state, and returns it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: Any = LEM(3, 4, num_layers=2, batch_first=True)
        self.readout = nn.Linear(4, 2)

    def forward(self, input: Tensor, state: Any) -> tuple[Tensor, Any]:
        output, state = self.layer(input, state)
        return self.readout(output), state


def test_a_stream_in_pieces() -> None:
    model = randomize(Streaming())
    state = model.layer.init_hidden(2)
    input = torch.randn(2, 12, 3)
    shapes = ({0: ANY, 1: ANY}, any_batch(state))
    exported = Exported(model, (torch.randn(2, 5, 3), state), shapes)
    outputs = []
    for piece in input.split([1, 7, 4], 1):
        feed = zip(exported.session.get_inputs(), tensors((piece, state)), strict=True)
        found = exported.session.run(None, {each.name: part.numpy() for each, part in feed})
        output, *parts = map(torch.from_numpy, found)
        outputs.append(output)
        state = rebuilt(state, iter(parts))
    whole, _ = model(input, model.layer.init_hidden(2))
    # as in Exported.check
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-5, atol=1e-5)
