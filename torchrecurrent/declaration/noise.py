"""Noise within a step, in training: dropout of what recurrent weights multiply, and zoneout.

A cell draws its masks before a sequence runs, from torch's generator, and hands them to whatever
runs it. So the loop and all kernels have the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from ..roles import RECURRENT, DelayedRole, MapRole, MapsRole, StateRole

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = [
    "DROPPED",
    "ZONED",
    "Noise",
    "Zoneout",
    "check_noise",
    "map_mask",
    "multiplied",
    "noise_of",
]

#: A rate for all states, or one for each.
Zoneout: TypeAlias = float | tuple[float, ...]
#: Before the name of a mask: factors of what recurrent weights multiply, ``(N, width)``; and bytes
#: that are 1 where a state stays what it is, ``(T, N, width)`` or a row for each step.
DROPPED, ZONED = "dropped ", "zoned "


@dataclass(frozen=True)
class Noise:
    """The noise in a cell's steps, with its present options and mode.

    Attributes:
        dropped: the widths of factors of what recurrent weights multiply, by the state's name.
        probability: of such a factor to be zero.
        zoned: the rates of the states that may stay what they are, by name.
        stays: the name in ``zoned`` for each state; both parts of a complex one have the same.
        drawn: whether the states stay at random. If not, they take the expectation.
        states: the names of all states.
    """

    dropped: Mapping[str, int] = field(default_factory=dict)
    probability: float = 0.0
    zoned: Mapping[str, float] = field(default_factory=dict)
    stays: Mapping[str, str] = field(default_factory=dict)
    drawn: bool = True
    states: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dropped or self.zoned)

    @property
    def masks(self) -> tuple[str, ...]:
        """The names of the masks that are drawn for each sequence."""
        zoned = self.zoned if self.drawn else ()
        return (*(DROPPED + name for name in self.dropped), *(ZONED + name for name in zoned))

    @property
    def means(self) -> dict[str, float]:
        """The rates where states take the expectation, by the names that kernels have for them."""
        return {} if self.drawn else {ZONED + name: rate for name, rate in self.zoned.items()}

    @property
    def structure(self) -> tuple[object, ...]:
        """What a kernel depends on."""
        return self.masks, tuple(self.means)

    def draw(
        self,
        widths: Mapping[str, int],
        steps: Sequence[int],
        like: Tensor,
        sequences: Sequence[int],
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Draw the masks of one call.

        Args:
            widths: of the states.
            steps: the shape of the input but for its width.
            like: has the dtype and the device.
            sequences: the shape of a state but for its width.
            generator: of random numbers; ``None``: torch's own.
        """
        found: dict[str, Tensor] = {}
        keep = 1 - self.probability
        for name, width in self.dropped.items():
            kept = like.new_empty((*sequences, width)).bernoulli_(keep, generator=generator)
            found[DROPPED + name] = kept / keep if keep else kept
        for name, rate in self.zoned.items() if self.drawn else ():
            width = next(widths[part] for part, mask in self.stays.items() if mask == name)
            found[ZONED + name] = _bytes((*steps, width), rate, like, generator)
        return found


