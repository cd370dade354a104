"""The published checks pass every cell of the package, and each finds the fault it is for."""

from __future__ import annotations

import ast
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import (
    GRU,
    BaseRecurrentCell,
    GRUCell,
    IntersectionRNNCell,
    LSTMCell,
    Recurrent,
    backend,
)
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Gate, State
from torchrecurrent.testing import CellCheckError, check_cell, checks
from torchrecurrent.testing.step_checks import pickle_and_deepcopy

from .broken import BROKEN, SoundCell
from .making import tensors

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


@pytest.mark.parametrize(
    "factory", FACTORIES, ids=lambda made: getattr(made, "__name__", str(made))
)
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


def test_check_cell_says_which_check_fails() -> None:
    with pytest.raises(
        AssertionError, match=r"^TwoHalves fails the check 'two_halves': "
    ) as caught:
        check_cell(BROKEN["two_halves"])
    error = caught.value
    assert isinstance(error, CellCheckError)
    assert error.failures == (error,)


def test_check_cell_goes_on_after_a_check_that_fails() -> None:
    class ForgetfulCell(SoundCell):
        """Says that it starts from ones, and does not tell its options."""

        def init_hidden(self, batch_size: int | None = None) -> Any:
            return torch.ones_like(next(tensors(super().init_hidden(batch_size))))

        def extra_repr(self) -> str:
            return f"{self.input_size}, {self.hidden_size}"

    with pytest.raises(CellCheckError) as caught:
        check_cell(ForgetfulCell)
    first, second = caught.value.failures
    assert (first.check, second.check) == ("initial_state", "extra_repr")
    assert (caught.value.check, caught.value.finding) == (first.check, first.finding)
    assert caught.value.__cause__ is None
    assert str(caught.value) == (
        "ForgetfulCell fails 2 checks:\n"
        f"- 'initial_state': {first.finding}\n"
        f"- 'extra_repr': {second.finding}"
    )


def test_what_all_checks_find_is_said_once() -> None:
    class NeverCell(SoundCell):
        """Can't be made."""

        def check_options(self) -> None:
            raise ValueError("never")

    with pytest.raises(CellCheckError) as caught:
        check_cell(NeverCell)
    assert [each.check for each in caught.value.failures] == list(CHECKS)
    names = ", ".join(repr(name) for name in CHECKS)
    finding = "it raised ValueError: never"
    assert str(caught.value) == f"NeverCell fails {len(CHECKS)} checks:\n- {names}: {finding}"


def test_a_class_within_a_function_passes(cell_class: type[BaseRecurrentCell]) -> None:
    class LocalCell(cell_class):  # type: ignore[misc,valid-type]
        """Pickle can't find it by its name."""

    pickle_and_deepcopy(LocalCell)


def test_names_of_the_function_that_a_class_is_in() -> None:
    """Annotations are text here, and name what no module has."""
    from torchrecurrent.roles import Constant as Number
    from torchrecurrent.roles import VectorRole, Weight

    def filled(tensor: Tensor) -> Tensor:
        return nn.init.constant_(tensor, 0.5)

    Rate = Annotated[Tensor, VectorRole(Weight("weight_rate", None, "rate_"))]
    Fills: TypeAlias = Initializer

    class LocalCell(BaseRecurrentCell):
        alpha: float = 0.3
        rate_kernel_init: Fills = filled

        @staticmethod
        def step(h: State, n: Gate, alpha: Number, r: Rate) -> Tensor:
            return (1 - alpha) * h + alpha * torch.tanh(n + r * h)

    check_cell(LocalCell)
    assert LocalCell(3, 4, alpha=0.1).get_parameter("weight_rate").tolist() == [0.5] * 4
    elsewhere(LocalCell)
    with pytest.raises(NameError, match="'Nowhere' is not defined"):

        class LostCell(BaseRecurrentCell):
            alpha: Nowhere = 0.3  # type: ignore[name-defined]  # noqa: F821

            @staticmethod
            def step(h: State, n: Gate) -> Tensor:
                return n


def elsewhere(base: Any) -> None:
    """Extends a class where the names of its annotations are not known."""

    class ExtendedCell(base):  # type: ignore[misc]
        beta: float = 0.5

    assert (
        repr(ExtendedCell(3, 4, alpha=0.1, beta=0.2)) == "ExtendedCell(3, 4, alpha=0.1, beta=0.2)"
    )


def test_what_pickle_cannot_take_is_found_in_a_class_within_a_function() -> None:
    class LocalCell(BROKEN["pickle_and_deepcopy"]):  # type: ignore[misc,valid-type]
        """Holds a function that has no name."""

    with pytest.raises(CellCheckError, match=r"Can't (pickle|get) local object"):
        pickle_and_deepcopy(LocalCell)


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
        (GRU, "^cell: GRU is a layer, .* expected its cell, GRUCell$"),
        (partial(GRU, num_layers=2), "^cell: GRU is a layer, .* expected its cell, GRUCell$"),
        (nn.LSTM(3, 4), "^cell: LSTM is a layer, .* expected a cell: LSTMCell of this package, or"),
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
        layer = Recurrent(nn.GRUCell, 3, 4)
        layer.cells[0].register_forward_hook(lambda *_: None)  # so that no kernel runs it
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
