"""Converts weights that were trained with other packages.

Each function takes a state dict of one package and returns one that a layer or cell of this
package loads, with the same outputs. Keys that belong to no recurrent cell stay as they are, so
that the state dict of a whole model may be given:

.. code-block:: python

    layer.load_state_dict(from_brc(torch.load("brc.pt", weights_only=True)))

State dicts of :mod:`torch.nn` and of torchrecurrent 0.2.5 need no conversion: ``load_state_dict``
takes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .saved import PEERS

__all__ = ["from_brc", "from_brc_pytorch", "from_ur_lstm_torch"]


def from_brc(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict of brc 0.1.2 for the layers and cells here.

    Args:
        state_dict: of a ``StackedRNN``, an ``RNNModel``, a cell, or a model with any of them. Its
            ``BRC`` is :class:`~torchrecurrent.BR` here, ``NBRC`` :class:`~torchrecurrent.nBR`,
            ``LSTMCell`` :class:`~torchrecurrent.LSTM`, and ``GRUCell``, whose reset gate comes
            before the product, :class:`~torchrecurrent.GRUResetBefore`.

    Returns:
        The same numbers with kernels transposed, and the one bias as ``bias_ih`` beside a
        ``bias_hh`` of zeros, which a layer without that bias drops.

    Raises:
        ValueError: there is no cell of that package in it, or part of one, or a wrong shape.
    """
    return _convert("brc", state_dict, _brc)


def from_brc_pytorch(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict of brc-pytorch 0.1.3 for the layers and cells here.

    Args:
        state_dict: of a ``MultiLayerBase``, of a cell, or of a model with either. Its
            ``BistableRecurrentCell`` is :class:`~torchrecurrent.BRCell` here, the
            ``NeuromodulatedBistableRecurrentCell`` :class:`~torchrecurrent.nBRCell`.

    Returns:
        The same numbers with kernels transposed and stacked, and the biases in ``bias_ih``, zero
        for the candidate, which has none there; ``bias_hh`` is zero, and dropped by a layer
        without it.

    Raises:
        ValueError: there is no cell of that package in it, or part of one, or a wrong shape.
    """
    converted = _convert("brc-pytorch", state_dict, _brc_pytorch)
    # Given a ModuleList, MultiLayerBase saves its cells twice.
    twice = re.compile(r"\bcells_(forward|backward)\.\d+\.\w+$")
    return {key: value for key, value in converted.items() if not twice.search(key)}


def from_ur_lstm_torch(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict of ur-lstm-torch 0.0.2 for the layers and cells here.

    Args:
        state_dict: of a ``URLSTM``, a ``URLSTMCell``, or a model with either, for
            :class:`~torchrecurrent.URLSTM` or :class:`~torchrecurrent.URLSTMCell`.

    Returns:
        The same numbers, with ``forget_bias`` added to the forget gate's bias and subtracted from
        the refine gate's. The two, tied to each other there, are trained apart here.

    Raises:
        ValueError: there is no cell of that package in it, or part of one, or a wrong shape.
    """
    return _convert("ur-lstm-torch", state_dict, _ur_lstm_torch)


class _Cell:
    """The parameters of one cell of another package."""

    def __init__(self, package: str, parameters: Mapping[str, Tensor], prefix: str) -> None:
        self.package = package
        self.parameters = parameters
        self.prefix = prefix
        self.taken: set[str] = set()

    def has(self, name: str) -> bool:
        return self.prefix + name in self.parameters

    def take(self, name: str, *shape: int | None) -> Tensor:
        """Return one parameter; ``None`` in its shape allows any number, no shape any shape."""
        key = self.prefix + name
        if key not in self.parameters:
            raise ValueError(
                f"state_dict: expected {key!r} with the other parameters of a cell of "
                f"{self.package}, got none"
            )
        value = self.parameters[key].detach()
        wanted = tuple(
            size if size is not None else given
            for size, given in zip(shape, value.shape, strict=False)
        )
        if shape and (value.dim() != len(shape) or value.shape != wanted):
            text = ", ".join("*" if size is None else str(size) for size in shape)
            raise ValueError(
                f"state_dict: {key!r}: expected the shape ({text}), got {tuple(value.shape)}"
            )
        self.taken.add(key)
        return value


def _convert(
    package: str,
    state_dict: Mapping[str, Tensor],
    convert: Callable[[_Cell], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Convert each cell; its prefix here is ``cells.<number>.``."""
    peer = PEERS[package]
    prefixes = peer.prefixes(state_dict)
    if not prefixes:
        raise ValueError(
            f"state_dict: expected parameters of {package} such as {peer.example!r}, "
            f"got {', '.join(map(repr, list(state_dict)[:4])) or 'none'}"
        )
    converted: dict[str, Tensor] = {}
    taken: set[str] = set()
    for prefix in prefixes:
        cell = _Cell(package, state_dict, prefix)
        ours = re.sub(peer.place, r"cells.\1.", prefix)
        converted |= {ours + name: value.contiguous() for name, value in convert(cell).items()}
        taken |= cell.taken
    return {key: value for key, value in state_dict.items() if key not in taken} | converted


def _brc(cell: _Cell) -> dict[str, Tensor]:
    hw = cell.take("hw")
    size = hw.size(0) // 2 if hw.dim() == 1 else hw.size(0)
    before_product = cell.has("rw")
    if hw.dim() == 2 and hw.size(1) == 4 * size:
        gates = 4
    else:
        gates = 3
        cell.take("hw", *([2 * size] if hw.dim() == 1 else [size, 2 * size]))
    weight_ih = cell.take("iw", None, gates * size).T
    weight_hh = hw.T if hw.dim() == 2 else hw
    has_bias = cell.has("bias")
    bias = cell.take("bias", gates * size) if has_bias else hw.new_zeros(gates * size)
    if before_product:  # its update gate is the share of the new state, ours of the old: z is 1 - i
        weight_hh = torch.cat([weight_hh, cell.take("rw", size, size).T])
        weight_ih, weight_hh, bias = (
            torch.cat([reset, -update, candidate])
            for update, reset, candidate in (
                value.split(size) for value in (weight_ih, weight_hh, bias)
            )
        )
    return _with_biases(weight_ih, weight_hh, bias)


def _brc_pytorch(cell: _Cell) -> dict[str, Tensor]:
    size = cell.take("bz", None).size(0)
    dense = cell.take("memoryz").dim() == 2
    shape = (size, size) if dense else (size,)
    kernels = [cell.take(f"kernel{gate}", None, size) for gate in "rzh"]
    memories = [cell.take(f"memory{gate}", *shape) for gate in "rz"]
    biases = [cell.take("br", size), cell.take("bz", size), kernels[0].new_zeros(size)]
    return _with_biases(
        torch.cat([kernel.T for kernel in kernels]),
        torch.cat([memory.T if dense else memory for memory in memories]),
        torch.cat(biases),
    )


def _with_biases(weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> dict[str, Tensor]:
    zeros = bias.new_zeros(weight_hh.size(0))
    return {
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
        "bias_ih": bias,
        "bias_hh": zeros,
    }


def _ur_lstm_torch(cell: _Cell) -> dict[str, Tensor]:
    forget = cell.take("forget_bias", None)
    size = forget.size(0)
    both = torch.cat([forget, -forget, forget.new_zeros(2 * size)])
    return {
        "weight_ih": cell.take("igates.weight", 4 * size, None),
        "weight_hh": cell.take("hgates.weight", 4 * size, size),
        "bias_ih": cell.take("igates.bias", 4 * size) + both,
        "bias_hh": cell.take("hgates.bias", 4 * size),
    }
