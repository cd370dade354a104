"""Initialisers of gates' biases, which determine how long each unit remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from .made import Made

__all__ = ["chrono", "power_law", "uniform_gates_"]


def chrono(steps: float, gate: Literal["forget", "input"] = "forget") -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser for the bias of a forget gate [tallec2018can]_.

    It fills with :math:`\log u`, where :math:`u \sim U(1, T - 1)`. Without input a unit then
    forgets over about u + 1 steps, so that the units' time scales are spread evenly from 2
    to T.

    Args:
        steps: the longest dependency T that is expected, in time steps.
        gate: ``"input"``, for a gate that says how much of the state is replaced:
            :math:`-\log u`.

    Raises:
        ValueError: fewer than 2 steps, or another gate.
    """
    if not steps >= 2:
        raise ValueError(f"chrono: steps should be at least 2, got {steps}")
    if gate not in ("forget", "input"):
        raise ValueError(f"chrono: gate should be one of ('forget', 'input'), got {gate!r}")
    return Made("chrono", _chrono_, (steps,) if gate == "forget" else (steps, gate))


def _chrono_(tensor: Tensor, steps: float, gate: str = "forget") -> Tensor:
    nn.init.uniform_(tensor, 1.0, float(steps) - 1).log_()
    return tensor if gate == "forget" else tensor.neg_()


def uniform_gates_(forget: Tensor, refine: Tensor | None = None) -> Tensor:
    r"""Uniform gate initialisation, for the bias of a forget gate [gu2020improving]_.

    It fills with :math:`\operatorname{logit} u`, where :math:`u \sim U(1/H, 1 - 1/H)`, so that
    the gates of H units start spread evenly, and their time scales from 1 to H steps. For H = 1,
    where that interval is empty, u is 1/2.

    Args:
        forget: the bias of the forget gate.
        refine: the bias of the refine gate beside it, which is filled with the negative.
    """
    margin = min(1 / forget.size(0), 0.5)
    nn.init.uniform_(forget, margin, 1 - margin).logit_()
    if refine is not None:
        refine.copy_(-forget)
    return forget


def power_law(
    first: float = 5.0, last: float = -7.0, exponent: float = 0.3, blocks: int = 1
) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser of a bias that falls or rises from unit to unit [beck2024xlstm]_.

    Unit k of n is filled with :math:`a + (b - a) (k / (n - 1))^p`, counted from 0.

    Args:
        first: a, the value of the first unit.
        last: b, the value of the last unit.
        exponent: p; below 1, most units are close to the last.
        blocks: the number of blocks, such as heads, of units; each starts again at the first.
    """
    return Made("power_law", _power_law_, (first, last, exponent, blocks))


def _power_law_(tensor: Tensor, first: float, last: float, exponent: float, blocks: int) -> Tensor:
    width = tensor.size(0) // blocks
    place = torch.linspace(0, 1, width) if width > 1 else torch.zeros(1)
    return tensor.copy_((first + (last - first) * place**exponent).repeat(blocks))
