"""Kernels of modules from outside by Triton, in its interpreter; they prove themselves first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import Recurrent, backend
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.gpu.load import interpreted

from .making import assert_same

if not interpreted():
    pytest.skip("on a GPU tests/test_gpu.py runs", allow_module_level=True)

from .trying import cache  # noqa: F401

CELLS: list[Any] = [nn.RNNCell, nn.GRUCell, nn.LSTMCell]


def trained(layer: Recurrent, x: Tensor) -> list[Tensor]:
    layer.zero_grad()
    output = layer(x)[0]
    output.square().sum().backward()
    found = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    return [output.detach(), *found]


@pytest.mark.parametrize("kind", CELLS)
def test_cells_of_torch(kind: Any, cache: Path) -> None:  # noqa: F811
    layer = Recurrent(kind, 3, 5).double()
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    with backend("reference"):
        expected = trained(layer, x)
    with backend("triton"):
        assert_same(trained(layer, x), expected)
    assert not verdicts.every()
    assert_same(trained(layer, x), expected)
    assert "as checked on this device" in layer.explain(x)
    assert [each.fault for each in verdicts.every().values()] == [""]
