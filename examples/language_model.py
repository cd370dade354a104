"""A character language model, trained on one long text by truncated backpropagation.

The text is cut into parallel streams. Each piece of a stream starts from the state in which the
piece before it ended, cut off from its history by ``detach_hidden``.

    python examples/language_model.py --steps 300
"""

from __future__ import annotations

import argparse
import math
from pydoc_data.topics import topics  # Python's own reference manual
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from torchrecurrent import GRU, detach_hidden

STREAMS, PIECE = 32, 50


class LanguageModel(nn.Module):
    """Scores of the next character at every step, and the state to go on from."""

    def __init__(self, characters: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.layer = GRU(32, hidden_size)
        self.read_out = nn.Linear(hidden_size, characters)

    def forward(self, text: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output, state = self.layer(self.embedding(text), state)
        return self.read_out(output), state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="training steps (default: 300)")
    steps: int = parser.parse_args().steps

    torch.manual_seed(0)
    text = "\n".join(topics.values())
    alphabet = sorted(set(text))
    number = {character: n for n, character in enumerate(alphabet)}
    codes = torch.tensor([number[character] for character in text])
    streams = codes[: len(codes) // STREAMS * STREAMS].view(STREAMS, -1).T  # (time, streams)
    print(f"{len(text)} characters of {len(alphabet)} kinds, in {STREAMS} streams")
    share = codes.bincount() / len(codes)
    entropy = -(share * share.log2()).sum().item()
    print(f"by their frequencies alone: {entropy:.2f} bits a character")

    model = LanguageModel(len(alphabet), hidden_size=128)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    state = None
    for step in range(1, steps + 1):
        start = (step - 1) % ((len(streams) - 1) // PIECE) * PIECE
        piece = streams[start : start + PIECE + 1]
        scores, state = model(piece[:-1], None if start == 0 else detach_hidden(state))
        loss = cross_entropy(scores.flatten(0, 1), piece[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == steps or step % 100 == 0:
            print(f"step {step}: {loss.item() / math.log(2):.2f} bits a character")

    character, state, written = torch.tensor([number["T"]]), None, "T"
    with torch.no_grad():
        for _ in range(200):
            scores, state = model(character, state)  # one step, unbatched
            character = torch.multinomial(scores[-1].softmax(-1), 1)
            written += alphabet[int(character)]
    print(f"the model writes:\n{written}")


if __name__ == "__main__":
    main()
