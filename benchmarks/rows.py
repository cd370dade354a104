"""The rows that are timed at every shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

import torch
from torch import Tensor, nn

import torchrecurrent as tr
from torchrecurrent import backend

from . import peers
from .timing import Row, layer_row

__all__ = ["FLOOR", "SHAPES", "Shape", "rows", "title"]

Shape = tuple[int, int, int, int]
#: Time steps, batch size, width of the input, width of the state.
SHAPES: list[Shape] = [(100, 32, 64, 128), (300, 100, 2, 100), (128, 64, 256, 512)]
SHAPES += [(1000, 1, 64, 128)]
#: torch's layers, each above the same cell of ours.
TORCH: dict[str, peers.Factory] = {"LSTM": nn.LSTM, "GRU": nn.GRU}
OURS: dict[str, peers.Factory] = {
    "LSTM": tr.LSTM,
    "LSTM diagonal": lambda width, hidden: tr.LSTM(width, hidden, recurrence="diagonal"),
    "GRU": tr.GRU,
    "BR": tr.BR,
    "nBR": tr.nBR,
    "IndRNN": tr.IndRNN,
    "MGU": tr.MGU,
    "URLSTM": tr.URLSTM,
    "PeepholeLSTM": tr.PeepholeLSTM,
    "LEM": tr.LEM,
    "coRNN": tr.coRNN,
}
#: Also timed without a kernel, to show the kernel's effect.
LOOPS = ("LSTM", "BR")
#: Beside nn.LSTM: its products without a cell.
FLOOR = "LSTM's products alone"


def title(shape: Shape) -> str:
    return "T, N, I, H = " + ", ".join(map(str, shape))


def rows(x: Tensor, hidden: int, modules: Mapping[str, ModuleType]) -> list[Row]:
    """Return all rows except those of torch.compile.

    Args:
        x: the input, ``(T, N, I)``.
        hidden: H.
        modules: the peers' modules by name.
    """
    width = x.size(-1)
    found: list[Row] = []
    for cell, make in OURS.items():
        if cell in TORCH:
            found.append(layer_row(f"nn.{cell}", "torch", TORCH[cell](width, hidden), x))
        layer = make(width, hidden)
        found.append(layer_row(cell, "ours", layer, x))
        if cell in LOOPS:
            run = _looped(layer)
            found.append(layer_row(cell, "plain loop", layer, x, run=run, slow=True))
        for peer, make_theirs in peers.layers(cell, modules).items():
            theirs = make_theirs(width, hidden)
            # TorchScript keeps optimising for a few calls.
            warm_up = 4 if peer == "brc" else 2
            found.append(layer_row(cell, peer, theirs, x, slow=True, warm_up=warm_up))
    return [*found, _products(x, hidden)]


def _looped(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        with backend("reference"):
            output: Tensor = layer(x)[0]
        return output

    return run


def _products(x: Tensor, hidden: int) -> Row:
    """Return a row of only an LSTM's matrix products, in a plain loop over ``torch.mm``."""
    steps, batch, width = x.shape
    flat = x.flatten(0, 1)
    w_ih, w_hh = torch.randn(width, 4 * hidden), torch.randn(hidden, 4 * hidden)
    back = w_hh.t().contiguous()
    h, gates = torch.randn(batch, hidden), torch.empty(batch, 4 * hidden)
    states, grads = torch.randn(len(flat), hidden), torch.randn(len(flat), 4 * hidden)
    step_grads = grads.split(batch)

    def forward() -> None:
        torch.mm(flat, w_ih)
        for _ in range(steps):
            torch.mm(h, w_hh, out=gates)

    def train() -> None:
        forward()
        into = torch.empty_like(h)
        for grad in step_grads:
            torch.mm(grad, back, out=into)
        torch.mm(grads.t(), flat)
        torch.mm(grads.t(), states)

    return Row(FLOOR, "torch", {"forward": forward, "train": train}, slow=True)
