"""A stack of different cells in two directions: point at the largest number of a sequence.

The lower layer has cells of this package, another one for each direction; the upper layer one
of torch's. No step can know the answer without what comes before it and after it.

    python examples/mixed_stack.py --steps 300
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from torchrecurrent import LSTMCell, Recurrent, nBRCell

LENGTH, HIDDEN = 12, 32


class Pointer(nn.Module):
    """Scores ``(N, T)`` of the steps of sequences ``(N, T, 1)``."""

    def __init__(self) -> None:
        super().__init__()
        forwards, backwards = LSTMCell(1, HIDDEN), nBRCell(1, HIDDEN)
        self.stack = Recurrent(
            [(forwards, backwards), nn.GRUCell], 1, HIDDEN, bidirectional=True, batch_first=True
        )
        self.read_out = nn.Linear(2 * HIDDEN, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        output, _ = self.stack(numbers)
        scores: Tensor = self.read_out(output).squeeze(-1)
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: 300)")
    steps: int = parser.parse_args().steps

    torch.manual_seed(0)
    model = Pointer()
    print(model.stack)
    _, states = model.stack(torch.zeros(1, LENGTH, 1))
    kinds = ["(h, c)" if isinstance(state, tuple) else "h" for state in states]
    print(f"the states, one entry for each cell: {', '.join(kinds)}")

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(1, steps + 1):
        numbers = torch.rand(64, LENGTH, 1)
        loss = cross_entropy(model(numbers), numbers.squeeze(-1).argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == steps or step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    with torch.no_grad():
        numbers = torch.rand(1000, LENGTH, 1)
        right = (model(numbers).argmax(1) == numbers.squeeze(-1).argmax(1)).float().mean().item()
    print(f"right for {right:.1%} of 1000 new sequences; by chance {1 / LENGTH:.1%}")


if __name__ == "__main__":
    main()
