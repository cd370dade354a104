"""Predict a signal as it comes in, one value at a time, with the state carried along.

The predictions are those that the layer makes for the whole sequence at once.

    python examples/streaming.py --steps 200
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from torchrecurrent import LEM


class Predictor(nn.Module):
    """The next value of a signal ``(T, N, 1)`` at every step, and the state to go on from."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layer = LEM(1, hidden_size)
        self.read_out = nn.Linear(hidden_size, 1)

    def forward(self, signal: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output, state = self.layer(signal, state)
        return self.read_out(output), state


def signals(count: int, length: int) -> Tensor:
    """Sums of two sines with random phases and a little noise, ``(T, N, 1)``."""
    time = torch.arange(length).view(-1, 1, 1)
    one, other = 6.28 * torch.rand(2, 1, count, 1)
    clean = torch.sin(0.2 * time + one) + 0.5 * torch.sin(0.53 * time + other)
    return clean + 0.02 * torch.randn_like(clean)


def stream(model: Predictor, values: list[float]) -> Iterator[float]:
    """Predictions, each made as soon as its value is there; memory does not grow."""
    state = None
    for value in values:
        with torch.inference_mode():
            prediction, state = model(torch.tensor([[value]]), state)  # one step, unbatched
        yield prediction.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps (default: 200)")
    steps: int = parser.parse_args().steps

    torch.manual_seed(0)
    model = Predictor(hidden_size=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        signal = signals(32, 80)
        predicted, _ = model(signal[:-1])
        loss = (predicted - signal[1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    signal = signals(1, 300)[:, 0]
    one_by_one = torch.tensor(list(stream(model, signal.flatten().tolist()))).view(-1, 1)
    with torch.no_grad():
        at_once, _ = model(signal)
    error = (one_by_one[20:-1] - signal[21:]).square().mean().sqrt()
    print(f"root mean square error after 20 values: {error.item():.3f}")
    print(f"of a signal with a standard deviation of {signal.std().item():.3f}")
    difference = (one_by_one - at_once).abs().max().item()
    print(f"one by one and all {len(signal)} at once differ by at most {difference:.1e}")


if __name__ == "__main__":
    main()
