"""The operations that a kernel can compute, one row each.

Like a step, a gradient is written in torch's functions: it takes the symbols of a trace, and
tensors as well. At kinks and at infinities it is torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import ones_like, where, zeros_like
from torch.nn import functional

from .composed import COMPOSED, cases
from .operation import Gradient, Operation

__all__ = ["FUNCTIONS", "OPERATIONS"]

_TWO = ("input", "other")


def _extremum(loses: Callable[[Any, Any], Any]) -> Gradient:
    """Return a gradient that equal arguments share."""

    def gradient(d: Any, y: Any, a: Any, b: Any) -> Any:
        half, zero = where(a == b, 0.5 * d, d), zeros_like(d)
        return where(loses(a, b), zero, half), where(loses(b, a), zero, half)

    return gradient


def _softplus(input: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    if not isinstance(threshold, int | float) or threshold != 20:
        raise TypeError(f"threshold should be 20, got {threshold}")
    if isinstance(beta, int | float) and beta == 1:
        return None
    return functional.softplus(beta * input) / beta


def _pow(input: Any, exponent: Any) -> Any:
    """Use products and square roots where possible: they are faster than a general power."""
    known = getattr(exponent, "number", exponent)
    if not isinstance(known, int | float):
        return None
    match known:
        case 0:
            return ones_like(input)
        case 1:
            return input
        case 2:
            return input * input
        case 3:
            return input * input * input
        case 4:
            return _pow(input * input, 2)
        case -1 | -2 | -3:
            return _pow(1 / input, -known)
        case 0.5:
            return torch.sqrt(input)
        case -0.5:
            return 1 / torch.sqrt(input)
    return None


def _pow_gradient(d: Any, y: Any, x: Any, p: Any) -> Any:
    slope = d * (p * x ** (p - 1))
    if getattr(p, "number", None) is not None:
        return slope, None
    of_exponent = d * where((x == 0) & (p >= 0), 0, y * torch.log(x))
    return where(p == 0, 0, slope), of_exponent


def _product(a: Any, b: Any) -> str:
    times = r"\cdot" if a.scalar or b.scalar else r"\odot"
    return f"{a:2} {times} {b:2}"


def _comparison(name: str, sign: str, printed: str, *aliases: str) -> Operation:
    return Operation(
        name,
        aliases,
        takes=_TWO,
        c=f"{{0}} {sign} {{1}}",
        latex=lambda a, b: f"{a:1} {printed} {b:1}",
        binds=0,
        cheap=True,
        compares=True,
    )


def _logical(name: str, sign: str, printed: str, *aliases: str) -> Operation:
    return Operation(
        name,
        aliases,
        takes=_TWO,
        c=f"{{0}} {sign} {{1}}",
        latex=lambda a, b: rf"({a}) {printed} ({b})",
        binds=0,
        cheap=True,
        compares=True,
        conditions=(0, 1),
    )


_NODES = (
    Operation(
        "add",
        takes=_TWO,
        gradient=lambda d, y, a, b: (d, d),
        c="{0} + {1}",
        latex=lambda a, b: f"{a:1} + {b:1}",
        binds=1,
        cheap=True,
        linear=((0, 1),),
    ),
    Operation(
        "sub",
        ("subtract",),
        takes=_TWO,
        gradient=lambda d, y, a, b: (d, -d),
        c="{0} - {1}",
        latex=lambda a, b: f"{a:1} - {b:2}",
        binds=1,
        cheap=True,
        linear=((0, 1),),
    ),
    Operation(
        "mul",
        ("multiply",),
        takes=_TWO,
        gradient=lambda d, y, a, b: (d * b, d * a),
        c="{0} * {1}",
        latex=_product,
        binds=2,
        cheap=True,
        linear=((0,), (1,)),
    ),
    Operation(
        "div",
        ("divide", "true_divide"),
        takes=_TWO,
        gradient=lambda d, y, a, b: (d / b, -(d / b * y)),
        c="{0} / {1}",
        latex=lambda a, b: f"{a:2} / {b:3}",
        binds=2,
        linear=((0,),),
    ),
    Operation(
        "neg",
        ("negative",),
        gradient=lambda d, y, x: -d,
        c="-{0}",
        latex=lambda x: f"-{x:2}",
        binds=1,
        cheap=True,
        linear=((0,),),
    ),
    Operation("exp", gradient=lambda d, y, x: d * y, latex=r"\exp"),
    Operation("expm1", ("special_expm1",), gradient=lambda d, y, x: d * (y + 1)),
    Operation("log", gradient=lambda d, y, x: d / x, latex=r"\log"),
    Operation("log1p", ("special_log1p",), gradient=lambda d, y, x: d / (x + 1)),
    Operation("sqrt", gradient=lambda d, y, x: d / (2 * y)),
    Operation("sin", gradient=lambda d, y, x: d * torch.cos(x), latex=r"\sin"),
    Operation("cos", gradient=lambda d, y, x: -(d * torch.sin(x)), latex=r"\cos"),
    # The 1 is made before y * y: the lines of a kernel are in the order of its nodes.
    Operation("tanh", gradient=lambda d, y, x: d * (ones_like(y) - y * y), latex=r"\tanh"),
    Operation(
        "sigmoid",
        ("special_expit",),
        gradient=lambda d, y, x: d * (y * (1 - y)),
        latex=r"\sigma",
    ),
    Operation(
        "logsigmoid",
        ("log_sigmoid",),
        gradient=lambda d, y, x: d * torch.sigmoid(-x),
        latex=r"\log \sigma",
    ),
    Operation(
        "softplus",
        means=_softplus,
        # above torch's threshold the sigmoid is 1 to float32's last bit
        gradient=lambda d, y, x: where(x > 20, d, d * torch.sigmoid(x)),
    ),
    Operation(
        "erf",
        ("special_erf",),
        gradient=lambda d, y, x: d * (2 / math.sqrt(math.pi) * torch.exp(-(x * x))),
    ),
    Operation(
        "pow",
        takes=("input", "exponent"),
        means=_pow,
        gradient=_pow_gradient,
        latex=lambda x, p: f"{x:3}^{{{p}}}",
    ),
    Operation("relu", gradient=lambda d, y, x: where(y <= 0, 0, d), cheap=True),
    Operation(
        "abs",
        ("absolute",),
        gradient=lambda d, y, x: d * torch.sign(x),
        latex=lambda x: f"|{x}|",
        cheap=True,
    ),
    Operation("sign", ("sgn",), cheap=True),
    Operation("floor", latex=lambda x: rf"\lfloor {x} \rfloor", cheap=True),
    Operation("detach", c="{0}", latex=r"\mathrm{sg}", cheap=True, linear=((0,),)),
    Operation(
        "maximum",
        takes=_TWO,
        gradient=_extremum(lambda a, b: a < b),
        c="tr_max({0}, {1})",
        latex=r"\max",
        cheap=True,
    ),
    Operation(
        "minimum",
        takes=_TWO,
        gradient=_extremum(lambda a, b: a > b),
        c="tr_min({0}, {1})",
        latex=r"\min",
        cheap=True,
    ),
    Operation(
        "where",
        takes=("condition", "input", "other"),
        gradient=lambda d, y, c, a, b: (None, where(c, d, 0), where(c, 0, d)),
        c="{0} ? {1} : {2}",
        triton="tl.where({0}, {1}, {2})",
        latex=lambda c, a, b: cases(a, c, b),
        cheap=True,
        linear=((1, 2),),
        conditions=(0,),
        receiver=1,
    ),
    _comparison("eq", "==", "="),
    _comparison("ne", "!=", r"\neq", "not_equal"),
    _comparison("lt", "<", "<", "less"),
    _comparison("gt", ">", ">", "greater"),
    _comparison("le", "<=", r"\leq", "less_equal"),
    _comparison("ge", ">=", r"\geq", "greater_equal"),
    _logical("logical_and", "&", r"\land", "bitwise_and"),
    _logical("logical_or", "|", r"\lor", "bitwise_or"),
    Operation(
        "logical_not",
        ("bitwise_not",),
        c="!{0}",
        triton="~{0}",
        latex=lambda x: rf"\lnot ({x})",
        binds=0,
        cheap=True,
        compares=True,
        conditions=(0,),
    ),
)

#: The nodes of a graph, besides leaves and numbers.
OPERATIONS = {row.name: row for row in _NODES}
#: The functions that a step may call, under each of torch's names.
FUNCTIONS = {name: row for row in (*_NODES, *COMPOSED) for name in (row.name, *row.aliases)}
