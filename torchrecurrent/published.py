"""Methods under the names that torch's layers and earlier versions give them."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from .foreign import state_names
from .fresh import reset

__all__ = ["CellNames", "LayerNames"]


class _Named(Protocol):
    @property
    def state_names(self) -> tuple[str, ...]: ...


class _Initialised(Protocol):
    def reset_parameters(self) -> None: ...


class _Names:
    def init_weights(self: _Initialised) -> None:
        """Reinitialise every parameter: another name of ``reset_parameters``."""
        self.reset_parameters()


class CellNames(_Names):
    """Members of a cell that torchrecurrent had before 0.3, in terms of the present ones."""

    def uses_double_state(self: _Named) -> bool:
        """Whether the state is a pair such as ``(h, c)``: ``len(state_names) == 2``."""
        return len(self.state_names) == 2


class LayerNames(_Names):
    """The same for a layer, and methods of :class:`torch.nn.LSTM`."""

    cells: nn.ModuleList

    def reset_parameters(self) -> None:
        """Reinitialise every cell."""
        for cell in self.cells:
            reset(cell)

    def flatten_parameters(self) -> None:
        """Do nothing; :class:`torch.nn.LSTM` has it for cuDNN."""

    def uses_double_state(self) -> bool:
        """Whether the state of every cell, and so the layer's, is a pair.

        Raises:
            TypeError: for a module whose states are not known before it has run.
        """
        counts = []
        for cell in self.cells:
            names = state_names(cell)
            if names is None:
                raise TypeError(
                    f"uses_double_state: the states of {type(cell).__name__} are not known before "
                    "it has run"
                )
            counts.append(len(names))
        return set(counts) == {2}
