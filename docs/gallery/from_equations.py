"""
A cell of your own, from equations to a kernel
==============================================

Write down how a state changes in one time step. The layer, its gradients and a compiled kernel
follow from it.
"""

# %%
# The equations of a memory that each unit loses at a rate of its own, with a gate that writes:
#
# .. math::
#    w_t &= \sigma(W_w x_t + U_w h_{t-1} + b_w) \\
#    n_t &= \tanh(W_n x_t + U_n h_{t-1} + b_n) \\
#    h_t &= \sigma(r + 4) \odot (1 - w_t) \odot h_{t-1} + w_t \odot n_t
#
# In Python they are one function. Each argument's annotation says what it is: a state, a gate with
# kernels for the input and for the state, a number for each unit.

from time import process_time
from typing import Literal

import matplotlib.pyplot as plt
import torch
from torch import Tensor, sigmoid, tanh

from torchrecurrent import BaseRecurrentCell, Recurrent, backend, equations
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Gate, State, Vector
from torchrecurrent.testing import check_cell

torch.manual_seed(0)


class FadingCell(BaseRecurrentCell):
    """A memory that each unit loses at a rate of its own, and a gate that writes to it."""

    vector_kernel_init: Initializer = "normal"

    @staticmethod
    def step(h: State, write: Gate, new: Gate, rate: Vector) -> Tensor:
        write = sigmoid(write)
        return sigmoid(rate + 4) * (1 - write) * h + write * tanh(new)


# %%
# The equations as the package read them from the step, and a check of everything that a user relies
# on: gradients, saving, padding, directions, the kernel.

print(*equations.latex(FadingCell), sep="\n")
check_cell(FadingCell)
print("check_cell: no complaints")

# %%
# The layer is called as :class:`torch.nn.LSTM` is, and says which path it takes.

layer = Recurrent(FadingCell, 2, 64)
print(layer)
print(layer.explain(torch.randn(50, 32, 2)))

# %%
# What the rates do: how much of a state is left when nothing is written, unit by unit.

with torch.no_grad():
    rates = dict(layer.named_parameters())["cells.0.weight_vh"]
    rate = sigmoid(rates + 4).flatten().sort().values[::9]
    left = rate ** torch.arange(200)[:, None]

figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.plot(left)
axis.set(xlabel="step", ylabel="part of the state that is left", ylim=(0, 1))

# %%
# The kernel beside the loop over ``step`` that defines it: the same numbers, in a fraction of the
# time. These are times of the machine that built this page, on one thread.


def seconds(length: int, path: Literal["reference", "c"]) -> float:
    """For a training step, the least of five."""
    input, times = torch.randn(length, 32, 2), []
    for _ in range(5):
        begin = process_time()
        with backend(path):
            layer(input)[0].sum().backward()
        times.append(process_time() - begin)
    return min(times)


lengths = [10, 30, 100, 300]
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
paths: dict[Literal["reference", "c"], str] = {"reference": "loop over step", "c": "kernel"}
for path, name in paths.items():
    axis.loglog(lengths, [1000 * seconds(each, path) for each in lengths], "o-", label=name)
axis.set(xlabel="T, time steps", ylabel="training step, ms")
axis.legend()

input = torch.randn(50, 32, 2)
with backend("reference"):
    expected, _ = layer(input)
print(f"largest difference: {(layer(input)[0] - expected).abs().max():.1e}")
plt.show()
