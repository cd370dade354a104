"""The published checks pass every cell of the package, and each finds the fault it is for."""

from __future__ import annotations

import ast
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import (
    BaseRecurrentCell,
    GRUCell,
    IntersectionRNNCell,
    LSTMCell,
    Recurrent,
    backend,
)
from torchrecurrent.testing import CellCheckError, check_cell, checks

from .broken import BROKEN, SoundCell

CHECKS = dict(checks())
FACTORIES: list[Any] = [
    SoundCell,
    partial(LSTMCell, proj_size=2),
    partial(GRUCell, recurrence="diagonal"),
    partial(GRUCell, integration="multiplicative", bias=False),
    partial(GRUCell, recurrent_bias=True),
    lambda input_size, hidden_size, **options: SoundCell(input_size, hidden_size, **options),
]


def test_every_cell_of_the_package_passes(cell_class: type[BaseRecurrentCell]) -> None:
    check_cell(cell_class)


@pytest.mark.parametrize("factory", FACTORIES, ids=str)
def test_a_factory_passes(factory: Any) -> None:
    check_cell(factory)


def test_other_sizes() -> None:
    check_cell(partial(GRUCell, num_heads=3), input_size=5, hidden_size=6)


@pytest.mark.parametrize("name", CHECKS)
def test_a_broken_cell_fails_one_check(name: str) -> None:
    cell = BROKEN[name]
    for other in CHECKS.keys() - {name}:
        CHECKS[other](cell)
    with pytest.raises(CellCheckError) as caught:
        CHECKS[name](cell)
    error = caught.value
    assert (error.check, error.cell) == (name, cell.__name__)
    assert str(error) == f"{cell.__name__} fails the check {name!r}: {error.finding}"


def test_check_cell_stops_at_the_first_that_fails() -> None:
    with pytest.raises(AssertionError, match="fails the check 'two_halves'"):
        check_cell(BROKEN["two_halves"])


def test_every_check_says_what_it_is_for() -> None:
    assert list(BROKEN) == list(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())


def test_a_cell_that_raises_is_named_and_its_error_kept() -> None:
    class RaisingCell(SoundCell):
        """Fails at its first step."""

        def forward(self, input: Tensor, hx: Any = None, **_: Any) -> Any:
            raise RuntimeError("out of order")

    with pytest.raises(CellCheckError, match="it raised RuntimeError: out of order") as caught:
        check_cell(RaisingCell)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(CellCheckError, match="input_size == hidden_size is needed"):
        check_cell(IntersectionRNNCell, input_size=3)
    with pytest.raises(CellCheckError, match="BaseRecurrentCell as its base, got: GRUCell"):
        check_cell(lambda *sizes, **options: nn.GRUCell(*sizes, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (nn.LSTMCell, "cell should have BaseRecurrentCell as its base, got: LSTMCell"),
        (SoundCell(3, 4), "cell should be a class .* got: an instance of SoundCell"),
        ("LSTMCell", "cell should be a class of cells or a function that makes one, got: str"),
    ],
)
def test_what_is_no_cell_is_refused(cell: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_cell(cell)


def test_the_callers_settings_are_left_alone() -> None:
    before = torch.get_rng_state()
    with backend("c"):
        check_cell(SoundCell)
        with pytest.raises(CellCheckError):
            check_cell(BROKEN["kernel"])
        assert torch.equal(torch.get_rng_state(), before)
        layer = Recurrent(nn.GRUCell, 3, 4)  # which no kernel runs
        with pytest.raises(RuntimeError, match="backend='c' can't run"):
            layer(torch.zeros(2, 3))


def test_the_checks_need_torch_alone() -> None:
    folder = Path(torchrecurrent.__file__).parent / "testing"
    names = {
        name.partition(".")[0]
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and node.level == 0
            else []
        )
    }
    assert "torch" in names
    assert names - set(sys.stdlib_module_names) == {"torch"}
