"""A cell of your own: a dozen lines of mathematics, checked, and run by a compiled kernel.

It learns the adding problem: sum the two numbers that are marked in a sequence of many.

    python examples/own_cell.py --steps 400
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import Linear

from torchrecurrent import BaseRecurrentCell, Recurrent
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Gate, State, Vector
from torchrecurrent.testing import check_cell

LENGTH = 50


class FadingCell(BaseRecurrentCell):
    """A memory that each unit loses at a rate of its own, and a gate that writes to it."""

    vector_kernel_init: Initializer = "normal"

    @staticmethod
    def step(h: State, write: Gate, new: Gate, rate: Vector) -> Tensor:
        write = sigmoid(write)
        return sigmoid(rate + 4) * (1 - write) * h + write * tanh(new)


def problems(count: int) -> tuple[Tensor, Tensor]:
    """Numbers and marks ``(T, N, 2)``, and the sums of the marked ones ``(N,)``."""
    numbers = torch.rand(LENGTH, count)
    places = torch.stack([torch.randperm(LENGTH)[:2] for _ in range(count)], 1)
    marks = torch.zeros(LENGTH, count).scatter_(0, places, 1.0)
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps (default: 400)")
    steps: int = parser.parse_args().steps

    check_cell(FadingCell)
    print("check_cell: gradients, saving, padding, the kernel and the rest are right")

    torch.manual_seed(0)
    layer = Recurrent(FadingCell, 2, 64, return_sequences=False)
    read_out = Linear(64, 1)
    print(layer.explain(problems(1)[0]))

    optimizer = torch.optim.Adam([*layer.parameters(), *read_out.parameters()], lr=0.005)
    for step in range(1, steps + 1):
        sequences, sums = problems(64)
        last, _ = layer(sequences)
        loss = (read_out(last).squeeze(-1) - sums).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == steps or step % 100 == 0:
            print(f"step {step}: mean square error {loss.item():.4f}")
    print(f"baseline, always 1: {1 / 6:.4f}")


if __name__ == "__main__":
    main()
