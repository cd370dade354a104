"""Cells that other packages have published: a kernel runs each, and computes what its loop does.

``make test-published`` installs the packages; where they are not, these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.peers import PUBLISHED, import_apart
from torchrecurrent import Recurrent

from .making import randomize
from .test_modules import HIDDEN, INPUT, check
from .test_published import CELLS as OF_0_2_5
from .test_published import DOUBLE

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # those of brc

#: Widths of the states of those that keep the input of the step before.
KEEPS_INPUT = {"TGRUCell": (HIDDEN, INPUT), "TLSTMCell": (HIDDEN, INPUT)}
#: torch rounds the sixth in the gradient of hardsigmoid to float32, so each of six steps is off by
#: 3e-8 of its gradient, and sums that cancel by more. Outputs and states have no such error.
HARD_SIGMOIDS = {"SGUCell": 1e-6, "DSGUCell": 1e-6}
#: Modules that take whole sequences, or no state.
NO_CELLS = {
    "torchrecurrent": {name.removesuffix("Cell") for name in OF_0_2_5},
    "brc": {"RNNLayer", "StackedRNN", "RNNModel"},
    "brc-pytorch": {"MultiLayerBase", "SelectItem"},
    "ur-lstm-torch": {"URLSTM"},
}


@dataclass(frozen=True)
class Cell:
    """A published cell, how many states it has, and with which options it is made."""

    package: str
    name: str
    states: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.package, self.name, *(f"{k}={v}" for k, v in self.options.items())])

    @property
    def input_size(self) -> int:
        return HIDDEN if self.name == "IntersectionRNNCell" else INPUT  # it adds input and state

    @property
    def widths(self) -> tuple[int, ...]:
        return KEEPS_INPUT.get(self.name, (HIDDEN,) * self.states)

    def make(self) -> nn.Module:
        kind = getattr(package(self.package), self.name)
        made: nn.Module = kind(self.input_size, HIDDEN, **self.options)
        return randomize(made)


@cache
def package(name: str) -> ModuleType:
    (peer,) = (each for each in PUBLISHED if each.package == name)
    if not peer.installed:
        pytest.skip(f"{name} {peer.version} is not installed: make test-published")
    return import_apart(peer)


def of_0_2_5() -> Iterator[Cell]:
    """Each cell as it is by default, and without biases."""
    for name, about in OF_0_2_5.items():
        states = 1 + (name.removesuffix("Cell") in DOUBLE)
        biases = [each for each in about["keywords"] if each.endswith("bias")]
        yield Cell("torchrecurrent", name, states)
        yield Cell("torchrecurrent", name, states, dict.fromkeys(biases, False))


CELLS = [
    *of_0_2_5(),
    Cell("brc", "BRC"),
    Cell("brc", "BRC", 1, {"bias": False}),
    Cell("brc", "NBRC"),  # its constructor fails without a bias
    Cell("brc", "LSTMCell", 2),
    Cell("brc", "LSTMCell", 2, {"bias": False}),
    Cell("brc", "GRUCell"),
    Cell("brc", "GRUCell", 1, {"bias": False}),
    Cell("brc-pytorch", "BistableRecurrentCell"),
    Cell("brc-pytorch", "NeuromodulatedBistableRecurrentCell"),
    Cell("brc-pytorch", "PeepholeLSTMCell", 2),
    Cell("ur-lstm-torch", "URLSTMCell", 2),
]


@pytest.mark.parametrize("name", NO_CELLS)
def test_these_are_all_cells_of_a_package(name: str) -> None:
    modules = {
        key
        for key, value in vars(package(name)).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    assert modules - NO_CELLS[name] == {cell.name for cell in CELLS if cell.package == name}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_kernel_runs_it(cell: Cell) -> None:
    rounding = HARD_SIGMOIDS.get(cell.name, 1e-9)
    module = cell.make()
    check(module, None, rounding, cell.input_size)
    check(module, cell.widths, rounding, cell.input_size)


def test_a_tensor_that_is_no_buffer_keeps_the_loop() -> None:
    """In the place of a bias brc-pytorch has zeros that ``state_dict`` and ``to`` leave out."""
    cell = Cell("brc-pytorch", "PeepholeLSTMCell", 2, {"bias": False})
    found = Recurrent([cell.make()], INPUT, HIDDEN).explain(torch.randn(6, 4, INPUT))
    assert "reference: its attribute 'bias' is a Tensor that is no parameter and no buffer" in found
