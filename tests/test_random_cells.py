"""Cells with random steps, options and sizes: the kernel computes what the reference loop does.

A failure shows the cell and its number. The same few are tried each time; others, such as those
from 1000 to 1299, by hand (a cache of their own keeps the user's free of their kernels):

    export TORCHRECURRENT_RANDOM_CELLS=1000:1300 TORCHRECURRENT_CACHE_DIR=/tmp/kernels
    python -m pytest tests/test_random_cells.py
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import Recurrent, backend
from torchrecurrent.engine import Backend
from torchrecurrent.engine.ir.operations import OPERATIONS

from .making import tensors
from .random_cells import random_cell
from .random_expressions import COVERED

#: Half a second each, most of it the compiler's.
FIRST, LAST = map(int, os.environ.get("TORCHRECURRENT_RANDOM_CELLS", "0:40").split(":"))
#: Of torch's own gradient of hardsigmoid, whose sixth is a float32 in any dtype.
COARSE = 1e-7


def test_every_operation_is_tried() -> None:
    assert set(OPERATIONS) <= COVERED


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_a_random_cell(seed: int) -> None:
    trial = Trial(seed)
    try:
        trial.check()
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"{trial}\n\n{error}") from error


class Trial:
    """A layer of random cells, and a call of it."""

    def __init__(self, seed: int) -> None:
        self.cell = random_cell(seed)
        rng = random.Random(f"a call of {seed}")
        torch.manual_seed(seed)
        self.layer = Recurrent(
            self.cell.kind,
            num_layers=rng.choice([1, 1, 2, 3]),
            bidirectional=rng.random() < 0.3,
            batch_first=rng.random() < 0.3,
            return_sequences=rng.random() < 0.8,
            dtype=torch.float64,
            **self.cell.options,
        )
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.normal_(0, 0.5 / self.layer.hidden_size**0.5)
        steps, batch = rng.choice([1, 2, 5, 8]), rng.choice([None, 1, 2, 3, 5])
        shape = [steps] if batch is None else [steps, batch]
        if self.layer.batch_first:
            shape.reverse()
        self.input = torch.randn(*shape, self.layer.input_size, dtype=torch.float64)
        self.lengths: list[int] | None = None
        if batch is not None and rng.random() < 0.3:
            self.lengths = [rng.randint(0, steps) for _ in range(batch)]
        #: The first state of the layer, and those of single steps of its first cell.
        self.hx: Any = None
        if rng.random() < 0.7:
            self.hx = mapped(self.layer.init_hidden(batch), torch.randn_like)
        self.rows = self.input.flatten(0, -2)
        self.row_states = mapped(self._first_cell().init_hidden(len(self.rows)), torch.randn_like)

    def __str__(self) -> str:
        state = "no first state" if self.hx is None else "a first state"
        call = f"input {tuple(self.input.shape)}, lengths {self.lengths}, {state}"
        return f"{self.cell.text}\n{self.layer}\n{call}"

    def _first_cell(self) -> Any:
        return self.layer.cells[0]

    def check(self) -> None:
        explanation = self.layer.explain(self.input, self.hx)
        assert ": reference: " not in explanation, explanation
        expected, found = self.results("reference"), self.results("c")
        largest = max(1.0, *(float(each.abs().max()) for each in expected.values()))
        # A thousand roundings at the size of the largest number that is summed up.
        tolerance = largest * (COARSE if self._has_hardsigmoid() else 1e-12)
        for name, value in expected.items():
            difference = float((found[name] - value).abs().max())
            assert difference <= tolerance, f"{name} differs by {difference}, not {tolerance}"

    def _has_hardsigmoid(self) -> bool:
        return "hardsigmoid" in self.cell.text or "hard_sigmoid" in self.cell.text

    def results(self, path: Backend) -> dict[str, Tensor]:
        """Whatever a path computes, with gradients and without, by name."""
        with backend(path):
            torch.manual_seed(5)  # of the masks
            results = self._gradients()
            with torch.no_grad():
                whole = tensors(self.layer(self.input, self.hx, lengths=self.lengths))
                step = tensors(self._first_cell()(self.rows, self.row_states))
                results |= {f"result {k} without gradients": each for k, each in enumerate(whole)}
                results |= {f"result {k} of a step": each for k, each in enumerate(step)}
        return results

    def _gradients(self) -> dict[str, Tensor]:
        """Output and states, and the gradients of input, first states and parameters."""
        hx = None if self.hx is None else mapped(self.hx, leaf)
        leaves = {"input": leaf(self.input), **dict(self.layer.named_parameters())}
        given = tensors(() if hx is None else hx)
        leaves |= {f"first state {k}": each for k, each in enumerate(given)}
        self.layer.zero_grad()
        found = list(tensors(self.layer(leaves["input"], hx, lengths=self.lengths)))
        generator = torch.Generator().manual_seed(5)
        weights = [torch.randn(each.shape, generator=generator, dtype=each.dtype) for each in found]
        total = torch.stack([(a * b).sum() for a, b in zip(found, weights, strict=True)]).sum()
        if total.requires_grad:  # if a step only hands on its first states, it may not
            total.backward()
        results = {f"result {k}": each.detach() for k, each in enumerate(found)}
        for name, value in leaves.items():
            # What a step does not read has no gradient in the loop, and zeros from the kernel.
            gradient = torch.zeros_like(value) if value.grad is None else value.grad.clone()
            results[f"gradient of {name}"] = gradient
        return results


def leaf(value: Tensor) -> Tensor:
    return value.clone().requires_grad_()


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same nesting of tuples and lists."""
    if isinstance(value, Tensor):
        return function(value)
    return type(value)(mapped(each, function) for each in value)
