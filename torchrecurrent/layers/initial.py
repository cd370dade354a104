"""The states with which sequences begin: zeros, or parameters of the layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..interop.per_sample import is_opacus
from .states import Stateful

__all__ = ["InitialState", "InitialStates"]

InitialState = Literal["zeros", "learned"]


class InitialStates(nn.Module):
    """Base of a layer: its first states, where the caller gives none."""

    initial_state: InitialState
    #: For each cell the names of those of its states that are parameters; empty: none is.
    _initial_names: Sequence[Sequence[str]] = ()

    def _learn_initial_states(
        self, cells: Sequence[Stateful], directions: int, device: Any, dtype: torch.dtype | None
    ) -> None:
        """Register a parameter for each state, zero at first.

        Raises:
            ValueError: a cell does not tell how wide its states are.
        """
        found: list[list[str]] = []
        for k, cell in enumerate(cells):
            if cell.state_widths is None:
                raise ValueError(
                    "initial_state='learned' needs cells that tell how wide their states are; cell "
                    f"{k} doesn't"
                )
            layer, direction = divmod(k, directions)
            place = f"l{layer}{'_reverse' * direction}"
            names = cell.state_names or map(str, range(len(cell.state_widths)))
            found.append([f"initial_{name.replace('.', '_')}_{place}" for name in names])
            for name, width in zip(found[k], cell.state_widths, strict=True):
                zeros = torch.zeros(width, device=device, dtype=dtype)
                self.register_parameter(name, nn.Parameter(zeros))
        self._initial_names = found

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Register a hook, as for any module.

        Raises:
            NotImplementedError: for opacus, if the layer has learned states of its own.

        :meta private:
        """
        if self._initial_names and is_opacus(hook):
            raise NotImplementedError(
                "initial_state='learned': opacus has no gradients of each sample for parameters "
                "that are a layer's own; expected 'zeros'"
            )
        return super().register_full_backward_hook(hook, prepend)

    def _initial_states(
        self, k: int, cell: Stateful, shape: Sequence[int], like: Tensor
    ) -> tuple[Tensor, ...] | None:
        """The states of cell k, ``(*shape, width)`` each; ``None`` if the cell makes its own."""
        if not self._initial_names:
            return cell.initial_states(shape, like)
        rows = (getattr(self, name) for name in self._initial_names[k])
        return tuple(row.expand(*shape, -1) for row in rows)