def _bytes(
    shape: Sequence[int], rate: float, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Draw bytes that are 1 with a probability.

    On the CPU each is a part of a random integer compared with a number, which takes a fraction of
    the time of ``bernoulli_``: a quarter of it if the probability is then right to a thousandth of
    itself, which no sample of fewer than a million times 1 / rate can tell; else half, and 2**-32.
    """
    if like.device.type != "cpu":
        bytes = like.new_empty(shape, dtype=torch.uint8)
        return bytes.bernoulli_(rate, generator=generator)
    # Tracers know no generator as an argument, not even None.
    draw = torch.randint if generator is None else partial(torch.randint, generator=generator)
    count = math.prod(shape)
    bits = 16 if abs(round(rate * 2**16) - rate * 2**16) <= rate * 2**16 / 1000 else 32
    each = 64 // bits
    drawn: Tensor = draw(-(2**63), 2**63 - 1, ((count + each - 1) // each,))
    parts = drawn.view(torch.int16 if bits == 16 else torch.int32)[:count]
    largest = max(round(rate * 2**bits) - 1, 0) - 2 ** (bits - 1)
    stays: Tensor = parts <= largest
    return stays.view(torch.uint8).view(shape)


_NONE = Noise()


def noise_of(cell: BaseRecurrentCell) -> Noise:
    """Return the noise in a cell's steps: dropout in training, zoneout always."""
    probability = cell.recurrent_dropout if cell.training else 0.0
    if not probability and not cell.zoneout:
        return _NONE
    states, given = _states(cell), cell.zoneout
    rates = given if isinstance(given, tuple | list) else (given,) * len(states)
    zoned = {name: float(rate) for name, rate in zip(states, rates, strict=True) if rate}
    stays = {part: name for name in zoned for part in states[name]}
    dropped = multiplied(cell) if probability else {}
    return Noise(dropped, probability, zoned, stays, cell.training, tuple(states))


def _states(cell: BaseRecurrentCell) -> dict[str, list[str]]:
    """Return the names of a step's states, and those of the parts of each, of which one is real."""
    found = {
        argument.name: [
            name for name, role in argument.role.parts(argument.name) if isinstance(role, StateRole)
        ]
        for argument in cell.signature.written
    }
    return {name: parts for name, parts in found.items() if parts}


def multiplied(cell: BaseRecurrentCell) -> dict[str, int]:
    """Return the widths of what a cell's recurrent weights multiply, by the name of its mask."""
    widths = dict(zip(cell.state_names, cell.state_widths, strict=True))
    widths |= {each.name: cell.output_size for each in cell.signature.having(DelayedRole)}
    found = {run.of: widths[run.of] for run in cell.layout.runs}
    for argument in cell.signature.arguments:
        role = argument.role
        if isinstance(role, MapRole | MapsRole) and role.weight == RECURRENT and role.height(cell):
            name = map_mask(cell, role.columns)
            found[name] = getattr(cell, role.columns)
    return found


def map_mask(cell: BaseRecurrentCell, columns: str) -> str:
    """Return the name of the mask of a map's argument: the first state's if it is as wide.

    So ``U(r * h)`` drops the same units of h as a product that the step does not take itself.
    """
    first = cell.signature.states[0]
    return first.name if getattr(first.role, "width", None) == columns else columns


def check_noise(cell: BaseRecurrentCell) -> None:
    """Check the options that say it.

    Raises:
        ValueError: a rate or a number of rates that can't be, or nothing that they concern.
    """
    for name in ("weight_dropout", "recurrent_dropout"):
        if not 0 <= (value := getattr(cell, name)) <= 1:
            raise ValueError(
                f"{name} should be a number in range [0, 1] representing the probability of an "
                f"element being zeroed, got {value!r}"
            )
    if cell.weight_dropout and RECURRENT not in cell.layout.stacks:
        raise ValueError(
            f"weight_dropout={cell.weight_dropout}: {type(cell).__name__} has no {RECURRENT.name}"
        )
    if cell.recurrent_dropout and not multiplied(cell):
        raise ValueError(
            f"recurrent_dropout={cell.recurrent_dropout}: {type(cell).__name__} has no recurrent "
            "weight that multiplies something"
        )
    names = list(_states(cell))
    rates: Any = cell.zoneout
    if isinstance(rates, tuple | list) and len(rates) != len(names):
        raise ValueError(
            f"zoneout: expected a number, or one for each of the states ({', '.join(names)}) of "
            f"{type(cell).__name__}, got {len(rates)}"
        )
    for rate in rates if isinstance(rates, tuple | list) else (rates,):
        if not 0 <= rate <= 1:
            raise ValueError(
                "zoneout should be a number in range [0, 1] representing the probability of a "
                f"unit to stay what it was, got {rate!r}"
            )
