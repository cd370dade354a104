"""Update gate and intersection networks (Collins, Sohl-Dickstein and Sussillo, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, GateNonlinearity, Input, Nonlinearity, Output, OutputNonlinearity, State

__all__ = ["UGRNN", "IntersectionRNN", "IntersectionRNNCell", "UGRNNCell"]


class UGRNNCell(BaseRecurrentCell, citation="collins2017capacity", family="one-gate"):
    r"""Update gate recurrent cell, UGRNN [collins2017capacity]_.

    One gate mixes the old state with a new one, the simplest form of gating. It has two thirds
    of the parameters of a GRU; use it where their number matters.

    .. math::
        c_t &= \tanh(W_c x_t + b_c + U_c h_{t-1} + d_c) \\
        g_t &= \sigma(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        h_t &= g_t \odot h_{t-1} + (1 - g_t) \odot c_t

    Sources: TensorFlow's ``contrib/rnn/python/ops/rnn_cell.py``, class UGRNNCell, which adds the
    one in the step.
    """

    forget_bias: float = 1.0
    first = {"g": "forget_bias"}

    @staticmethod
    def step(h: State, c: Gate, g: Gate) -> Tensor:
        c, g = tanh(c), sigmoid(g)
        return g * h + (1 - g) * c


class UGRNN(RecurrentLayer, cell=UGRNNCell): ...


class IntersectionRNNCell(BaseRecurrentCell, citation="collins2017capacity", family="highway"):
    r"""Intersection recurrent cell, +RNN [collins2017capacity]_.

    It is gated in time (h) and in depth (y): each layer can pass its input straight up, so deep
    stacks train. Its output is not its state, and its input is as wide as its state.

    .. math::
        g_{k,t} &= \sigma(W_{g_k} x_t + b_{g_k} + U_{g_k} h_{t-1} + d_{g_k})
            \quad\text{for } k = y, h \\
        y_t &= g_{y,t} \odot x_t + (1 - g_{y,t}) \odot \psi(W_{y_{\mathrm{in}}} x_t
            + b_{y_{\mathrm{in}}} + U_{y_{\mathrm{in}}} h_{t-1} + d_{y_{\mathrm{in}}}) \\
        h_t &= g_{h,t} \odot h_{t-1} + (1 - g_{h,t}) \odot \phi(W_{h_{\mathrm{in}}} x_t
            + b_{h_{\mathrm{in}}} + U_{h_{\mathrm{in}}} h_{t-1} + d_{h_{\mathrm{in}}})

    Sources: TensorFlow's ``contrib/rnn/python/ops/rnn_cell.py``, class IntersectionRNNCell, which
    adds the one in the step.
    """

    depth_nonlinearity: Activation = "relu"
    recurrent_nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    forget_bias: float = 1.0
    first = {"g_y": "forget_bias", "g_h": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        x: Input,
        y_in: Gate,
        h_in: Gate,
        g_y: Gate,
        g_h: Gate,
        depth_nonlinearity: OutputNonlinearity,
        recurrent_nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> tuple[Output, Tensor]:
        y_in = depth_nonlinearity(y_in)
        h_in = recurrent_nonlinearity(h_in)
        g_y, g_h = gate_nonlinearity(g_y), gate_nonlinearity(g_h)
        return g_y * x + (1 - g_y) * y_in, g_h * h + (1 - g_h) * h_in

    def check_options(self) -> None:
        if self.input_size != self.hidden_size:
            raise ValueError(
                "input_size == hidden_size is needed, since the gated input is a part of "
                f"the output, got input_size={self.input_size}, hidden_size={self.hidden_size}"
            )


class IntersectionRNN(RecurrentLayer, cell=IntersectionRNNCell): ...
