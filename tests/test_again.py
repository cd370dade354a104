"""A step that is run as the one before it: the same numbers, and no change goes unseen."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrize

import torchrecurrent.cell
from torchrecurrent import BaseRecurrentCell, BRCell, CTRNNCell, LSTMCell, RNNCell, backend
from torchrecurrent.catalog.listing import cells
from torchrecurrent.engine import run_step

from .making import assert_same, make, states_for, tensors


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[BaseRecurrentCell]:
    """The cells whose steps were looked at anew, from now on."""
    found: list[BaseRecurrentCell] = []

    def counted(cell: BaseRecurrentCell, *others: Any) -> Any:
        found.append(cell)
        return run_step(cell, *others)

    monkeypatch.setattr(torchrecurrent.cell, "run_step", counted)
    return found


@pytest.mark.parametrize("cell_class", cells().values(), ids=lambda cell: cell.__name__)
@torch.no_grad()
def test_every_cell_has_the_same_numbers(
    cell_class: type[BaseRecurrentCell], long_way: list[Any]
) -> None:
    cell = make(cell_class)
    again = not cell.signature.has_delay and cell.uses_its_parameters
    for count in (1, 3):
        for _ in range(2):
            x, hx = (
                torch.randn(count, cell.input_size, dtype=torch.float64),
                states_for(cell, count),
            )
            long_way.clear()
            found = cell(x, hx)
            with backend("reference"):
                assert_same(list(tensors(found)), list(tensors(cell(x, hx))))
        assert len(long_way) == (1 if again else 2)  # the last one is the reference's


def lstm() -> Any:
    cell: Any = LSTMCell(3, 4)
    with torch.no_grad():
        cell(torch.randn(2, 3), (torch.randn(2, 4), torch.randn(2, 4)))
    return cell


def call(cell: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    dtype = next(cell.parameters()).dtype
    x, *states = (
        torch.randn(2, width, generator=generator).to(dtype)
        for width in (cell.input_size, *cell.state_widths)
    )
    return list(tensors(cell(x, tuple(states) if len(states) > 1 else states[0])))


def in_place(cell: Any) -> None:
    cell.weight_ih.mul_(2)


def other_memory(cell: Any) -> None:
    cell.weight_ih.data = torch.randn(16, 3)


def other_parameter(cell: Any) -> None:
    cell.weight_ih = nn.Parameter(torch.randn(16, 3))


def strided(cell: Any) -> None:
    cell.weight_ih.data = torch.randn(3, 16).T


def wider(cell: Any) -> None:
    cell.double()


def parametrized(cell: Any) -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    parametrize.register_parametrization(cell, "weight_ih", Doubled())


@pytest.mark.parametrize(
    "change", [in_place, other_memory, other_parameter, strided, wider, parametrized]
)
@torch.no_grad()
def test_parameters_that_change(change: Callable[[Any], None]) -> None:
    cell = lstm()
    before = call(cell)
    change(cell)
    found = call(cell)
    with backend("reference"):
        assert_same(found, call(cell), 1e-6)  # ten roundings of float32, at values up to 1
    assert not torch.equal(before[0], found[0].float()) or change is wider


@torch.no_grad()
def test_options_that_change() -> None:
    cell: Any = CTRNNCell(3, 4, dtype=torch.float64)
    seen = [call(cell), call(cell)]
    for name, value in (("dt", 0.03), ("nonlinearity", "sigmoid"), ("zoneout", 0.5)):
        setattr(cell, name, value)
        cell.eval()
        seen.append(call(cell))
        with backend("reference"):
            assert_same(seen[-1], call(cell))
    assert len({float(each[0].sum()) for each in seen}) == 4
    cell.train()
    assert not torch.equal(call(cell)[0], call(cell)[0])  # zoneout draws


@torch.no_grad()
def test_dropout_of_weights_draws_at_each_step() -> None:
    cell = lstm()
    cell.weight_dropout = 0.5
    assert not torch.equal(call(cell)[0], call(cell)[0])
    cell.eval()
    assert torch.equal(call(cell)[0], call(cell)[0])


def test_gradients_are_there_again() -> None:
    assert call(lstm())[0].requires_grad


@torch.no_grad()
def test_the_choice_of_a_path_counts(long_way: list[Any]) -> None:
    cell = lstm()
    long_way.clear()
    with backend("c"):
        call(cell)
    assert not long_way
    with backend("reference"):
        call(cell)
    assert len(long_way) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forward-mode AD's own code
@torch.no_grad()
def test_modes_of_torch(long_way: list[Any]) -> None:
    cell = lstm()
    long_way.clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert call(cell)[0].dtype == torch.float32
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert call(cell)[0].fake_mode is mode
    x, h = torch.randn(5, 2, 3), torch.randn(2, 4)
    torch.func.vmap(lambda row: cell(row, (h, h)))(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x[0], x[1])
        output = cell(dual, (h, h))[0]
        assert torch.autograd.forward_ad.unpack_dual(output).tangent is not None
    assert len(long_way) == 4
    others = {name: 2 * value for name, value in cell.state_dict().items()}
    found = torch.func.functional_call(cell, others, (x[0], (h, h)))
    assert not torch.equal(found[0], cell(x[0], (h, h))[0])


@pytest.mark.parametrize(
    ("input", "states"),
    [
        ((2, 5), [(2, 4), (2, 4)]),
        ((2, 3), [(2, 5), (2, 4)]),
        ((2, 3), [(3, 4), (3, 4)]),
        ((2, 3), [(2, 4)]),
        ((1, 2, 3), [(2, 4), (2, 4)]),
    ],
    ids=str,
)
@torch.no_grad()
def test_bad_input_is_the_same_error_as_at_first(input: Any, states: Any) -> None:
    x, hx = torch.randn(input), tuple(torch.randn(each) for each in states)
    messages = []
    for cell in (LSTMCell(3, 4), lstm()):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
            cell(x, hx)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@torch.no_grad()
def test_a_constrained_kernel_is_computed_at_each_step() -> None:
    class Halved(RNNCell):
        def recurrent_kernel(self) -> Tensor | None:
            self.asked = getattr(self, "asked", 0) + 1
            return self.get_parameter("weight_hh") / 2

    cell = Halved(3, 4)
    call(cell)
    call(cell)
    assert cell.asked == 2


@torch.no_grad()
def test_copies_remember_nothing_of_each_other() -> None:
    cell: Any = BRCell(3, 4)
    call(cell)
    for other in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert_same(call(other), call(cell), 0)
        other.weight_ih.mul_(2)
        assert not torch.equal(call(other)[0], call(cell)[0])
