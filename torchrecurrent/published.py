"""Methods under the names that other layers have for them."""

from __future__ import annotations

from torch import nn

from .fresh import reset

__all__ = ["LayerNames"]


class LayerNames:
    """What :class:`torch.nn.LSTM` has."""

    cells: nn.ModuleList

    def reset_parameters(self) -> None:
        """Initialise every cell anew."""
        for cell in self.cells:
            reset(cell)

    def flatten_parameters(self) -> None:
        """Do nothing; :class:`torch.nn.LSTM` has it for cuDNN."""
