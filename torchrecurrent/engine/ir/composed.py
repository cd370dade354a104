"""Functions of torch that are composed of other operations and so need no gradient or text.

Like a step, they are written in torch's functions, with torch's parameters and defaults: they take
the symbols of a trace, and tensors as well. At kinks their gradient is torch's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import expm1, where
from torch.nn import functional

from .operation import Operation

__all__ = ["COMPOSED", "cases"]


def cases(then: object, condition: object, otherwise: object) -> str:
    """The LaTeX of a choice between two values."""
    return (
        rf"\begin{{cases}} {then} & \text{{if }} {condition} \\ "
        rf"{otherwise} & \text{{otherwise}} \end{{cases}}"
    )


def _clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    if min is None and max is None:
        raise TypeError("at least one of 'min' or 'max' must not be None")
    raised = input if min is None else where(_or_nan(input < min, min), min, input)
    return raised if max is None else where(_or_nan(raised > max, max), max, raised)


def _or_nan(crossed: Any, bound: Any) -> Any:
    """Whether a bound is crossed or is a tensor's NaN; the bound is then the result."""
    return crossed if isinstance(bound, int | float) else crossed | (bound != bound)


def _clamp_latex(input: Any, min: Any, max: Any) -> str:
    raised = f"{input}" if min is None else rf"\max({input}, {min})"
    return raised if max is None else rf"\min({raised}, {max})"


def _hardtanh(input: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    """Unlike clamp, it passes no gradient at its bounds."""
    return where(input <= min_val, min_val, where(input >= max_val, max_val, input))


def _hardsigmoid(input: Any) -> Any:
    return where(input <= -3, 0, where(input >= 3, 1, (input + 3) / 6))


def _elu(input: Any, alpha: Any = 1.0) -> Any:
    # The branch not taken must stay finite: its gradient is zero times the slope there.
    return where(input > 0, input, alpha * expm1(_clamp(input, max=0)))


def _celu(input: Any, alpha: Any = 1.0) -> Any:
    return where(input > 0, input, alpha * expm1(_clamp(input, max=0) / alpha))


def _selu(input: Any) -> Any:
    return 1.0507009873554804934193349852946 * _elu(input, 1.6732632423543772848170429916717)


def _gelu(input: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return input * (0.5 * (1 + torch.erf(math.sqrt(0.5) * input)))
    if approximate != "tanh":
        raise TypeError(f"approximate should be 'none' or 'tanh', got {approximate!r}")
    inner = math.sqrt(2 / math.pi) * (input + 0.044715 * (input * input * input))
    return 0.5 * input * (1 + torch.tanh(inner))


def _leaky_relu(input: Any, negative_slope: Any = 0.01) -> Any:
    return where(input > 0, input, negative_slope * input)


def _threshold(input: Any, threshold: Any, value: Any) -> Any:
    return where(input <= threshold, value, input)


def _softshrink(input: Any, lambd: Any = 0.5) -> Any:
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, 0 * input))


def _hardshrink(input: Any, lambd: Any = 0.5) -> Any:
    return where((input >= -lambd) & (input <= lambd), 0, input)


def _lerp(input: Any, end: Any, weight: Any) -> Any:
    """Interpolate from the nearer end, so that both ends are reached exactly."""
    way = end - input
    near, far = input + weight * way, end - way * (1 - weight)
    if isinstance(weight, int | float):
        return near if abs(weight) < 0.5 else far
    return where(abs(weight) < 0.5, near, far)


def _trunc(input: Any) -> Any:
    return where(input < 0, -torch.floor(-input), torch.floor(input))


COMPOSED = (
    Operation("positive", means=lambda input: input, latex=lambda x: f"{x:3}"),
    Operation("zeros_like", means=lambda input: 0.0, latex=lambda x: "0"),
    Operation("ones_like", means=lambda input: 1.0, latex=lambda x: "1"),
    Operation("full_like", means=lambda input, fill_value: fill_value, latex=lambda x, v: f"{v:3}"),
    Operation("square", means=lambda input: input * input, latex=lambda x: f"{x:3}^{{2}}"),
    Operation("reciprocal", means=lambda input: 1 / input, latex=lambda x: f"1 / {x:3}", binds=2),
    Operation("rsqrt", means=lambda input: 1 / torch.sqrt(input)),
    Operation(
        "ceil",
        means=lambda input: -torch.floor(-input),
        latex=lambda x: rf"\lceil {x} \rceil",
    ),
    Operation("trunc", ("fix",), means=_trunc),
    Operation("frac", means=lambda input: input - _trunc(input)),
    Operation("isnan", means=lambda input: input != input, compares=True),
    Operation("clamp", ("clip",), means=_clamp, latex=_clamp_latex),
    Operation("clamp_min", means=lambda input, min: _clamp(input, min=min), latex=r"\max"),
    Operation("clamp_max", means=lambda input, max: _clamp(input, max=max), latex=r"\min"),
    Operation(
        "masked_fill",
        means=lambda input, mask, value: where(mask, value, input),
        latex=lambda x, mask, value: cases(value, mask, x),
    ),
    Operation("lerp", means=_lerp),
    Operation("leaky_relu", means=_leaky_relu),
    Operation("threshold", ("_threshold",), means=_threshold),
    Operation("elu", means=_elu),
    Operation("celu", means=_celu),
    Operation("selu", means=_selu),
    Operation("gelu", means=_gelu),
    Operation("silu", means=lambda input: input * torch.sigmoid(input)),
    Operation("mish", means=lambda input: input * torch.tanh(functional.softplus(input))),
    Operation("softsign", means=lambda input: input / (torch.abs(input) + 1)),
    Operation("tanhshrink", means=lambda input: input - torch.tanh(input)),
    Operation("softshrink", means=_softshrink),
    Operation("hardshrink", means=_hardshrink),
    Operation("hardtanh", means=_hardtanh),
    Operation("relu6", means=lambda input: _hardtanh(input, 0, 6)),
    Operation("hardsigmoid", means=_hardsigmoid),
    Operation("hardswish", means=lambda input: input * _hardsigmoid(input)),
)
