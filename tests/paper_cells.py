"""Cells as repositories of papers write them: plain modules, each in another manner."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PAPER_CELLS"]

State = tuple[Tensor, Tensor]


class TwoLinears(nn.Module):
    """A GRU of two linear layers whose results are chunked."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.x2h = nn.Linear(input_size, 3 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 3 * hidden_size)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        if h is None:
            h = torch.zeros(x.size(0), self.hidden_size, dtype=x.dtype, device=x.device)
        x_r, x_z, x_n = self.x2h(x).chunk(3, dim=1)
        h_r, h_z, h_n = self.h2h(h).chunk(3, dim=1)
        reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        new = torch.tanh(x_n + reset * h_n)
        return update * h + (1 - update) * new


class OneLinear(nn.Module):
    """An LSTM of one linear layer on input and state side by side."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gates = nn.Linear(input_size + hidden_size, 4 * hidden_size)
        self.drop = nn.Dropout(0.0)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        if state is None:
            zeros = x.new_zeros(x.shape[0], self.hidden_size)
            state = (zeros, zeros)
        h, c = state
        i, f, g, o = torch.split(self.gates(torch.cat((x, h), dim=-1)), self.hidden_size, dim=-1)
        c = self.drop(f.sigmoid() * c + i.sigmoid() * g.tanh())
        h = o.sigmoid() * c.tanh()
        return h, c


class Matrices(nn.Module):
    """A minimal gated unit of parameters that are multiplied from the right."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()

        def matrix(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, hidden_size).uniform_(-0.5, 0.5))

        self.W_f, self.W_h = matrix(input_size), matrix(input_size)
        self.U_f, self.U_h = matrix(hidden_size), matrix(hidden_size)
        self.b_f = nn.Parameter(torch.ones(hidden_size))
        self.b_h = nn.Parameter(torch.zeros(1, hidden_size))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        f = torch.sigmoid(x @ self.W_f + h @ self.U_f + self.b_f)
        candidate = torch.tanh(torch.mm(x, self.W_h) + torch.mm(f * h, self.U_h) + self.b_h)
        return (1 - f) * h + f * candidate


