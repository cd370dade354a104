"""Times training with what may be asked of a layer or of a call, beside training without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import torchrecurrent as tr

from .rows import SHAPES, Shape
from .timing import Row, interleave

__all__ = ["OPTIONS", "Option", "measure"]

LAYERS: dict[str, Callable[..., nn.Module]] = {"LSTM": tr.LSTM, "BR": tr.BR}
#: Options of the layer, and arguments of a call from T and N, by what a table says of them.
OPTIONS: dict[str, tuple[dict[str, float], Callable[[int, int], dict[str, Tensor]]]] = {
    "resets at a step in fifty": ({}, lambda T, N: {"resets": torch.rand(T, N) < 0.02}),
    "a masked step in ten": ({}, lambda T, N: {"mask": torch.rand(T, N) < 0.9}),
    "lengths, on average half": ({}, lambda T, N: {"lengths": torch.randint(1, T, (N,))}),
    "zoneout": ({"zoneout": 0.1}, lambda T, N: {}),
    "recurrent_dropout": ({"recurrent_dropout": 0.2}, lambda T, N: {}),
    "weight_dropout": ({"weight_dropout": 0.2}, lambda T, N: {}),
}


@dataclass(frozen=True)
class Option:
    """The milliseconds of a training step with an option, and without any."""

    cell: str
    shape: Shape
    option: str
    milliseconds: float
    without: float

    @property
    def ratio(self) -> float:
        return self.milliseconds / self.without


def measure(repeats: int) -> list[Option]:
    return [
        each
        for shape in SHAPES[:3]
        for cell, make in LAYERS.items()
        for each in _measure(cell, make, shape, repeats)
    ]


def _measure(cell: str, make: Callable[..., nn.Module], shape: Shape, repeats: int) -> list[Option]:
    T, N, width, hidden = shape
    torch.manual_seed(0)
    x = torch.randn(T, N, width, requires_grad=True)
    grad = torch.randn(T, N, hidden)
    rows = [_row(cell, "", make(width, hidden), {}, x, grad)]
    for name, (options, arguments) in OPTIONS.items():
        layer = make(width, hidden, **options)
        rows.append(_row(cell, name, layer, arguments(T, N), x, grad))
    timed, _ = interleave(rows, repeats, f"{cell}, {shape}")
    without, *others = timed
    return [
        Option(cell, shape, each.source, each.train, without.train)
        for each in others
        if each.train is not None and without.train is not None
    ]


def _row(
    cell: str,
    name: str,
    layer: nn.Module,
    arguments: Mapping[str, Tensor],
    x: Tensor,
    grad: Tensor,
) -> Row:
    def train() -> None:
        layer(x, **arguments)[0].backward(grad)

    def reset() -> None:
        layer.zero_grad(set_to_none=True)
        x.grad = None

    return Row(cell, name, {"train": train}, reset)
