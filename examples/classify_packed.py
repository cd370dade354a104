"""Classify sequences of different lengths: nine speakers, told apart by how they say two vowels.

The batches are packed, so no time step of padding is computed, and the layer returns the last
output of each sequence alone. The recordings are those of the extra ``studies``; without it:

    pip install ".[studies]"
    python examples/classify_packed.py --steps 100
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from torchrecurrent import nBR
from torchrecurrent.studies.tasks.vowels import CHANNELS, SPEAKERS, Recordings, load


class Classifier(nn.Module):
    """Scores ``(N, 9)`` of packed recordings."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layer = nBR(CHANNELS, hidden_size, bidirectional=True, return_sequences=False)
        self.read_out = nn.Linear(2 * hidden_size, SPEAKERS)

    def forward(self, recordings: PackedSequence) -> Tensor:
        last, _ = self.layer(recordings)
        scores: Tensor = self.read_out(last)
        return scores


def pack(recordings: Recordings, mean: Tensor, deviation: Tensor) -> PackedSequence:
    """Each channel scaled; in the order given."""
    scaled = [(each - mean) / deviation for each in recordings.sequences]
    return pack_sequence(scaled, enforce_sorted=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="training steps (default: 100)")
    steps: int = parser.parse_args().steps

    torch.manual_seed(0)
    train, test = load("train"), load("test")
    frames = torch.cat(train.sequences)
    mean, deviation = frames.mean(0), frames.std(0)
    model = Classifier(hidden_size=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    for step in range(1, steps + 1):
        batch = train.select(torch.randint(len(train), (64,)))
        loss = cross_entropy(model(pack(batch, mean, deviation)), batch.speakers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == steps or step % 25 == 0:
            print(f"step {step}: training loss {loss.item():.3f}")

    with torch.no_grad():
        guesses = model(pack(test, mean, deviation)).argmax(1)
    lengths = [len(each) for each in test.sequences]
    print(f"{len(test)} test recordings of {min(lengths)} to {max(lengths)} steps")
    print(f"accuracy: {(guesses == test.speakers).float().mean().item():.1%}")


if __name__ == "__main__":
    main()
