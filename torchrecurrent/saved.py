"""State dicts of other origin: :mod:`torch.nn`, torchrecurrent before 0.3, other packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from .cell import BaseRecurrentCell

__all__ = [
    "PEERS",
    "LoadsPeers",
    "Peer",
    "adopt_constants",
    "drop_buffers",
    "rename_torch_keys",
]

_TORCH_KEY = re.compile(
    r"(?P<name>(?:weight|bias)_(?:ih|hh|hr))_l(?P<layer>\d+)(?P<reverse>_reverse)?"
)


@dataclass(frozen=True)
class Peer:
    """How another package names its parameters.

    Attributes:
        package: its name.
        converter: the function of :mod:`torchrecurrent.migration` for its state dicts.
        mark: a parameter that its cells have, and none here.
        example: a key of that parameter.
        place: a pattern of a cell's prefix in a stack, with the cell's number as its group.
    """

    package: str
    converter: str
    mark: str
    example: str
    place: str

    def prefixes(self, keys: Iterable[str]) -> list[str]:
        """Return what comes before the mark of each cell."""
        return [
            key.removesuffix(self.mark) for key in keys if re.search(rf"(^|\.){self.mark}$", key)
        ]


PEERS = {
    peer.package: peer
    for peer in (
        Peer("brc", "from_brc", "iw", "rnns.0.cell.iw", r"\brnns\.(\d+)\.cell\.$"),
        Peer("brc-pytorch", "from_brc_pytorch", "kernelz", "cells.0.kernelz", r"\bcells\.(\d+)\.$"),
        Peer(
            "ur-lstm-torch",
            "from_ur_lstm_torch",
            "forget_bias",
            "layers.0.forget_bias",
            r"\blayers\.(\d+)\.$",
        ),
    )
}


class LoadsPeers(nn.Module):
    """Base of what has weights that other packages have, too."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As of any module; the error for another package's parameters names their converter.

        :meta private:
        """
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            raise _with_converter(error, state_dict) from None


def _with_converter(error: RuntimeError, state_dict: Mapping[str, Any]) -> RuntimeError:
    """Return the error of a load; with what converts ``state_dict``, if it is another package's."""
    for peer in PEERS.values():
        if peer.prefixes(state_dict):
            return RuntimeError(
                f"{error}\n\tThese are parameters of {peer.package}; convert them first: "
                f"load_state_dict(torchrecurrent.migration.{peer.converter}(state_dict))."
            )
    return error


def drop_buffers(cell: nn.Module, state_dict: dict[str, Any], prefix: str) -> None:
    """Drop the buffers of earlier versions that are not part of a cell here.

    They are the zeros in place of a disabled bias, which is absent here, and ``t_ones``,
    the one of :math:`1 - c_t`. A buffer with any other value is kept and fails a strict load:
    dropping it would change what the cell computes.
    """
    names = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
    for name in names:
        if name != "t_ones" and not name.startswith("bias_"):
            continue
        value, constant = state_dict[prefix + name], 1 if name == "t_ones" else 0
        absent = cell._parameters.get(name) is None and cell._buffers.get(name) is None
        if absent and isinstance(value, Tensor) and bool((value == constant).all()):
            del state_dict[prefix + name]


def adopt_constants(cell: BaseRecurrentCell, state_dict: dict[str, Any], prefix: str) -> None:
    """Set options of the instance to numbers that 0.2.5 trained and the paper holds constant.

    So the cell computes the same as the saved one, and the numbers are no longer trained.
    """
    for name in set(cell.signature.constants) & set(cell.option_names):
        value = state_dict.get(prefix + name)
        if isinstance(value, Tensor) and value.numel() == 1:
            setattr(cell, name, float(value))
            del state_dict[prefix + name]


def rename_torch_keys(state_dict: dict[str, Any], prefix: str, num_directions: int) -> None:
    """Rename the parameters of torch's layers, such as :class:`torch.nn.LSTM`, to our names.

    ``weight_ih_l1_reverse`` is ``cells.3.weight_ih`` in a bidirectional layer.
    """
    for key in list(state_dict):
        match = _TORCH_KEY.fullmatch(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if match is not None:
            index = int(match["layer"]) * num_directions + bool(match["reverse"])
            state_dict[f"{prefix}cells.{index}.{match['name']}"] = state_dict.pop(key)
