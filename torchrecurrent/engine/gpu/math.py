"""Elementary functions for generated Triton kernels: the counterpart of :file:`math.h`.

Of float32 or float64 blocks. NaN, infinities and the sign of zero come out as torch's do; every
comparison is written so that NaN takes the side that keeps it.

In float32 all rest on ``exp2``, one instruction of the GPU with an error of two units in the last
place. What the rounding of x log2(e) loses is computed beside it and multiplied in, so that exp
keeps its relative accuracy where x is large. In float64 exp and log are libdevice's.

Importing this module needs Triton.
"""

from __future__ import annotations

import triton
import triton.language as tl

_LOG2E = tl.constexpr(1.4426950408889634)  # rounded to float32: 1.44269502...
_LOG2E_LOW = tl.constexpr(1.925963033500601e-08)  # log2(e) minus that
_LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def tr_exp(x: tl.tensor) -> tl.tensor:
    if x.dtype == tl.float64:
        y = tl.exp(x)
    else:
        within = tl.where(x > 89.0, 89.0, tl.where(x < -104.0, -104.0, x))
        power = within * _LOG2E
        rest = tl.fma(within, _LOG2E, -power) + within * _LOG2E_LOW
        y = tl.exp2(power)
        y = tl.where(y < float("inf"), tl.fma(y, rest * _LN2, y), y)
    return y


@triton.jit
def tr_exp_decay(x: tl.tensor) -> tl.tensor:
    """exp(-|x|)."""
    if x.dtype == tl.float64:
        y = tl.exp(-tl.abs(x))
    else:
        within = tl.where(tl.abs(x) > 104.0, -104.0, -tl.abs(x))
        power = within * _LOG2E
        rest = tl.fma(within, _LOG2E, -power) + within * _LOG2E_LOW
        y = tl.exp2(power)
        y = tl.fma(y, rest * _LN2, y)
    return y


@triton.jit
def tr_tanh(x: tl.tensor) -> tl.tensor:
    # Below 0.625 an odd polynomial (float64: rational), where 1 - exp(-2 |x|) would cancel.
    a = tl.abs(x)
    t = x * x
    if x.dtype == tl.float64:
        p = -1.990896651658345169637e-4 * t - 0.0204968031926573204876
        p = p * t - 0.3333333333333332379486
        q = 2.064390912310180603317e-4 * t + 0.02328867092217474070479
        q = (q * t + 0.4614904095779571314206) * t + 1.0
        small = x * (1.0 + t * p / q)
        e = tl.exp(-2.0 * a)
    else:
        p = -5.70498872745e-3 * t + 2.06390887954e-2
        p = (p * t - 5.37397155531e-2) * t + 1.33314422036e-1
        p = p * t - 3.33332819422e-1
        small = x * (1.0 + t * p)  # keeps -0
        e = tl.exp2(a * (-2.0 * _LOG2E))
    large = (1.0 - e) / (1.0 + e)
    return tl.where(a < 0.625, small, tl.where(x < 0, -large, large))


@triton.jit
def tr_expm1(x: tl.tensor) -> tl.tensor:
    # Below 1 by h = tanh(x / 2), where nothing cancels; above it exp(x) is the larger part.
    h = tr_tanh(x * 0.5)
    return tl.where(x < 1.0, 2.0 * h / (1.0 - h), tr_exp(x) - 1.0)


@triton.jit
def tr_sigmoid(x: tl.tensor) -> tl.tensor:
    # Of z = exp(-|x|): neither side overflows, and the left tail keeps its relative accuracy.
    z = tr_exp_decay(x)
    y = 1.0 / (1.0 + z)
    return tl.where(x >= 0, y, z * y)


@triton.jit
def tr_log1p(x: tl.tensor) -> tl.tensor:
    """Return log(1 + x), with what the rounding of the sum loses given back."""
    u = 1.0 + x
    y = tl.log(u) - ((u - 1.0) - x) / u
    special = tl.where(x == -1.0, -float("inf"), tl.where(x >= 0, x, float("nan")))
    return tl.where((x > -1.0) & (x < float("inf")) & (x != 0), y, special)


@triton.jit
def tr_log1p_unit(z: tl.tensor) -> tl.tensor:
    """log(1 + z), 0 <= z <= 1: what the sum's rounding loses is given back."""
    u = 1.0 + z
    return tl.log(u) - ((u - 1.0) - z) / u


@triton.jit
def tr_logsigmoid(x: tl.tensor) -> tl.tensor:
    return tl.where(x < 0, x, 0.0) - tr_log1p_unit(tr_exp_decay(x))


@triton.jit
def tr_softplus(x: tl.tensor) -> tl.tensor:
    """torch's: beta 1, threshold 20."""
    return tl.where(x > 20.0, x, tl.where(x > 0, x, 0.0) + tr_log1p_unit(tr_exp_decay(x)))


@triton.jit
def tr_erf(x: tl.tensor) -> tl.tensor:
    return tl.erf(x)


@triton.jit
def tr_log(x: tl.tensor) -> tl.tensor:
    return tl.log(x)


@triton.jit
def tr_sqrt(x: tl.tensor) -> tl.tensor:
    return tl.sqrt(x) if x.dtype == tl.float64 else tl.sqrt_rn(x)


@triton.jit
def tr_pow(x: tl.tensor, p: tl.tensor) -> tl.tensor:
    """C's pow. In float64, as the error of a logarithm counts as often as it is large."""
    x, p = tl.broadcast(x, p)
    a = tl.abs(x)
    y = tl.exp(p.to(tl.float64) * tl.log(a.to(tl.float64))).to(x.dtype)
    y = tl.where(a == 1.0, 1.0, y)  # whatever p is
    whole = tl.floor(p) == p
    odd = whole & (2.0 * tl.floor(p * 0.5) != p)
    negative = (x < 0) | ((x == 0) & (1.0 / x < 0))
    y = tl.where(odd & negative, y * -1.0, y)  # -y would be 0 - y, which is never -0
    y = tl.where((x < 0) & (a < float("inf")) & ~whole, float("nan"), y)
    return tl.where((p == 0) | (x == 1.0), 1.0, y)


@triton.jit
def tr_sin(x: tl.tensor) -> tl.tensor:
    return tl.sin(x)


@triton.jit
def tr_cos(x: tl.tensor) -> tl.tensor:
    return tl.cos(x)


@triton.jit
def tr_abs(x: tl.tensor) -> tl.tensor:
    return tl.abs(x)


@triton.jit
def tr_floor(x: tl.tensor) -> tl.tensor:
    return tl.floor(x)


@triton.jit
def tr_sign(x: tl.tensor) -> tl.tensor:
    return (x > 0).to(x.dtype) - (x < 0).to(x.dtype)


@triton.jit
def tr_relu(x: tl.tensor) -> tl.tensor:
    return tl.where(x < 0, 0.0, x)


@triton.jit
def tr_max(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """NaN from either side, as in torch.maximum: where b is NaN, a > b is false."""
    return tl.where((a > b) | (a != a), a, b)


@triton.jit
def tr_min(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.where((a < b) | (a != a), a, b)
