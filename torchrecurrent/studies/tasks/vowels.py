"""Japanese vowels: classify nine speakers by their /ae/, in recordings of unequal length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from ..running.scores import accuracy, cross_entropy
from ..running.streams import stream
from .task import Batch, Batches, Task, passes

__all__ = ["CHANNELS", "SPEAKERS", "Recordings", "Vowels", "load"]

CHANNELS = 12
SPEAKERS = 9


@dataclass(frozen=True)
class Recordings:
    """Recordings and their speakers.

    Attributes:
        sequences: N tensors of shape ``(T, 12)``, T from 7 to 29, float32.
        speakers: ``(N,)``, integers from 0 to 8.
    """

    sequences: tuple[Tensor, ...]
    speakers: Tensor

    def __len__(self) -> int:
        return len(self.sequences)

    def select(self, indices: Tensor) -> Recordings:
        """Return the recordings at the indices ``(M,)``, in their order."""
        chosen = tuple(self.sequences[i] for i in indices.tolist())
        return Recordings(chosen, self.speakers[indices])


@cache
def load(part: Literal["train", "test"]) -> Recordings:
    """Return the official training (270) or test (370) recordings, as published.

    Raises:
        ValueError: if there is no such part.
    """
    if part not in ("train", "test"):
        raise ValueError(f"part: expected 'train' or 'test', got {part!r}")
    source = files(__package__) / "data" / "japanese_vowels.npz"
    with source.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
        frames = torch.from_numpy(arrays[f"{part}_frames"])
        lengths: list[int] = arrays[f"{part}_lengths"].tolist()
        speakers = torch.from_numpy(arrays[f"{part}_speakers"])
    return Recordings(torch.split(frames, lengths), speakers)


def _split(seed: int, held_out: int) -> tuple[Tensor, Tensor]:
    """Return the indices of training and validation recordings, ``held_out`` per speaker."""
    speakers = load("train").speakers
    generator = stream("vowels", "split", seed)
    kept: list[Tensor] = []
    held: list[Tensor] = []
    for speaker in range(SPEAKERS):
        own = (speakers == speaker).nonzero().squeeze(1)
        own = own[torch.randperm(len(own), generator=generator)]
        held.append(own[:held_out])
        kept.append(own[held_out:])
    return torch.cat(kept), torch.cat(held)


@dataclass(frozen=True)
class Vowels(Task):
    """Classify nine speakers.

    Each channel is scaled to mean 0 and variance 1 over the frames that are trained on.

    Attributes:
        held_out: recordings of each speaker that are taken from the training set for
            validation, of 30; which ones depends on the seed.
    """

    measure: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    baseline_name: ClassVar[str] = "commonest speaker"

    held_out: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 30:
            raise ValueError(f"held_out: expected 1 to 29 of 30, got {self.held_out}")

    @property
    def name(self) -> str:
        return "Japanese vowels"

    @property
    def input_size(self) -> int:
        return CHANNELS

    @property
    def output_size(self) -> int:
        return SPEAKERS

    @property
    def longest(self) -> int:
        return 29

    @property
    def training_size(self) -> int:
        """Number of recordings trained on."""
        return SPEAKERS * (30 - self.held_out)

    @property
    def baseline(self) -> float:
        """The share of the commonest speaker of the test set."""
        speakers = load("test").speakers
        return speakers.bincount().max().item() / len(speakers)

    @property
    def threshold(self) -> float:
        return 0.9

    def training(self, seed: int, batch_size: int) -> Batches:
        """Yield packed batches without end, each epoch in a new order.

        Raises:
            ValueError: if the batch is larger than the training set.
        """
        recordings = self._pack(load("train").select(_split(seed, self.held_out)[0]), seed)
        return passes(recordings, batch_size, stream("vowels", "order", seed))

    def validation(self, seed: int) -> Batch:
        """The recordings held out, packed."""
        return self._pack(load("train").select(_split(seed, self.held_out)[1]), seed)

    def test(self, seed: int) -> Batch:
        """All 370 test recordings, packed."""
        return self._pack(load("test"), seed)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of scores ``(N, 9)`` for speakers ``(N,)``.

        Raises:
            ValueError: the prediction has another shape.
        """
        return cross_entropy(prediction, target, SPEAKERS)

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """Return the share of speakers classified correctly; NaN if a prediction is not finite."""
        return accuracy(prediction, target, SPEAKERS)

    def _pack(self, recordings: Recordings, seed: int) -> Batch:
        mean, deviation = _statistics(seed, self.held_out)
        scaled = [(each - mean) / deviation for each in recordings.sequences]
        return Batch(pack_sequence(scaled, enforce_sorted=False), recordings.speakers)


@cache
def _statistics(seed: int, held_out: int) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel, ``(12,)``, over the frames trained on."""
    frames = torch.cat(load("train").select(_split(seed, held_out)[0]).sequences)
    return frames.mean(0), frames.std(0)
