"""Initialisers of recurrent weights by the modulus and phase of their eigenvalues."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..constraints import off_diagonal
from .made import Made
from .scaled import before_softplus

__all__ = ["contract_", "henaff_", "hippo", "paces", "phase", "reservoir", "ring", "softplus_ring"]


def ring(r_min: float = 0.0, r_max: float = 1.0) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser for the decay of a linear recurrence [orvieto2023resurrecting]_.

    It fills with :math:`\log(-\log r)`, where r is the modulus of a number drawn evenly from the
    ring of the complex plane between the two radii. A unit keeps r of its state at each step.

    Args:
        r_min: the inner radius.
        r_max: the outer one; the closer to 1, the longer the memory.

    Raises:
        ValueError: not ``0 <= r_min < r_max <= 1``.
    """
    _check_radii("ring", r_min, r_max)
    return Made("ring", _ring_, (r_min, r_max))


def _ring_(tensor: Tensor, r_min: float, r_max: float) -> Tensor:
    return tensor.copy_(_decay(tensor, r_min, r_max).log_())


def softplus_ring(r_min: float = 0.9, r_max: float = 0.999) -> Callable[[Tensor], Tensor]:
    r"""Like :func:`ring`, for another form of decay [de2024griffin]_, with that paper's radii.

    It fills with :math:`\Lambda`, where a unit keeps :math:`r = e^{-\mathrm{softplus}(\Lambda)}` of
    its state at each step.
    """
    _check_radii("softplus_ring", r_min, r_max)
    return Made("softplus_ring", _softplus_ring_, (r_min, r_max))


def _softplus_ring_(tensor: Tensor, r_min: float, r_max: float) -> Tensor:
    return tensor.copy_(_decay(tensor, r_min, r_max).expm1_().log_())


def _check_radii(name: str, r_min: float, r_max: float) -> None:
    if not 0 <= r_min < r_max <= 1:
        raise ValueError(f"{name}: expected 0 <= r_min < r_max <= 1, got {r_min} and {r_max}")


def _decay(like: Tensor, r_min: float, r_max: float) -> Tensor:
    """Return the negative logarithm of a radius whose square is drawn evenly."""
    # In float64, since half precision has no numbers close to 1.
    square = torch.empty_like(like, dtype=torch.float64).uniform_(r_min**2, r_max**2)
    return square.clamp_(1e-12, 1 - 1e-12).log_().mul_(-0.5)


def phase(largest: float = 2 * math.pi) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser for the phase of a linear recurrence [orvieto2023resurrecting]_.

    It fills with :math:`\log \phi`, where :math:`\phi \sim U(0, \text{largest})`. A unit turns by
    :math:`\phi` at each step.
    """
    return Made("phase", _phase_, (largest,))


def _phase_(tensor: Tensor, largest: float) -> Tensor:
    phases = torch.empty_like(tensor, dtype=torch.float64).uniform_(0, largest)
    return tensor.copy_(phases.clamp_(min=1e-12).log_())


def paces(shortest: float = 0.001, longest: float = 0.1) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser for a bias of which softplus makes a length of time [gu2023mamba]_.

    The logarithm of the time is drawn evenly between those of the two bounds.

    Args:
        shortest: the least time.
        longest: the greatest one.

    Raises:
        ValueError: not ``0 < shortest < longest``.
    """
    if not 0 < shortest < longest:
        raise ValueError(f"paces: expected 0 < shortest < longest, got {shortest} and {longest}")
    return Made("paces", _paces_, (shortest, longest))


def _paces_(tensor: Tensor, shortest: float, longest: float) -> Tensor:
    times = torch.empty_like(tensor, dtype=torch.float64)
    times.uniform_(math.log(shortest), math.log(longest)).exp_()
    return tensor.copy_(before_softplus(times))


