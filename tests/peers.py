"""Computations of other packages, in NumPy and with their parameters' names, from their source.

Each function takes a state dict, an input ``(T, N, I)`` and the first states, and returns the
outputs and the last states. The ``*_weights`` draw state dicts of the same names and shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["brc", "brc_pytorch", "brc_pytorch_weights", "brc_weights", "ur_lstm", "ur_lstm_weights"]

Array = NDArray[np.float64]
State = dict[str, Array]
#: Random numbers of a shape.
Draw = Callable[..., Array]
#: One step of a layer: its parameters, the input, its states; the first new state is the output.
Step = Callable[[State, Array, list[Array]], list[Array]]


def sigmoid(a: Array) -> Array:
    value: Array = 1 / (1 + np.exp(-a))
    return value


def below(state: State, prefix: str) -> State:
    """The entries under a prefix, without it."""
    return {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}


def run(step: Step, parameters: State, x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
    """One layer over a sequence."""
    outputs = []
    for row in x:
        states = step(parameters, row, states)
        outputs.append(states[0])
    return np.stack(outputs), states


# brc 0.1.2, modules.py -------------------------------------------------------------


def brc_step(p: State, x: Array, states: list[Array]) -> list[Array]:
    """``BRC.forward`` and, with a matrix for ``hw``, ``NBRC.forward``."""
    (h,) = states
    i = x @ p["iw"] + p.get("bias", 0)
    ia, ic, ir = np.split(i, 3, -1)
    hidden = np.concatenate([h, h], -1) * p["hw"] if p["hw"].ndim == 1 else h @ p["hw"]
    ha, hc = np.split(hidden, 2, -1)
    a = 1 + np.tanh(ia + ha)
    c = sigmoid(ic + hc)
    return [c * h + (1 - c) * np.tanh(ir + a * h)]


def brc_lstm_step(p: State, x: Array, states: list[Array]) -> list[Array]:
    h, c = states
    ig, fg, cg, og = np.split(x @ p["iw"] + h @ p["hw"] + p.get("bias", 0), 4, -1)
    c = sigmoid(fg) * c + sigmoid(ig) * np.tanh(cg)
    return [sigmoid(og) * np.tanh(c), c]


def brc_gru_step(p: State, x: Array, states: list[Array]) -> list[Array]:
    (h,) = states
    ig, rg, og = np.split(x @ p["iw"] + p.get("bias", 0), 3, -1)
    ih, rh = np.split(h @ p["hw"], 2, -1)
    i, r = sigmoid(ig + ih), sigmoid(rg + rh)
    return [(1 - i) * h + i * np.tanh(og + (r * h) @ p["rw"])]


BRC_STEPS: dict[str, Step] = {
    "BRC": brc_step,
    "NBRC": brc_step,
    "LSTMCell": brc_lstm_step,
    "GRUCell": brc_gru_step,
}


def brc(kind: str, state: State, x: Array, states: list[list[Array]]) -> tuple[Array, list[Array]]:
    """A ``StackedRNN`` of cells of a kind; the states are those of each layer."""
    last: list[Array] = []
    for layer, first in enumerate(states):
        x, end = run(BRC_STEPS[kind], below(state, f"rnns.{layer}.cell."), x, first)
        last += end
    return x, last


def brc_weights(kind: str, i: int, h: int, layers: int, bias: bool, draw: Draw) -> State:
    gates = 4 if kind == "LSTMCell" else 3
    state = {}
    for layer in range(layers):
        prefix = f"rnns.{layer}.cell."
        state[f"{prefix}iw"] = draw(h if layer else i, gates * h)
        recurrent = 4 * h if kind == "LSTMCell" else 2 * h
        state[f"{prefix}hw"] = draw(recurrent) if kind == "BRC" else draw(h, recurrent)
        if kind == "GRUCell":
            state[f"{prefix}rw"] = draw(h, h)
        if bias:
            state[f"{prefix}bias"] = draw(gates * h)
    return state


# brc-pytorch 0.1.3, layers/ --------------------------------------------------------


def brc_pytorch_step(p: State, x: Array, states: list[Array]) -> list[Array]:
    """``BistableRecurrentCell`` and, with matrices, ``NeuromodulatedBistableRecurrentCell``."""
    (h,) = states
    memory = (
        (h * p["memoryz"], h * p["memoryr"])
        if p["memoryz"].ndim == 1
        else (h @ p["memoryz"], h @ p["memoryr"])
    )
    z = sigmoid(x @ p["kernelz"] + memory[0] + p["bz"])
    r = np.tanh(x @ p["kernelr"] + memory[1] + p["br"]) + 1
    return [z * h + (1 - z) * np.tanh(x @ p["kernelh"] + r * h)]


def brc_pytorch(
    state: State, x: Array, states: Array, directions: int
) -> tuple[Array, list[Array]]:
    """``MultiLayerBase.multilayer_rnn``; cells lie layer by layer, forwards before backwards."""
    last: list[Array] = []
    for layer in range(len(states) // directions):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            turned = x[::-1] if direction else x
            output, end = run(brc_pytorch_step, below(state, f"cells.{k}."), turned, [states[k]])
            outputs.append(output[::-1] if direction else output)
            last += end
        x = np.concatenate(outputs, -1)
    return x, last


def brc_pytorch_weights(
    dense: bool, i: int, h: int, layers: int, directions: int, draw: Draw
) -> State:
    state = {}
    for k in range(layers * directions):
        width = i if k < directions else h * directions
        for gate in "zrh":
            state[f"cells.{k}.kernel{gate}"] = draw(width, h)
        for gate in "zr":
            state[f"cells.{k}.memory{gate}"] = draw(h, h) if dense else draw(h)
            state[f"cells.{k}.b{gate}"] = draw(h)
    return state


# ur-lstm-torch 0.0.2, ur_lstm.py ---------------------------------------------------


def ur_lstm_step(p: State, x: Array, states: list[Array]) -> list[Array]:
    h, c = states
    gates = (
        x @ p["igates.weight"].T + p["igates.bias"] + h @ p["hgates.weight"].T + p["hgates.bias"]
    )
    forget, refine, cell, out = np.split(gates, 4, -1)
    forget = sigmoid(forget + p["forget_bias"])
    refine = sigmoid(refine - p["forget_bias"])
    effective = 2 * refine * forget + (1 - 2 * refine) * forget**2
    c = effective * c + (1 - effective) * np.tanh(cell)
    return [sigmoid(out) * np.tanh(c), c]


def ur_lstm(state: State, x: Array, states: list[list[Array]]) -> tuple[Array, list[Array]]:
    """A ``URLSTM``."""
    last: list[Array] = []
    for layer, first in enumerate(states):
        x, end = run(ur_lstm_step, below(state, f"layers.{layer}."), x, first)
        last += end
    return x, last


def ur_lstm_weights(i: int, h: int, layers: int, draw: Draw) -> State:
    state = {}
    for layer in range(layers):
        prefix = f"layers.{layer}."
        state[f"{prefix}igates.weight"] = draw(4 * h, h if layer else i)
        state[f"{prefix}igates.bias"] = draw(4 * h)
        state[f"{prefix}hgates.weight"] = draw(4 * h, h)
        state[f"{prefix}hgates.bias"] = draw(4 * h)
        state[f"{prefix}forget_bias"] = draw(h)
    return state
