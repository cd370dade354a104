"""Checkpoints of other origin load, and what a checkpoint holds does not change by accident."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import BR, JANET, LSTM, BRCell, IndRNN
from torchrecurrent.roles import INPUT


def test_a_trained_beta_of_0_2_5_becomes_the_constant() -> None:
    layer = JANET(3, 4, 2)
    saved: dict[str, Tensor] = dict(JANET(3, 4, 2).state_dict())
    saved |= {"cells.0.beta": torch.tensor(0.5), "cells.1.beta": torch.tensor(0.75)}
    layer.load_state_dict(saved, strict=True)
    assert [cell.beta for cell in layer.cells] == [0.5, 0.75]
    first: Any = layer.cells[0]
    assert [block.name for block in first.layout.blocks(INPUT)] == ["f", "n"]
    # the forget gate at 0 takes in 1 - sigmoid(0 - beta) of a candidate of tanh(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        first.block("bias_ih", "n").fill_(1.0)
    value = (1 - torch.sigmoid(torch.tensor(-0.5))) * torch.tanh(torch.tensor(1.0))
    torch.testing.assert_close(first(torch.zeros(3)), value.expand(4))


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
