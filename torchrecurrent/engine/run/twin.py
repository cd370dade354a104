"""Runs a sequence by the layer of ``torch.nn`` that a cell declares to be the same.

It is torch's own function on tensors, with torch's own gradient: hooks, tracers and modes see it as
they see ``torch.nn.LSTM``, and as there cuDNN has no second derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...declaration.noise import noise_of
from ...interop.torch_twin import TorchTwin
from ...roles import INPUT, RECURRENT
from .reference import EffectiveParameters

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["run_twin", "twin_of"]


def twin_of(cell: Any, parameters: EffectiveParameters) -> TorchTwin | None:
    """Return the layer of ``torch.nn`` that computes what a cell does; ``None``: there is none."""
    is_declared = isinstance(cell, nn.Module)
    if not is_declared:  # what lets a module from outside run is none
        return None
    if cell.no_kernel or cell.integration != "additive" or noise_of(cell):
        return None
    found = {name: value for name, value in parameters.items() if value is not None}
    twins: tuple[TorchTwin, ...] = cell.torch_twins
    for twin in twins:
        rows = twin.gates * cell.hidden_size
        shapes = {
            INPUT.name: (rows, cell.input_size),
            RECURRENT.name: (rows, cell.output_size),
            INPUT.bias: (rows,),
            RECURRENT.bias: (rows,),
            twin.projection: (cell.output_size, cell.hidden_size),
        }
        same = all(getattr(cell, name) == value for name, value in twin.options)
        if same and all(value.shape == shapes.get(name) for name, value in found.items()):
            return twin
    return None


def run_twin(
    twin: TorchTwin,
    cell: BaseRecurrentCell,
    data: Tensor,
    sizes: Tensor | None,
    states: Sequence[Tensor],
    parameters: EffectiveParameters,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a whole sequence like :func:`.reference.run`.

    Args:
        twin: the layer of ``torch.nn``.
        cell: of which it is a twin.
        data: the input.
        sizes: the number of sequences that run at each step.
        states: the first ones.
        parameters: the cell's, of the dtype of the input.
    """
    first = [state.unsqueeze(0).contiguous() for state in states]
    weights = _weights(twin, parameters)
    keep = torch.is_grad_enabled() and any(each.requires_grad for each in (data, *weights, *states))
    function = getattr(torch._VF, twin.function)
    hidden: Any = first[0] if len(first) == 1 else first
    layers, dropout, both_directions, batch_first = 1, 0.0, False, False
    with torch.autocast(data.device.type, enabled=False):  # the tensors have its dtype already
        if sizes is None:
            output, *last = function(
                data, hidden, weights, True, layers, dropout, keep, both_directions, batch_first
            )
        else:
            output, *last = function(
                data, sizes, hidden, weights, True, layers, dropout, keep, both_directions
            )
    return output, tuple(state.squeeze(0) for state in last)


def _weights(twin: TorchTwin, parameters: EffectiveParameters) -> list[Tensor]:
    """Return the parameters in the order of torch's layer, as views of one piece of memory.

    That is how cuDNN takes them: first matrices, then biases, of which it has room for two. If they
    lay elsewhere torch would warn, and copy them.
    """
    matrices = [parameters[name] for name in (INPUT.name, RECURRENT.name)]
    projection = parameters.get(twin.projection)
    found = [each for each in (*matrices, projection) if each is not None]
    for weight in (INPUT, RECURRENT):
        bias = parameters[str(weight.bias)]
        found.append(found[0].new_zeros(found[0].size(0)) if bias is None else bias)
    parts = torch.cat([each.flatten() for each in found]).split([each.numel() for each in found])
    views = [part.view_as(each) for part, each in zip(parts, found, strict=True)]
    if projection is not None:  # torch has it last
        views.append(views.pop(2))
    return views
