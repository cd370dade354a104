"""Checkpoints of other origin load, and what a checkpoint holds does not change by accident."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import BR, LSTM, BRCell, IndRNN

#: Parameters of torchrecurrent 0.2.5 at I = 3, H = 4 (IntersectionRNN: I = 4), as it saves them.
PUBLISHED: dict[str, dict[str, tuple[int, ...]]] = {
    "BR": {"weight_ih": (12, 3), "weight_hh": (8,), "bias_ih": (12,), "bias_hh": (8,)},
    "NBR": {"weight_ih": (12, 3), "weight_hh": (8, 4), "bias_ih": (12,), "bias_hh": (8,)},
    "IndRNN": {"weight_ih": (4, 3), "vector_u": (4,), "bias_ih": (4,), "bias_hh": (4,)},
    "MGU": {"weight_ih": (8, 3), "weight_hh": (8, 4), "bias_ih": (8,), "bias_hh": (8,)},
    "PeepholeLSTM": {
        "weight_ih": (16, 3),
        "weight_hh": (16, 4),
        "weight_ph": (12,),
        "bias_ih": (16,),
        "bias_hh": (16,),
    },
    "LEM": {
        "weight_ih": (16, 3),
        "weight_hh": (12, 4),
        "weight_ch": (4, 4),
        "bias_ih": (16,),
        "bias_hh": (12,),
        "bias_ch": (4,),
    },
    "coRNN": {
        "weight_ih": (4, 3),
        "weight_hh": (4, 4),
        "weight_ch": (4, 4),
        "bias_ih": (4,),
        "bias_hh": (4,),
        "bias_ch": (4,),
    },
    "IntersectionRNN": {
        "weight_ih": (16, 4),
        "weight_hh": (16, 4),
        "bias_ih": (16,),
        "bias_hh": (16,),
    },
    "TGRU": {"weight_ih": (12, 3), "weight_hh": (12, 3), "bias_ih": (12,), "bias_hh": (12,)},
    "tauGRU": {"weight_ih": (16, 3), "weight_hh": (16, 4), "bias_ih": (16,), "bias_hh": (16,)},
    "FastRNN": {
        "weight_ih": (4, 3),
        "weight_hh": (4, 4),
        "bias_ih": (4,),
        "bias_hh": (4,),
        "alpha": (1,),
        "beta": (1,),
    },
    "FastGRNN": {
        "weight_ih": (4, 3),
        "weight_hh": (4, 4),
        "bias_ih": (8,),
        "bias_hh": (8,),
        "zeta": (1,),
        "nu": (1,),
    },
    "UnICORNN": {"weight_ih": (4, 3), "weight_hh": (4,), "weight_ch": (4,), "bias_ih": (4,)},
    "MultiplicativeLSTM": {
        "weight_ih": (20, 3),
        "weight_hh": (4, 4),
        "weight_mh": (16, 4),
        "bias_ih": (20,),
        "bias_hh": (4,),
        "bias_mh": (16,),
    },
    "MCLSTM": {"weight_ih": (20, 3), "weight_hh": (20, 4), "bias_ih": (20,), "bias_hh": (20,)},
    "SCRN": {
        "weight_ih": (8, 3),
        "weight_hh": (8, 4),
        "weight_ch": (8, 4),
        "bias_ih": (8,),
        "bias_hh": (8,),
        "bias_ch": (8,),
    },
    "LiGRU": {"weight_ih": (8, 3), "weight_hh": (8, 4), "bias_ih": (8,), "bias_hh": (8,)},
}

#: The blocks of weight_ih and weight_hh in the order of 0.2.5, under our arguments' names.
BLOCKS = {
    "BR": ("a c n", "a c"),
    "NBR": ("a c n", "a c"),
    "MGU": ("f n", "f U"),
    "PeepholeLSTM": ("i f g o", "i f g o"),
    "LEM": ("delta1 delta2 u v", "delta1 delta2 u"),
    "IntersectionRNN": ("y_in h_in g_y g_h", "y_in h_in g_y g_h"),
    "TGRU": ("z f o", "z f o"),
    "tauGRU": ("u z g a", "u z g a"),
    "MultiplicativeLSTM": ("m i f g o", "k"),
    "MCLSTM": ("f i o m n", "f i o m n"),
    "SCRN": ("b n", "n U"),
    "LiGRU": ("z n", "z n"),
}


def make(name: str, **options: Any) -> Any:
    width = PUBLISHED[name]["weight_ih"][1]
    return getattr(torchrecurrent, name)(width, 4, **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_checkpoint_of_0_2_5_loads(name: str) -> None:
    layer = make(name)
    saved = {f"cells.0.{key}": torch.randn(shape) for key, shape in PUBLISHED[name].items()}
    layer.load_state_dict(saved, strict=True)
    assert {key: tuple(value.shape) for key, value in layer.state_dict().items()} == {
        key: tuple(value.shape) for key, value in saved.items()
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_lie_in_the_published_order(name: str) -> None:
    cell = make(name).cells[0]
    stacks = {
        kernel.weight: " ".join(block.name for block in blocks)
        for kernel, blocks in cell.layout.stacks.items()
    }
    assert (stacks["weight_ih"], stacks["weight_hh"]) == BLOCKS[name]


def test_zero_buffers_of_disabled_biases_are_dropped_and_others_are_not() -> None:
    layer = BR(3, 4, bias=False)
    saved: dict[str, Tensor] = dict(BR(3, 4).state_dict())
    saved = {key: torch.zeros_like(v) if "bias" in key else v for key, v in saved.items()}
    layer.load_state_dict(saved, strict=True)
    assert len(saved) == 4  # the caller's dict is his own
    saved["cells.0.bias_hh"][1] = 1.0
    with pytest.raises(RuntimeError, match=r"Unexpected key.*bias_hh"):
        layer.load_state_dict(saved, strict=True)


def test_torch_names_load_within_a_model() -> None:
    theirs = nn.Sequential(nn.LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 1))
    ours = nn.Sequential(LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 1))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(ours[0](x)[0], theirs[0](x)[0])
    ours.load_state_dict(ours.state_dict(), strict=True)
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.cells\.0\.weight_ih"):
        nn.Sequential(LSTM(5, 4, 2, bidirectional=True), nn.Linear(8, 1)).load_state_dict(
            theirs.state_dict()
        )


def test_aliases_are_the_same_classes() -> None:
    assert torchrecurrent.NBRCell is torchrecurrent.nBRCell
    assert torchrecurrent.NBR is torchrecurrent.nBR


def test_recurrent_vector_keeps_its_published_name() -> None:
    assert "cells.0.vector_u" in IndRNN(3, 4).state_dict()


def test_diagonal_recurrence_starts_at_one_for_brc() -> None:
    assert torch.equal(BRCell(3, 4).block("weight_hh", "a"), torch.ones(4))
