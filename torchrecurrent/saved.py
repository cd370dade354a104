"""State dicts of other origin: :mod:`torch.nn` and torchrecurrent 0.2.5."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from .cell import BaseRecurrentCell

__all__ = ["adopt_constants", "drop_zero_biases", "rename_torch_keys"]

_TORCH_KEY = re.compile(
    r"(?P<name>(?:weight|bias)_(?:ih|hh|hr))_l(?P<layer>\d+)(?P<reverse>_reverse)?"
)


def drop_zero_biases(cell: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Forget the zero buffers that stand for a disabled bias in 0.2.5.

    A bias here is absent where it is switched off. One that is not zero stays, and
    fails a strict load: dropping it would change what the cell computes.
    """
    for key in [key for key in state_dict if key.startswith(f"{prefix}bias_")]:
        value = state_dict[key]
        absent = cell._parameters.get(key.removeprefix(prefix)) is None
        if absent and isinstance(value, Tensor) and not value.any():
            del state_dict[key]


def adopt_constants(cell: BaseRecurrentCell, state_dict: dict[str, Any], prefix: str) -> None:
    """Make options of the instance of what 0.2.5 trained and the paper holds constant.

    So the cell goes on computing what was saved, and the number is trained no further.
    """
    for name in set(cell.signature.constants) & set(cell.option_names):
        value = state_dict.get(prefix + name)
        if isinstance(value, Tensor) and value.numel() == 1:
            setattr(cell, name, float(value))
            del state_dict[prefix + name]


def rename_torch_keys(state_dict: dict[str, Any], prefix: str, num_directions: int) -> None:
    """Name the parameters of :class:`torch.nn.LSTM` and its like as our layers do.

    ``weight_ih_l1_reverse`` is ``cells.3.weight_ih`` in a bidirectional layer.
    """
    for key in list(state_dict):
        match = _TORCH_KEY.fullmatch(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if match is not None:
            index = int(match["layer"]) * num_directions + bool(match["reverse"])
            state_dict[f"{prefix}cells.{index}.{match['name']}"] = state_dict.pop(key)
