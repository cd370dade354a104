"""The addition-subtraction twin-gated network."""

from __future__ import annotations

from .mathematics import Params, Step, Vector, biases, sigmoid


def ATRCell(p: Params, x: Vector, h: Vector) -> Step:
    """Zhang et al. (2018); the bias of the projected input is not theirs."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    projected, remembered = p["weight_ih"] @ x + b, p["weight_hh"] @ h + d
    input_gate = sigmoid(projected + remembered)
    forget_gate = sigmoid(projected - remembered)
    h = input_gate * projected + forget_gate * h
    return h, (h,)
