"""A sequence inside an export to ONNX: ONNX's own operator of the cell, or a Scan over its steps.

Either is one node of the model, whatever the number of steps and of sequences. The exporter has
to be told of neither: both are made of what it translates by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ...declaration.layout import Block
from ...declaration.noise import noise_of
from ...interop.onnx_operator import OnnxOperator
from ...roles import INPUT, RECURRENT
from .reference import EffectiveParameters, Noise, States, Stepper
from .torch_private import constant_while_compiling, scan

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["exporting_to_onnx", "operator_of", "run"]

_QUIET: Noise = {}


@constant_while_compiling
def exporting_to_onnx() -> bool:
    """Whether what is traced has to consist of ONNX's operators."""
    return "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export()


def run(
    cell: Stepper,
    data: Tensor,
    lengths: Tensor | None,
    states: States | None,
    parameters: EffectiveParameters,
    noise: Noise = _QUIET,
) -> tuple[Tensor, States]:
    """A whole sequence, traced.

    Args:
        cell: what to step.
        data: ``(T, N, I)``.
        lengths: how many steps of each sequence count, ``(N,)``; the output is zero after them,
            and the state stays. ``None``: all do.
        states: each ``(N, width)``; ``None`` if the cell makes its own.
        parameters: its effective parameters.
        noise: expected to be none.

    Returns:
        The outputs ``(T, N, *)``, and each sequence's state after its last step.

    Raises:
        TypeError: there is noise.
    """
    if noise:
        raise TypeError(
            "recurrent_dropout and zoneout draw masks in training, which a program in ONNX can't "
            "do; export the model in eval()"
        )
    operator = operator_of(cell, data, parameters)
    if operator is not None:
        assert states is not None
        return _run_operator(
            cast("BaseRecurrentCell", cell), operator, data, lengths, states, parameters
        )
    parts = cell.project(data)
    if states is not None:
        mask = None if lengths is None else _counted(data, lengths)
        return _scan(cell, parts, mask, states, parameters)
    # Only the first step tells what the states are. A Scan must not be empty, so one step more
    # follows the last, and does not count.
    output, states = cell.update([part[0] for part in parts], None, parameters)
    if lengths is None:
        lengths = torch.full_like(data[0, :, 0], data.size(0), dtype=torch.int64)
    output = torch.where((lengths > 0).unsqueeze(-1), output, 0)
    later = tuple(torch.cat([part[1:], part[-1:]]) for part in parts)
    outputs, states = _scan(cell, later, _counted(data, lengths - 1), states, parameters)
    return torch.cat([output.unsqueeze(0), outputs[:-1]]), states


def _counted(data: Tensor, lengths: Tensor) -> Tensor:
    """Which steps of each sequence count, ``(T, N, 1)``."""
    steps = torch.arange(data.size(0), device=data.device).unsqueeze(1)
    return (steps < lengths).unsqueeze(-1)


class _Update(nn.Module):
    """A step as a module: all that it has of tensors is found by name, and so can be handed in."""

    def __init__(self, cell: Stepper) -> None:
        super().__init__()
        self.cell = cell
        if not isinstance(cell, nn.Module):  # a module of others, in what makes a cell of it
            self.module = getattr(cell, "module", None)
        #: Tensors that are neither parameters nor buffers, by their modules.
        self.loose = [
            (module, name, value)
            for module in self.modules()
            for name, value in vars(module).items()
            if isinstance(value, Tensor)
        ]

    def forward(
        self,
        parts: Sequence[Tensor],
        states: States,
        parameters: EffectiveParameters,
        loose: Sequence[Tensor],
    ) -> tuple[Tensor, States]:
        try:
            for (module, name, _), value in zip(self.loose, loose, strict=True):
                setattr(module, name, value)
            return self.cell.update(parts, states, parameters)
        finally:
            for module, name, value in self.loose:
                setattr(module, name, value)


