"""The interface of torchrecurrent 0.2.5 stays: names, shapes, block order, keywords, methods."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import (
    BaseRecurrentCell,
    BRCell,
    FastSlow,
    LSTMCell,
    Multiplicative,
    Recurrent,
    RecurrentLayer,
    RNNCell,
)

from .making import HIDDEN, assert_same, make, randomize
from .test_padding import Leaky

CELLS: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text("utf-8"))[
    "cells"
]

#: The blocks of weight_ih and weight_hh in the order of 0.2.5, under our arguments' names.
BLOCKS = {
    "BR": ("a c n", "a c"),
    "CFN": ("theta eta n", "theta eta"),
    "DSGU": ("g z", "U z"),
    "GatedAntisymmetricRNN": ("z n", "u"),
    "IntersectionRNN": ("y_in h_in g_y g_h", "y_in h_in g_y g_h"),
    "LEM": ("delta1 delta2 u v", "delta1 delta2 u"),
    "LiGRU": ("z n", "z n"),
    "LightRU": ("n f", "f"),
    "MCLSTM": ("f i o m n", "f i o m n"),
    "MGU": ("f n", "f U"),
    "MUT1": ("z r n", "r U"),
    "MUT2": ("z r n", "z r U"),
    "MUT3": ("z r n", "V r U"),
    "MiRU1": ("r n", "r U"),
    "MultiplicativeLSTM": ("m i f g o", "k"),
    "NAS": ("g0 g1 g2 x3 g4 g5 g6 g7", "g0 g1 g2 h3 g4 g5 g6 g7"),
    "NBR": ("a c n", "a c"),
    "OriginalLSTM": ("i g o", "i g o"),
    "PeepholeLSTM": ("i f g o", "i f g o"),
    "SCRN": ("b n", "n U"),
    "SGU": ("g z", "U z"),
    "STAR": ("z k", "k"),
    "TGRU": ("z f o", "z f o"),
    "TLSTM": ("z f o", "z f o"),
    "UGRNN": ("c g", "c g"),
    "WMCLSTM": ("i f g o", "i f g o"),
    "tauGRU": ("u z g a", "u z g a"),
}

#: Those whose state was a pair.
DOUBLE = [
    "coRNN",
    "JANET",
    "LEM",
    "MCLSTM",
    "MultiplicativeLSTM",
    "NAS",
    "OriginalLSTM",
    "PeepholeLSTM",
    "RAN",
    "ResLSTM",
    "SCRN",
    "TGRU",
    "TLSTM",
    "UnICORNN",
    "WMCLSTM",
]


def layer_of(cell: str) -> Any:
    """Our layer of a published cell, with random parameters."""
    return make(getattr(torchrecurrent, cell.removesuffix("Cell")))


def shapes(cell: str, input_size: int) -> dict[str, tuple[int, ...]]:
    """The parameters as 0.2.5 saves them."""
    found = {}
    for name, formula in CELLS[cell]["parameters"].items():
        sizes = (
            formula.strip("()").replace("I", f"*{input_size}").replace("H", f"*{HIDDEN}").split(",")
        )
        values = [size.strip().lstrip("*").split("*") for size in sizes if size]
        found[name] = tuple(int(torch.tensor([int(f) for f in one]).prod()) for one in values)
    return found


@pytest.mark.parametrize("name", CELLS)
def test_a_checkpoint_of_0_2_5_loads(name: str) -> None:
    layer = layer_of(name)
    published = shapes(name, layer.input_size)
    saved = {f"cells.0.{key}": torch.randn(shape) for key, shape in published.items()}
    layer.load_state_dict(saved, strict=True)
    # What has no dimension is a constant of the paper: taken up, but no parameter.
    expected = {f"cells.0.{key}": shape for key, shape in published.items() if shape}
    assert {key: tuple(value.shape) for key, value in layer.state_dict().items()} == expected


@pytest.mark.parametrize("name", CELLS)
def test_keywords_are_those_of_0_2_5(name: str) -> None:
    ours = set(inspect.signature(getattr(torchrecurrent, name)).parameters)
    assert set(CELLS[name]["keywords"]) <= ours


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_lie_in_the_published_order(name: str) -> None:
    cell = layer_of(name).cells[0]
    stacks = {
        weight.name: " ".join(block.name for block in blocks)
        for weight, blocks in cell.layout.stacks.items()
    }
    assert (stacks["weight_ih"], stacks.get("weight_hh", "")) == BLOCKS[name]


@pytest.mark.parametrize("name", CELLS)
def test_a_state_is_the_pair_that_it_was(name: str) -> None:
    changed = {"JANETCell": False, "tauGRUCell": True}  # as the page for users of 0.2.5 says
    cell = layer_of(name).cells[0]
    assert cell.uses_double_state() is changed.get(name, name.removesuffix("Cell") in DOUBLE)


def is_pair(state: Any) -> bool:
    return isinstance(state, tuple) and len(state) == 2


def test_uses_double_state_says_whether_the_state_is_a_pair(
    cell_class: type[BaseRecurrentCell],
) -> None:
    cell = make(cell_class)
    assert cell.uses_double_state() is is_pair(cell.init_hidden())
    result = cell(torch.zeros(cell.input_size, dtype=torch.float64))
    state = result[1] if cell.signature.has_output else result
    assert cell.uses_double_state() is is_pair(state)


def test_so_it_does_of_a_layer(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    _, state = layer(torch.zeros(3, 2, layer.input_size, dtype=torch.float64))
    assert layer.uses_double_state() is is_pair(state)


def test_so_it_does_of_cells_made_of_cells_and_of_stacks() -> None:
    assert not Multiplicative(RNNCell, 3, 4).uses_double_state()
    assert Multiplicative(LSTMCell, 3, 4).uses_double_state()
    assert FastSlow(RNNCell, RNNCell, 3, 4).uses_double_state()
    assert not FastSlow(LSTMCell, RNNCell, 3, 4).uses_double_state()
    assert Recurrent([nn.LSTMCell, LSTMCell], 3, 4).uses_double_state()
    assert not Recurrent(nn.GRUCell, 3, 4).uses_double_state()
    assert not Recurrent([LSTMCell, BRCell], 3, 4).uses_double_state()
    with pytest.raises(TypeError, match="uses_double_state: the states of Leaky are not known"):
        Recurrent([BRCell, Leaky], 3, 4).uses_double_state()


def check_initialised(module: Any) -> None:
    torch.manual_seed(1)
    module.reset_parameters()
    expected = [value.clone() for value in module.state_dict().values()]
    randomize(module)
    torch.manual_seed(1)
    assert module.init_weights() is None
    assert_same(module.state_dict().values(), expected, 0)


def test_init_weights_is_reset_parameters(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    check_initialised(layer)
    check_initialised(layer.cells[0])


def test_so_it_is_of_cells_made_of_cells() -> None:
    check_initialised(Multiplicative(LSTMCell, 3, 4))
    check_initialised(FastSlow(LSTMCell, RNNCell, 3, 4))
    check_initialised(Recurrent([Leaky, nn.GRUCell], 3, 4))


def test_the_ones_that_a_cell_once_saved_are_dropped(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    saved: dict[str, Tensor] = {key: value + 1 for key, value in layer.state_dict().items()}
    ones = {f"cells.{k}.t_ones": torch.ones(HIDDEN) for k in range(2)}
    layer.load_state_dict(saved | ones, strict=True)
    assert_same(layer.state_dict().values(), saved.values(), 0)
    layer.cells[1].load_state_dict(
        dict(layer.cells[1].state_dict()) | {"t_ones": torch.ones(HIDDEN)},
        strict=True,
    )
    ones["cells.1.t_ones"][2] = 0.5
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"cells.1.t_ones"):
        layer.load_state_dict(saved | ones, strict=True)


def test_a_buffer_of_that_name_is_loaded() -> None:
    cell = BRCell(3, 4)
    cell.register_buffer("t_ones", torch.zeros(4))
    cell.load_state_dict(BRCell(3, 4).state_dict() | {"t_ones": torch.ones(4)}, strict=True)
    assert_same(cell.get_buffer("t_ones"), torch.ones(4), 0)
    model = nn.Sequential(Multiplicative(LSTMCell, 3, 4))
    saved = model.state_dict() | {"0.cell.t_ones": torch.ones(4)}
    assert not model.load_state_dict(saved, strict=True).unexpected_keys
