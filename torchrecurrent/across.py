"""Operations across the units of a value, one row each, and softmax, which is composed of them.

All else that a step does is elementwise or a product. Each row is linear, so that its gradient
needs none of its values; but the largest of the units has no gradient, and is for what a result
does not depend on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["ACROSS", "Across", "Copies", "softmax"]

#: Where unit k of n is copied to among m n: to m places from m k on, or to every n-th from k on.
Copies = Literal["repeated", "tiled"]
#: Makes a tensor whose last dimension has a given width from another.
Function = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Across:
    """An operation across units.

    C has the functions ``across_<name>`` and ``across_<name>_back`` in ``engine/cpu/across.h``,
    except those that only copy.
    """

    name: str
    #: The result, of a given width.
    value: Function
    #: What a gradient of the result passes on to a value of a given width; ``None``: nothing.
    gradient: Function | None
    #: Whether the result is the same number for all units.
    is_number: bool = True
    #: Whether what is passed on is.
    passes_number: bool = True
    #: Whether a result as wide as the value is the value itself.
    may_keep: bool = False
    #: Which unit of the value each unit of the result is, where that is so; likewise of what is
    #: passed on. Kernels then read the one in place of the other.
    copies: Copies | None = None
    passes_copies: Copies | None = None
    #: Which widths the result may have, for that of the value: in words, and whether it has.
    wants: str = "any number of units"
    fits: Callable[[int, int], bool] = lambda width, wide: True


def _spread(number: Tensor, width: int) -> Tensor:
    return number.expand(*number.shape[:-1], width)


def _total(value: Tensor, width: int) -> Tensor:
    return _spread(value.sum(-1, keepdim=True), width)


def _cumulative(value: Tensor) -> Tensor:
    summed = torch.promote_types(value.dtype, torch.float32)
    return value.cumsum(-1, dtype=summed).to(value.dtype)


def _largest(value: Tensor, width: int) -> Tensor:
    return _spread(value.detach().amax(-1, keepdim=True), width)


def _to_first(received: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(received.sum(-1, keepdim=True), (0, width - 1))


def _repeated(value: Tensor, width: int) -> Tensor:
    return value.unsqueeze(-1).expand(*value.shape, width // value.size(-1)).flatten(-2)


def _tiled(value: Tensor, width: int) -> Tensor:
    return value.repeat(*[1] * (value.dim() - 1), width // value.size(-1))


def _folded(value: Tensor, width: int) -> Tensor:
    parts: Tensor = value.unflatten(-1, (-1, width))
    return parts.sum(-2)


def _grouped(value: Tensor, width: int) -> Tensor:
    parts: Tensor = value.unflatten(-1, (width, -1))
    return parts.sum(-1)


def _is_multiple(width: int, wide: int) -> bool:
    return wide % width == 0


_ROWS = (
    Across(
        "average",
        lambda value, width: _spread(value.mean(-1, keepdim=True), width),
        lambda received, width: _total(received, width) / width,
    ),
    Across("total", _total, _total),
    Across("largest", _largest, None),
    Across(
        "first",
        lambda value, width: _spread(value[..., :1], width),
        _to_first,
        passes_number=False,
    ),
    Across(
        "rest",
        lambda value, width: value[..., value.size(-1) - width :],
        lambda received, width: torch.nn.functional.pad(received, (width - received.size(-1), 0)),
        is_number=False,
        passes_number=False,
        may_keep=True,
        wants="at most as many",
        fits=lambda width, wide: wide <= width,
    ),
    Across(
        "repeated",  # each unit several times, side by side
        _repeated,
        _grouped,
        is_number=False,
        passes_number=False,
        may_keep=True,
        copies="repeated",
        wants="a multiple of them",
        fits=_is_multiple,
    ),
    Across(
        "tiled",  # all units several times over
        _tiled,
        _folded,
        is_number=False,
        passes_number=False,
        may_keep=True,
        copies="tiled",
        wants="a multiple of them",
        fits=_is_multiple,
    ),
    Across(
        "folded",  # the sum of parts side by side, each as wide as the result
        _folded,
        _tiled,
        is_number=False,
        passes_number=False,
        may_keep=True,
        passes_copies="tiled",
        wants="a divisor of them",
        fits=lambda width, wide: width % wide == 0,
    ),
    Across(
        "grouped",  # the sums of as many groups of neighbours as the result is wide
        _grouped,
        _repeated,
        is_number=False,
        passes_number=False,
        may_keep=True,
        passes_copies="repeated",
        wants="a divisor of them",
        fits=lambda width, wide: width % wide == 0,
    ),
    Across(
        "cumulative",  # the sum of the units up to each
        lambda value, width: _cumulative(value),
        lambda received, width: _cumulative(received.flip(-1)).flip(-1),
        is_number=False,
        passes_number=False,
        wants="as many",
        fits=lambda width, wide: width == wide,
    ),
)

#: By name.
ACROSS = {row.name: row for row in _ROWS}


def softmax(value: Any, largest: Callable[[Any], Any], total: Callable[[Any], Any]) -> Any:
    """Return positive numbers that add up to one over the units.

    Args:
        value: a tensor, or a stand-in for one.
        largest: returns the largest of the units, the same number for each.
        total: likewise their sum.
    """
    powers = torch.exp(value - largest(value))
    return powers / total(powers)
