"""Layers whose cell is fixed, such as ``LSTM``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import ClassVar

from ..cell import BaseRecurrentCell
from .building import CellOption, options_by_name
from .described import layer_docs
from .given_cell import refuse_layer
from .recurrent import Recurrent

__all__ = ["RecurrentLayer"]


#: What a layer takes whatever its cell is.
_OWN = dict(inspect.signature(Recurrent.__init__, eval_str=True).parameters)
for _name in ("self", "cell", "cell_options"):
    del _OWN[_name]


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
            signature = _layer_signature(cls, cell)
            cls.__signature__ = signature  # type: ignore[attr-defined]
            own = vars(cls).get("__doc__")
            cls.__doc__ = layer_docs(own, cell, signature.parameters, Recurrent.__doc__)

    @classmethod
    def variant(cls) -> type[BaseRecurrentCell]:
        """The class of the cells; what an override takes are options of the layer."""
        return cls.cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        **options: CellOption,
    ) -> None:
        names = inspect.signature(type(self).variant).parameters
        own = {name: options.pop(name) for name in names if name in options}
        cell = type(self).variant(**own)
        super().__init__(cell, input_size, hidden_size, num_layers, **options)  # type: ignore[arg-type]
        self._cell_options = own | self._cell_options

    __init__ = options_by_name(__init__, list(_OWN.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def _layer_signature(
    layer: type[RecurrentLayer], cell: type[BaseRecurrentCell]
) -> inspect.Signature:
    """The layer's own arguments, then those of its cell."""
    own = {**_OWN}
    own |= inspect.signature(layer.variant).parameters
    options = {
        name: field.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, field in inspect.signature(cell).parameters.items()
        if name not in own
    }
    if "proj_size" not in inspect.signature(cell).parameters:
        del own["proj_size"]
    return inspect.Signature([*own.values(), *options.values()])
