"""Layers whose cell is fixed, such as ``LSTM``."""

from __future__ import annotations

import inspect
from typing import ClassVar

import torch

from ..cell import BaseRecurrentCell
from .building import CellOption, options_by_name
from .given_cell import refuse_layer
from .recurrent import Recurrent

__all__ = ["RecurrentLayer"]


class RecurrentLayer(Recurrent):
    """Base of the layers whose cell is fixed: ``class BR(RecurrentLayer, cell=BRCell)``.

    Args, inputs, outputs and errors are those of :class:`Recurrent`, without ``cell``.
    """

    cell: ClassVar[type[BaseRecurrentCell]]

    def __init_subclass__(cls, *, cell: type[BaseRecurrentCell] | None = None) -> None:
        super().__init_subclass__()
        if cell is not None:
            refuse_layer("cell", cell)
            cls.cell = cell
            cls.__doc__ = vars(cls).get("__doc__") or f"Stacked :class:`{cell.__name__}`."
            cls.__signature__ = _layer_signature(cls, cell)  # type: ignore[attr-defined]

    @classmethod
    def variant(cls) -> type[BaseRecurrentCell]:
        """The class of the cells; what an override takes are options of the layer."""
        return cls.cell

    @options_by_name
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        return_sequences: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **cell_options: CellOption,
    ) -> None:
        names = inspect.signature(type(self).variant).parameters
        own = {name: cell_options.pop(name) for name in names if name in cell_options}
        super().__init__(
            type(self).variant(**own),
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            return_sequences=return_sequences,
            device=device,
            dtype=dtype,
            **cell_options,
        )
        self._cell_options = own | cell_options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def _layer_signature(
    layer: type[RecurrentLayer], cell: type[BaseRecurrentCell]
) -> inspect.Signature:
    """The layer's own arguments, then those of its cell."""
    own = dict(inspect.signature(RecurrentLayer.__init__).parameters)
    del own["self"], own["cell_options"]
    own |= inspect.signature(layer.variant).parameters
    options = {
        name: field.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, field in inspect.signature(cell).parameters.items()
        if name not in own
    }
    if "proj_size" not in inspect.signature(cell).parameters:
        del own["proj_size"]
    return inspect.Signature([*own.values(), *options.values()])
