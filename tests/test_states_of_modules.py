"""The states of a plain module that is used as a cell: of any shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import Recurrent

from .making import assert_same

I, H, T, N = 3, 4, 5, 2
C = 3  # planes


class Planes(nn.Module):
    """A module of somebody's own: its states are C planes and a vector for each sequence."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.mix = nn.Conv1d(C + 1, C, 3, padding=1)
        self.read = nn.Linear(input_size, hidden_size)

    def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch_size, C, self.hidden_size), torch.zeros(batch_size, C)

    def forward(self, input: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        planes, level = state
        seen = torch.cat([self.read(input)[:, None], planes + level[..., None]], 1)
        planes = torch.tanh(self.mix(seen))
        return planes[:, 0], (planes, planes.mean(-1))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch", [(), (N,)])
def test_states_of_a_module_may_have_any_shape(num_layers: int, batch: tuple[int, ...]) -> None:
    layer, input = Recurrent(Planes, I, H, num_layers), torch.randn(T, *batch, I)
    output, _ = layer(input)
    first, middle = layer(input[:2])
    sizes = [tuple(each.shape) for each in middle]
    assert sizes == [(num_layers, *batch, C, H), (num_layers, *batch, C)]
    second, _ = layer(input[2:], middle)
    assert_same(torch.cat([first, second]), output)
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size"):
        layer(input, (torch.zeros(num_layers + 1, *batch, C, H), middle[1]))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_masks_and_resets_of_a_state_of_any_shape(num_layers: int) -> None:
    # Products of float32 differ in their last bit with the number of rows.
    layer = Recurrent(Planes, I, H, num_layers).double()
    input = torch.randn(T, N, I, dtype=torch.float64)
    begins = torch.zeros(T, N, dtype=torch.bool)
    begins[2] = True
    assert_same(layer(input, resets=begins)[0][2:], layer(input[2:])[0])
    counts = torch.ones(T, N, dtype=torch.bool)
    counts[1] = False
    assert_same(layer(input, mask=counts)[1], layer(input[counts[:, 0]])[1])