class Independent(nn.Module):
    """Independent recurrence: a vector in the place of the recurrent matrix."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(hidden_size, input_size) / math.sqrt(input_size))
        self.recurrent = nn.Parameter(torch.rand(hidden_size))
        self.bias = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return functional.relu(
            functional.linear(x, self.weight, self.bias) + torch.mul(self.recurrent, h)
        )


class Normalised(nn.Module):
    """An LSTM with layer normalisation of each gate and of the cell."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.fiou_x = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.fiou_h = nn.Linear(hidden_size, 4 * hidden_size)
        self.norms = nn.ModuleList([nn.LayerNorm(hidden_size) for _ in range(4)])
        self.norm_c = nn.LayerNorm(hidden_size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        gates = (self.fiou_x(x) + self.fiou_h(h)).chunk(4, 1)
        f, i, o, u = (norm(gate) for norm, gate in zip(self.norms, gates, strict=True))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(u)
        h = torch.sigmoid(o) * torch.tanh(self.norm_c(c))
        return h, (h, c)


class Peephole(nn.Module):
    """An LSTM with peepholes and a layer for each gate."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                f"{gate}{of}": nn.Linear(size, hidden_size, bias=of == "x")
                for gate in "ifgo"
                for of, size in (("x", input_size), ("h", hidden_size))
            }
        )
        self.peep_i = nn.Parameter(torch.randn(hidden_size))
        self.peep_f = nn.Parameter(torch.randn(hidden_size))
        self.peep_o = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x: Tensor, state: State) -> State:
        h, c = state
        i = torch.sigmoid(self.layers["ix"](x) + self.layers["ih"](h) + self.peep_i * c)
        f = torch.sigmoid(self.layers["fx"](x) + self.layers["fh"](h) + self.peep_f * c)
        g = torch.tanh(self.layers["gx"](x) + self.layers["gh"](h))
        c = f * c + i * g
        o = torch.sigmoid(self.layers["ox"](x) + self.layers["oh"](h) + self.peep_o * c)
        return o * torch.tanh(c), c


class Antisymmetric(nn.Module):
    """A recurrent matrix that is computed from a parameter at each step."""

    eye: Tensor

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.epsilon, self.gamma = 0.1, 0.01
        self.V = nn.Linear(input_size, hidden_size)
        self.W = nn.Parameter(torch.randn(hidden_size, hidden_size))
        self.register_buffer("eye", torch.eye(hidden_size))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        matrix = self.W - self.W.transpose(0, 1) - self.gamma * self.eye
        return h + self.epsilon * torch.tanh(torch.matmul(h, matrix.t()) + self.V(x))


class Highway(nn.Module):
    """A recurrent highway network: several micro steps in a loop."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.depth = 3
        self.input = nn.Linear(input_size, 2 * hidden_size)
        self.steps = nn.ModuleList(
            [nn.Linear(hidden_size, 2 * hidden_size) for _ in range(self.depth)]
        )

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        for k, step in enumerate(self.steps):
            gates = step(s)
            if k == 0:
                gates = gates + self.input(x)
            h, t = gates.chunk(2, -1)
            t = torch.sigmoid(t)
            s = torch.tanh(h) * t + s * (1.0 - t)
        return s


class ClosedForm(nn.Module):
    """A small network on input and state, then heads that are interpolated in time."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(input_size + hidden_size, 7), nn.SiLU(), nn.Linear(7, 7), nn.Tanh()
        )
        self.ff1, self.ff2 = nn.Linear(7, hidden_size), nn.Linear(7, hidden_size)
        self.time_a, self.time_b = nn.Linear(7, hidden_size), nn.Linear(7, hidden_size)

    def forward(self, x: Tensor, hx: Tensor, ts: float = 1.0) -> Tensor:
        z = self.backbone(torch.cat([x, hx], 1))
        ff1, ff2 = torch.tanh(self.ff1(z)), torch.tanh(self.ff2(z))
        t_interp = torch.sigmoid(self.time_a(z) * ts + self.time_b(z))
        return ff1 * (1.0 - t_interp) + t_interp * ff2


class Slow(nn.Module):
    """Fast units beside slow ones, of another width, and an output of its own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.context = nn.Linear(input_size, 4, bias=False)
        self.hidden = nn.Linear(input_size + hidden_size + 4, hidden_size)
        self.read = nn.Linear(hidden_size + 4, hidden_size)
        self.alpha = nn.Parameter(torch.tensor([0.4]))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, s = state
        alpha = torch.sigmoid(self.alpha)
        s = (1 - alpha) * self.context(x) + alpha * s
        h = torch.sigmoid(self.hidden(torch.cat([s, x, h], -1)))
        return self.read(torch.cat([h, s], -1)), (h, s)

    def init_hidden(self, batch_size: int) -> State:
        zeros = self.alpha.new_zeros
        return zeros(batch_size, self.hidden.out_features), zeros(batch_size, 4)


class Einsum(nn.Module):
    """Gates in a dimension of their own, products by einsum."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.W = nn.Parameter(torch.randn(input_size, 3, hidden_size) * 0.3)
        self.U = nn.Parameter(torch.randn(hidden_size, 3, hidden_size) * 0.3)
        self.b = nn.Parameter(torch.randn(3, hidden_size) * 0.3)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        if h is None:
            h = torch.zeros(len(x), self.hidden_size).to(x)
        gates = torch.einsum("bi,igh->bgh", x, self.W) + self.b
        gates = gates + torch.einsum("bi,igh->bgh", h, self.U)
        i, f, n = gates.unbind(1)
        i, f = torch.exp(i.clamp(max=2.0)), torch.sigmoid(f)
        return (f * h + i * torch.tanh(n)) / (1 + i)


class Oscillators(nn.Module):
    """Damped oscillators, whose position is computed with the new velocity."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.dt, self.gamma, self.epsilon = 0.05, 2.7, 4.7
        self.i2h = nn.Linear(input_size + 2 * hidden_size, hidden_size)

    def forward(self, x: Tensor, state: State) -> State:
        hy, hz = state
        force = torch.tanh(self.i2h(torch.cat((x, hz, hy), 1)))
        hz = hz + self.dt * (force - self.gamma * hy - self.epsilon * hz)
        hy = hy + self.dt * hz
        return hy, hz


class Mogrified(nn.Module):
    """Input and state gate each other before a cell of torch."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(input_size, hidden_size)
        self.q = nn.Linear(hidden_size, input_size)
        self.r = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: State) -> State:
        h, c = state
        for k in range(1, 4):
            if k % 2 == 0:
                h = 2 * torch.sigmoid(self.r(x)) * h
            else:
                x = 2 * torch.sigmoid(self.q(h)) * x
        result: State = self.lstm(x, (h, c))
        return result


#: The cells, with the widths of their states where they do not make them by themselves.
PAPER_CELLS: list[tuple[type[Any], tuple[int, ...] | None]] = [
    (TwoLinears, None),
    (OneLinear, None),
    (Matrices, (5,)),
    (Independent, (5,)),
    (Normalised, (5, 5)),
    (Peephole, (5, 5)),
    (Antisymmetric, (5,)),
    (Highway, (5,)),
    (ClosedForm, (5,)),
    (Slow, None),
    (Einsum, None),
    (Oscillators, (5, 5)),
    (Mogrified, (5, 5)),
]
