"""The forms in which a kernel runs, of which each is another piece of machine code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Form"]


@dataclass(frozen=True)
class Form:
    """One way in which a kernel is launched."""

    #: Whether a backward pass follows.
    training: bool
    #: Whether the sequences are of different lengths.
    ragged: bool = False
    #: Whether the steps are cut into chunks that run side by side.
    chunks: bool = False
    #: Whether what was launched at an earlier call is replayed, with other numbers.
    replay: bool = False

    def __str__(self) -> str:
        words = ["training" if self.training else "without gradients"]
        words.append("sequences of different lengths" if self.ragged else "equal lengths")
        if self.chunks:
            words.append("in chunks")
        if self.replay:
            words.append("replayed")
        return ", ".join(words)