def _scan(
    cell: Stepper,
    parts: States,
    mask: Tensor | None,
    states: States,
    parameters: EffectiveParameters,
) -> tuple[Tensor, States]:
    """The steps as the body of a Scan, whose every tensor from outside is an argument."""
    update = _Update(cell)
    own = {**dict(update.named_parameters()), **dict(update.named_buffers())}
    effective = {name: value for name, value in parameters.items() if value is not None}
    carried, sliced = len(states), len(states) + len(parts) + (mask is not None)

    def body(*values: Tensor) -> list[Tensor]:
        before, now, fixed = values[:carried], values[carried:sliced], iter(values[sliced:])
        named = {name: next(fixed) for name in own}
        given = {**parameters, **{name: next(fixed) for name in effective}}
        arguments = (now[: len(parts)], before, given, tuple(fixed))
        output, after = torch.func.functional_call(update, named, arguments)
        if mask is not None:
            output = torch.where(now[-1], output, torch.zeros_like(output))
            after = [torch.where(now[-1], a, b) for a, b in zip(after, before, strict=True)]
        # No result may be a part of another, or of an argument.
        kept = (a.to(b.dtype).clone() for a, b in zip(after, before, strict=True))
        return [*kept, output.clone()]

    # Nor may arguments share memory, or have gradients, which would be traced as well.
    begin, over, fixed = (
        [value.detach().clone() for value in values]
        for values in (
            states,
            parts if mask is None else (*parts, mask),
            (*own.values(), *effective.values(), *(value for _, _, value in update.loose)),
        )
    )
    results = scan(body, begin, over, fixed)
    return results[carried], tuple(results[:carried])


def operator_of(cell: Any, data: Tensor, parameters: EffectiveParameters) -> OnnxOperator | None:
    """What ONNX has for a cell with these parameters; ``None``: nothing."""
    operator: OnnxOperator | None = getattr(cell, "onnx_operator", None)
    if operator is None or cell.no_kernel or noise_of(cell):
        return None
    rows = len(operator.inputs) * cell.hidden_size
    shapes = {
        INPUT.name: (rows, cell.input_size),
        RECURRENT.name: (rows, cell.hidden_size),
        INPUT.bias: (rows,),
        RECURRENT.bias: (rows,),
    }
    found = {name: value for name, value in parameters.items() if value is not None}
    # onnxruntime has these operators in float32 alone.
    fits = all(
        value.dtype is torch.float32 and value.shape == shapes.get(name)
        for name, value in found.items()
    )
    return operator if fits and data.dtype is torch.float32 else None


def _run_operator(
    cell: BaseRecurrentCell,
    operator: OnnxOperator,
    data: Tensor,
    lengths: Tensor | None,
    states: States,
    parameters: EffectiveParameters,
) -> tuple[Tensor, States]:
    """The sequence as one node of ONNX, in whose layout a dimension of 1 counts the directions."""
    steps, batch, size = data.size(0), data.size(1), cell.hidden_size
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for weight, names in ((INPUT, operator.inputs), (RECURRENT, operator.states)):
        value, bias = parameters[weight.name], parameters[str(weight.bias)]
        assert value is not None
        if bias is None:
            bias = value.new_zeros(len(names) * size)
        blocks = [cell.layout.block(weight, name) for name in names]
        weights.append(_in_order(value, blocks).unsqueeze(0))
        biases.append(_in_order(bias, blocks))
    counts = None if lengths is None else lengths.to(torch.int32)
    output, *last = torch.onnx.ops.symbolic_multi_out(
        operator.name,
        (data, *weights, torch.cat(biases).unsqueeze(0), counts, *(s.unsqueeze(0) for s in states)),
        {"hidden_size": size, **operator.attributes},
        dtypes=[data.dtype] * (1 + len(states)),
        shapes=[(steps, 1, batch, size), *[(1, batch, size)] * len(states)],
    )
    final = tuple(state.squeeze(0) for state in last)
    if lengths is not None:  # without a step the operator has zeros
        some = (lengths > 0).unsqueeze(-1)
        final = tuple(torch.where(some, f, s) for f, s in zip(final, states, strict=True))
    return output.squeeze(1), final


def _in_order(parameter: Tensor, blocks: Sequence[Block | None]) -> Tensor:
    """The rows of a stacked parameter in another order of its blocks."""
    return torch.cat([parameter[block.start : block.stop] for block in blocks if block])
