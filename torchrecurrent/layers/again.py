"""Runs a layer's call as the call before was run, if nothing has changed but the numbers.

What is asked at each call of a layer, how its input and states are laid out and which cells it has,
hardly ever differs from one call to the next, and takes longer than a short sequence. So a layer is
remembered after a call, with its cells (:mod:`torchrecurrent.engine.run.again`). The next call
compares; where anything differs that these lines don't know, the layer looks at it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from ..cell import is_own
from ..engine import Remembered, Snapshot, are_plain, nobody_sees, same_tensors
from .states import is_apart

__all__ = ["call_again", "remember_call"]

#: The options that a layer's call depends on.
_OPTIONS = (
    "input_size",
    "num_layers",
    "batch_first",
    "bidirectional",
    "return_sequences",
    "merge",
    "dropout",
    "input_dropout",
    "residual",
    "layer_norm",
    "checkpoint_every",
    "_initial_names",
)
#: The methods that a call would have gone through.
_METHODS = (
    "_run",
    "_weight",
    "_steppers",
    "_first_states",
    "_initial_states",
    "_begin",
    "_run_cell",
    "_run_whole",
    "num_directions",
    "step",
)


class _Call:
    """A layer with the kernels of its cells, as long as it is what it was."""

    def __init__(self, layer: Any, cells: list[Any], found: list[Remembered]) -> None:
        self._snapshot = Snapshot(layer, _OPTIONS, _METHODS)
        self.plain = self._snapshot.plain
        self._cells, self._found = [ref(cell) for cell in cells], found
        self._directions = layer.num_directions
        self._dtype, self._widths = found[0].dtype, found[0].widths
        self._input_size, self._batch_first = layer.input_size, layer.batch_first
        self._whole, self._every = layer.return_sequences, layer.checkpoint_every
        self._learned = bool(layer._initial_names)
        #: Whether tensors are like those of the last call, by how many they are and whether it was
        #: one step.
        self._fits: dict[tuple[int, bool], Callable[[Sequence[Any]], bool]] = {}

    @classmethod
    def of(cls, layer: Any, dtype: torch.dtype) -> _Call | None:
        """Remember a layer; ``None`` if it has to be looked at anew at each call."""
        cells = list(layer.cells)
        if (
            type(layer.cells) is not nn.ModuleList
            or layer.layer_norm
            or layer.residual
            or (layer.training and (layer.dropout or layer.input_dropout))
            or (layer.bidirectional and layer.merge != "concat")
            or not cells
            or not all(map(is_own, cells))
            or any(cell.state_widths != cells[0].state_widths for cell in cells)
            or any(is_apart(cells, k) for k in range(len(cells[0].state_widths)))
        ):
            return None
        found = []
        for cell in cells:
            each = Remembered.of(cell, dtype)
            if each is None:
                return None
            found.append(each)
        call = cls(layer, cells, found)
        return call if call.plain else None

    def weights(self, layer: Any, cells: list[Any]) -> list[list[Tensor]] | None:
        """Return the parameters of each cell; ``None`` if anything of the layer has changed."""
        if len(cells) != len(self._cells) or not self._snapshot.holds(layer):
            return None
        weights = []
        for known, cell, found in zip(self._cells, cells, self._found, strict=True):
            same = known() is cell
            given = found.weights(cell) if same else None
            if given is None:
                return None
            weights.append(given)
        return weights

    def again(self, layer: Any, input: Tensor, hx: Any, one: bool) -> tuple[Tensor, Any] | None:
        """Return the output and the last states; ``None``: something is different.

        Args:
            layer: the layer.
            input: as the caller has given it: of one step, or ``(T, N, I)`` or ``(N, T, I)``.
            hx: the first states.
            one: whether it is one step, ``(N, I)``.
        """
        given: tuple[Any, ...] = (input,)
        if hx is None:
            if self._learned:
                return None
        elif len(self._widths) == 1:
            given = (input, hx)
        elif type(hx) is tuple and len(hx) == len(self._widths):
            given = (input, *hx)
        else:
            return None
        if not self._fit(given, one):
            return None
        cells = _cells_of(layer)
        weights = self.weights(layer, cells)
        if weights is None or not nobody_sees():
            return None
        keep = torch.is_grad_enabled() and any(
            tensor.requires_grad for tensors in (given, *weights) for tensor in tensors
        )
        if keep and (one or self._every):
            return None
        turned = self._batch_first and not one
        data = input.transpose(0, 1).contiguous() if turned else input
        output, rows = self._run(cells, data, given[1:], weights, keep)
        if keep and len(rows) == 1:  # which share no memory with the output
            h_n = [state.unsqueeze(0) for state in rows[0]]
        else:
            h_n = [torch.stack(column) for column in zip(*rows, strict=True)]
        if turned and self._whole:
            output = output.transpose(0, 1)
        return output, h_n[0] if len(h_n) == 1 else tuple(h_n)

    def _fit(self, given: tuple[Any, ...], one: bool) -> bool:
        """Whether the input and the states are as the kernels take them."""
        fits = self._fits.get((len(given), one))
        if fits is not None and fits(given):
            return True
        input, shape = given[0], given[0].shape
        if len(shape) != 3 - one or shape[-1] != self._input_size or not input.numel():
            return False
        size = shape[0] if one or self._batch_first else shape[1]
        shapes = [shape, *((len(self._cells), size, width) for width in self._widths)]
        if not are_plain(given, shapes[: len(given)], self._dtype):
            return False
        self._fits[len(given), one] = same_tensors(given)
        return True

    def _run(
        self,
        cells: list[Any],
        data: Tensor,
        columns: tuple[Tensor, ...],
        weights: list[list[Tensor]],
        keep: bool,
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """The output, in the order of time, and the last states of each cell."""
        states = zip(*(column.unbind(0) for column in columns), strict=True)
        rows, size = [], data.size(-2)
        D, last = self._directions, len(cells) - self._directions
        for k in range(0, len(cells), D):
            parts = []
            for direction in range(D):
                cell, found = cells[k + direction], self._found[k + direction]
                source = data.flip(0) if direction else data
                first = next(states, None) or cell.initial_states((size,), source)
                output, after = found.run(cell, source, weights[k + direction], first, keep)
                rows.append(after)
                if k == last and not self._whole and data.dim() == 3:
                    parts.append(output[-1])
                else:
                    parts.append(output.flip(0) if direction else output)
            data = parts[0] if D == 1 else torch.cat(parts, -1)
        return data, rows


def _cells_of(layer: nn.Module) -> list[Any]:
    """Return the cells of a layer; faster than by its attribute."""
    found: Any = layer._modules["cells"]
    return list(found._modules.values())


#: For each layer its call without gradients, and the one where they are enabled.
_last: tuple[WeakKeyDictionary[nn.Module, _Call], ...] = (WeakKeyDictionary(), WeakKeyDictionary())


def call_again(
    layer: nn.Module, input: object, hx: Any, one: bool = False
) -> tuple[Tensor, Any] | None:
    """Run a call of a layer as the last one was; ``None``: it has to be looked at anew.

    Args:
        layer: whose call it is.
        input: as the caller has given it, like the first states.
        hx: the first states.
        one: whether the input is that of one step.
    """
    last = _last[torch.is_grad_enabled()].get(layer)
    if last is None or type(input) is not Tensor:
        return None
    return last.again(layer, input, hx, one)


def remember_call(layer: Any, input: object) -> None:
    """Let the next call of a layer be compared with this one."""
    if type(input) is not Tensor or not nobody_sees():
        return
    calls = _last[torch.is_grad_enabled()]
    last = calls.get(layer)
    if last is not None and last.weights(layer, _cells_of(layer)) is not None:
        return  # it was the input or the states that were others
    made = _Call.of(layer, input.dtype)
    if made is not None:
        calls[layer] = made
