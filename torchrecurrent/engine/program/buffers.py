"""What a forward pass writes to, the same for every kind of kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from .batch import Batch
from .plan import Plan

__all__ = ["forward_buffers"]


def forward_buffers(
    plan: Plan,
    batch: Batch,
    states: Sequence[Tensor],
    keep: bool,
    empty: Callable[[Tensor, Sequence[int]], Tensor],
) -> dict[str, Tensor]:
    """The data, the first states, the states and the output, by the names of the kernels' slots.

    ``output`` is what the caller gets: the same memory as the output's rows, laid out as the data.

    Args:
        plan: of the step.
        batch: the sequences.
        states: the first ones.
        keep: whether all states are kept for a backward pass. If not, only the output has a row
            for each step; a state without begins as what it was before the first.
        empty: makes an uninitialised tensor like another, of some shape.
    """
    data, rows = batch.data, batch.rows
    output = empty(data, (*data.shape[:-1], plan.widths[plan.output_width]))
    history = output.view(rows, output.size(-1))
    buffers = {"X": data, "output": output}
    for k, ((name, place), state) in enumerate(zip(plan.states.items(), states, strict=True)):
        is_output = k == 0 and plan.output is None
        buffers[f"S0.{name}"] = state
        if is_output:
            buffers[f"S.{name}"] = history
        elif keep:
            buffers[f"S.{name}"] = empty(data, (rows, plan.widths[place]))
        else:
            buffers[f"S.{name}"] = state.clone()
    if plan.output is not None:
        buffers["Y"] = history
    return buffers