def hippo(blocks: int = 1) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser for the frequencies of a linear recurrence [smith2023simplified]_.

    It fills with the negative imaginary parts of the eigenvalues of HiPPO's matrix, of its normal
    part; their real parts are -1/2. A state of such a matrix sums up its past in Legendre
    polynomials. H units have the frequencies of a matrix of twice their number.

    Args:
        blocks: the number of equal matrices that share the units.

    Raises:
        ValueError: for fewer blocks than one; when called, for units that they don't divide.
    """
    if not blocks >= 1:
        raise ValueError(f"hippo: blocks should be at least 1, got {blocks}")
    return Made("hippo", _hippo_, (blocks,))


def _hippo_(tensor: Tensor, blocks: int) -> Tensor:
    if tensor.dim() != 1 or tensor.size(0) % blocks:
        shape = tuple(tensor.shape)
        raise ValueError(f"hippo: expected a vector that {blocks} blocks divide, got {shape}")
    width = tensor.size(0) // blocks
    roots = torch.arange(2 * width, dtype=torch.float64).add_(0.5).sqrt_()
    upper = torch.outer(roots, roots).triu_(1)
    frequencies = torch.linalg.eigvalsh(-1j * (upper - upper.T))  # in ascending order
    return tensor.copy_(frequencies[:width].repeat(blocks))


def reservoir(radius: float = 0.9, density: float = 0.1) -> Callable[[Tensor], Tensor]:
    """Make an initialiser for recurrent kernels that are not trained [jaeger2001echo]_.

    It draws weights from U(-1, 1), keeps a part of them, and scales these to a spectral radius.
    With a radius below 1, past inputs usually fade, so that the state is an echo of the latest.

    Args:
        radius: the largest modulus of an eigenvalue.
        density: the fraction of the weights that are not zero, from 0 to 1.

    Raises:
        ValueError: for a negative radius or a density that is not above 0 and at most 1;
            when called, for a block that is not square.
    """
    if not radius >= 0:
        raise ValueError(f"reservoir: radius should not be negative, got {radius}")
    if not 0 < density <= 1:
        raise ValueError(f"reservoir: density should be above 0 and at most 1, got {density}")
    return Made("reservoir", _reservoir_, (radius, density))


def _reservoir_(tensor: Tensor, radius: float, density: float) -> Tensor:
    if tensor.dim() != 2 or tensor.size(0) != tensor.size(1):
        shape = tuple(tensor.shape)
        raise ValueError(f"reservoir: expected a square block of a dense kernel, got {shape}")
    largest = 0.0
    while not (
        largest or tensor.is_meta
    ):  # a small matrix may have no cycle, and so a radius of zero
        weights = torch.empty_like(tensor, dtype=torch.float64).uniform_(-1, 1)
        weights *= torch.rand_like(weights) < density
        largest = float(torch.linalg.eigvals(weights).abs().max())
    return tensor if tensor.is_meta else tensor.copy_(weights * (radius / largest))


def henaff_(kernel: Tensor) -> Tensor:
    r"""Fill a kernel whose exponential rotates pairs of units, each by its own angle.

    The angles are drawn from :math:`U(-\pi, \pi)`, as in [lezcano2019cheap]_; they stand above the
    diagonal, and all else is zero.
    """
    kernel.zero_()
    if kernel.dim() > 1:
        blocks = kernel.view(-1, kernel.size(1), kernel.size(1))
        blocks.diagonal(1, 1, 2)[:, ::2].uniform_(-math.pi, math.pi)
    return kernel


def contract_(kernel: Tensor, decay: Tensor) -> None:
    r"""Shrink a kernel and its diagonal until no eigenvalue exceeds 1 [koppe2019identifying]_.

    Both are divided by :math:`1 + \sqrt H` as often as it takes.
    """
    width = kernel.size(1) if kernel.dim() > 1 else 1
    blocks = off_diagonal(kernel).double().view(-1, width, width)
    matrix = blocks + torch.diag_embed(decay.double().view(-1, width))
    radius, factor = torch.linalg.eigvals(matrix).abs().max(), 1 + math.sqrt(decay.numel())
    times = (radius.log() / math.log(factor)).ceil().clamp(min=0)
    for each in (kernel, decay):
        each.mul_(factor**-times)
