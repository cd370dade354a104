"""A long sequence in pieces whose steps are computed again for the backward pass.

Between the passes only the states at the ends of the pieces are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["run_in_pieces"]

States = tuple[Tensor, ...]
#: Runs a sequence: its data, how many sequences run at each step, the first states.
Run = Callable[[Tensor, Tensor | None, States], tuple[Tensor, States]]


def run_in_pieces(
    run: Run, every: int, data: Tensor, sizes: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """The outputs, and the last states.

    Args:
        run: a whole sequence.
        every: how many steps a piece has.
        data: ``(T, N, I)``; or the rows of all steps, where ``sizes`` says how many each has.
        sizes: how many sequences run at each step; never rises.
        states: the first, each ``(N, width)``.
    """

    def piece(part: Tensor, counts: Tensor | None, *first: Tensor) -> tuple[Tensor, ...]:
        output, last = run(part, counts, first)
        return output, *last

    outputs: list[Tensor] = []
    if sizes is None:
        for part in data.split(every):
            output, *states = checkpoint(piece, part, None, *states, use_reentrant=False)
            outputs.append(output)
        return torch.cat(outputs), tuple(states)
    ended: list[States] = []
    rows = [int(counts.sum()) for counts in sizes.split(every)]
    for counts, part in zip(sizes.split(every), data.split(rows), strict=True):
        running = int(counts[0])
        ended.append(tuple(state[running:] for state in states))
        states = tuple(state[:running] for state in states)
        output, *states = checkpoint(piece, part, counts, *states, use_reentrant=False)
        outputs.append(output)
    final = zip(states, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(parts) for parts in final)
