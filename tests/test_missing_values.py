"""GRU-D with values that are missing: every path, and its oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torchrecurrent import GRUD, GRUDCell, backend
from torchrecurrent.engine import Backend

from .exporting import ANY, Exported
from .making import assert_same, gradients, make, randomize, tensors
from .oracles import oracle

F64 = torch.float64
T, N = 7, 3
PATHS: list[Backend] = ["c", "triton"]

# NumPy, in which Triton interprets, says what IEEE's rules do silently.
silent = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


def with_gaps(*shape: int, dtype: torch.dtype = F64) -> Tensor:
    """Numbers of which a third are missing."""
    x = torch.randn(*shape, dtype=dtype)
    return torch.where(torch.rand(shape) < 1 / 3, math.nan, x)


@torch.no_grad()
def test_equals_its_oracle() -> None:
    cell: Any = make(GRUDCell)
    parameters = {name: value.numpy() for name, value in cell.state_dict().items()}
    dt, hx = torch.rand(T, dtype=F64), cell.init_hidden()
    states = tuple(state.numpy() for state in hx)
    for t in range(T):
        x = with_gaps(3)
        hx = cell(x, hx, dt=dt[t])
        states = oracle("GRUDCell")(parameters, x.numpy(), *states, dt=float(dt[t]))[1]
        assert_same(hx, [torch.from_numpy(np.asarray(state)) for state in states])


@silent
@pytest.mark.parametrize("path", PATHS)
def test_kernels_equal_the_loop(path: Backend) -> None:
    layer = randomize(GRUD(3, 4, num_layers=2, bidirectional=True, dtype=F64))
    x, dt, found = with_gaps(T, N, 3), torch.rand(T, N, dtype=F64), []
    for choice in (path, "reference"):
        leaves = [x.clone().requires_grad_(), dt.clone().requires_grad_()]
        with backend(choice):
            results = layer(leaves[0], dt=leaves[1], lengths=[7, 2, 5])
            grads = gradients(layer, results)
        made, passed = list(tensors(results)), [leaf.grad for leaf in leaves]
        found.append([*made, *tensors(passed), *grads.values()])
    assert all(bool(ours.isfinite().all()) for ours in found[0])
    assert_same(found[0], found[1], 1e-11)  # sums over steps and units of numbers of size ten
    assert not found[0][len(made)][x.isnan()].any()


@torch.no_grad()
def test_packed_masked_and_step_by_step() -> None:
    layer: Any = randomize(GRUD(3, 4, dtype=F64))
    x, dt = with_gaps(T, N, 3), torch.rand(T, N, dtype=F64)
    output, state = layer(x, dt=dt)
    hx = layer.init_hidden(N)
    for t in range(T):
        one, hx = layer.step(x[t], hx, dt=dt[t])
        assert_same(one, output[t])
    assert_same(hx, state)
    lengths = torch.tensor([7, 2, 5])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    padded, _ = pad_packed_sequence(layer(packed)[0])
    assert_same(padded, layer(x, lengths=lengths)[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
def test_exports() -> None:
    layer = GRUD(3, 4).eval()
    x = with_gaps(5, 2, 3, dtype=torch.float32)
    exported = Exported(layer, (x,), ({0: ANY, 1: ANY},))
    exported.check(with_gaps(11, 3, 3, dtype=torch.float32))
    program: Any = torch.export.export(layer, (x,))
    # roundings of float32 at size one
    assert_same(program.module()(x), layer(x), 1e-6)
    assert_same(torch.compile(layer, fullgraph=True, backend="eager")(x), layer(x), 1e-6)
