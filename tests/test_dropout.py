"""Dropout of inputs, between layers and of recurrent weights, each as written out in torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrecurrent import (
    BR,
    GRU,
    LSTM,
    BaseRecurrentCell,
    GRUCell,
    Recurrent,
    RecurrentLayer,
    backend,
)
from torchrecurrent.catalog.listing import cells
from torchrecurrent.engine import Backend
from torchrecurrent.roles import RECURRENT

from .making import assert_same, gradients, make, tensors

F64 = torch.float64
T, N = 7, 4
LENGTHS = [7, 2, 5, 0]
CHOICES: list[Backend] = ["c", "reference"]
WITH_RECURRENT = [cell for cell in cells().values() if RECURRENT in make(cell).layout.stacks]


def seeded(layer: nn.Module, *args: Any, **call: Any) -> Any:
    torch.manual_seed(5)
    return layer(*args, **call)


def without(layer: Any, **options: Any) -> Any:
    """A copy of a layer with other options."""
    other = copy.deepcopy(layer)
    for name, value in options.items():
        setattr(other, name, value)
    return other


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("cell_class", WITH_RECURRENT, ids=lambda cell: cell.__name__)
def test_weight_dropout(cell_class: type[BaseRecurrentCell], choice: Backend) -> None:
    """A sequence has the same mask at all its steps; gradients are those of the masked weight."""
    cell = make(cell_class, weight_dropout=0.5)
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with backend(choice):
        output, state = seeded(layer, x)
        found = gradients(layer, output, state)
    plain: Any = without(cell, weight_dropout=0.0)
    torch.manual_seed(5)
    kernel = plain.recurrent_kernel()
    dropped = functional.dropout(kernel, 0.5)
    assert 0 < int((dropped == 0).sum()) < dropped.numel()

    class Masked(type(plain)):  # type: ignore[misc]
        def recurrent_kernel(self) -> Tensor:
            return super().recurrent_kernel() * mask  # type: ignore[no-any-return]

    mask = torch.where(kernel == 0, 0.0, dropped / kernel).detach()
    plain.__class__ = Masked
    expected = Recurrent(plain, cell.input_size, cell.hidden_size)
    with backend("reference"):
        theirs, last = expected(x)
        grads = gradients(expected, theirs, last)
    assert_same(output, theirs)
    assert_same(tensors_of(state), tensors_of(last))
    assert_same(list(found.values()), list(grads.values()))
    layer.eval()
    with backend(choice):
        assert_same(layer(x)[0], without(layer).eval()(x)[0], 0)
        assert_same(layer(x)[0], Recurrent(without(cell, weight_dropout=0.0), *sizes(cell))(x)[0])


def tensors_of(state: Any) -> list[Tensor]:
    return list(tensors(state))


def sizes(cell: Any) -> tuple[int, int]:
    return cell.input_size, cell.hidden_size


def test_weight_dropout_draws_anew_at_each_call_and_for_each_cell() -> None:
    layer = LSTM(3, 40, num_layers=2, bidirectional=True, weight_dropout=0.5)
    x = torch.randn(T, N, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert_same(seeded(layer, x), seeded(layer, x), 0)
    cells: Any = layer.cells
    first, second = (cell.effective_parameters()["weight_hh"] for cell in cells[:2])
    assert abs(float((first == 0).double().mean()) - 0.5) < 0.03  # of 6400; one deviation is .006
    assert not torch.equal(first == 0, second == 0)
    kept = first != 0
    assert_same(first[kept], 2 * cells[0].weight_hh[kept])


def test_weight_dropout_of_a_single_step() -> None:
    cell = make(GRUCell, weight_dropout=0.5)
    x, h = torch.randn(N, 3, dtype=F64), torch.randn(N, 4, dtype=F64)
    assert_same(seeded(cell, x, h), seeded(cell, x, h), 0)
    assert not torch.equal(cell(x, h), cell(x, h))
    assert_same(cell.eval()(x, h), without(cell, weight_dropout=0.0)(x, h))


def test_gradients_of_gradients_have_the_same_mask() -> None:
    layer = BR(3, 4, weight_dropout=0.5, dtype=F64)
    x = torch.randn(3, 2, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: seeded(layer, x)[0], (x,))


def test_weight_dropout_while_steps_are_computed_again() -> None:
    with pytest.raises(ValueError, match="checkpoint_every=3: a cell's weight_dropout draws a"):
        LSTM(3, 5, weight_dropout=0.5, checkpoint_every=3)


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_weight_dropout_out_of_range(value: float) -> None:
    with pytest.raises(ValueError, match=r"weight_dropout should be a number in range \[0, 1\]"):
        GRUCell(3, 5, weight_dropout=value)


def test_weight_dropout_without_a_recurrent_weight() -> None:
    lacking = [kind for kind in cells().values() if kind not in WITH_RECURRENT]
    assert lacking
    for kind in lacking:
        with pytest.raises(ValueError, match=f"{kind.__name__} has no weight_hh"):
            make(kind, weight_dropout=0.5)


def mask_of(values: Tensor, probability: float) -> Tensor:
    """What zeroes the elements of values at (N, width) at all steps."""
    return functional.dropout(values.new_ones(N, values.size(-1)), probability)


@pytest.mark.parametrize("choice", CHOICES)
def test_variational_dropout(layer_class: type[RecurrentLayer], choice: Backend) -> None:
    """The loop over layers, written out: input, then between the layers."""
    layer = make(layer_class, num_layers=2, input_dropout=0.3, dropout=0.5, variational=True)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    with backend(choice):
        output = seeded(layer, x)[0]
        torch.manual_seed(5)
        first = Recurrent(layer.cells[0], layer.input_size, layer.hidden_size)
        second = Recurrent(layer.cells[1], layer.cells[1].input_size, layer.hidden_size)
        passed = first(x * mask_of(x, 0.3))[0]
        expected = second(passed * mask_of(passed, 0.5))[0]
    assert_same(output, expected)
    assert_same(list(gradients(layer, output).values()), list(gradients(layer, expected).values()))
    layer.eval()
    bare = without(layer, input_dropout=0.0, dropout=0.0)
    assert_same(layer(x), bare(x), 0)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("form", ["lengths", "packed", "resets", "mask", "unbatched"])
def test_variational_masks_are_a_sequences_own(form: str, batch_first: bool) -> None:
    """However the sequences are given, each has its own mask, at all steps, in both directions."""
    layer = make(BR, bidirectional=True, input_dropout=0.5, variational=True)
    layer.batch_first = batch_first
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    call: dict[str, Any] = {}
    if form == "lengths":
        call = {"lengths": LENGTHS}
    elif form == "resets":
        call = {"resets": torch.rand(T, N) < 0.3}
    elif form == "mask":
        call = {"mask": torch.rand(T, N) < 0.7}
    if batch_first:
        call = {k: v.T if isinstance(v, Tensor) else v for k, v in call.items()}
    torch.manual_seed(5)
    count = 1 if form == "unbatched" else N
    mask = functional.dropout(torch.ones(count, layer.input_size, dtype=F64), 0.5)
    bare = without(layer, input_dropout=0.0)
    if form == "packed":
        lengths = torch.tensor([2, 7, 5, 1])
        given, other = (
            nn.utils.rnn.pack_padded_sequence(each, lengths, enforce_sorted=False)
            for each in (x, x * mask)
        )
        assert_same(seeded(layer, given)[0].data, bare(other)[0].data)
        return
    if form == "unbatched":
        x, mask = x[:, 0], mask[0]
    masked: Any = x * mask
    if batch_first and form != "unbatched":
        x, masked = x.transpose(0, 1), masked.transpose(0, 1)
    assert_same(seeded(layer, x, **call), bare(masked, **call))


def test_input_dropout_draws_anew_at_each_step_unless_variational() -> None:
    layer = GRU(40, 5, input_dropout=0.5)
    x = torch.randn(T, N, 40)
    torch.manual_seed(5)
    expected = without(layer, input_dropout=0.0)(functional.dropout(x, 0.5))
    assert_same(seeded(layer, x), expected)


def test_a_step_drops_its_input_out() -> None:
    layer = make(GRU, num_layers=2, input_dropout=0.5, dropout=0.5, variational=True)
    x = torch.randn(N, layer.input_size, dtype=F64)
    torch.manual_seed(5)
    expected = layer.step(x)
    assert_same(seeded(layer, x.unsqueeze(0))[0][0], expected[0])
    layer.eval()
    assert_same(layer.step(x)[0], layer(x.unsqueeze(0))[0][0])


@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.5, True, "0.5", None])
def test_probabilities(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} should be a number in range \[0, 1\]"):
        GRU(3, 5, num_layers=2, **{name: value})


def test_variational_without_dropout() -> None:
    with pytest.raises(ValueError, match="variational=True needs dropout or input_dropout"):
        GRU(3, 5, variational=True)
    with pytest.raises(TypeError, match="variational should be of type bool, got: int"):
        GRU(3, 5, input_dropout=0.5, variational=1)  # type: ignore[arg-type]


def test_repr() -> None:
    layer = GRU(3, 5, input_dropout=0.5, variational=True, weight_dropout=0.1)
    assert "input_dropout=0.5, variational=True, weight_dropout=0.1" in repr(layer)
    assert "dropout" not in repr(GRU(3, 5))


def test_compiled() -> None:
    """Traced, the masks are drawn as torch's compiled code draws them; here eagerly."""
    layer = make(LSTM, num_layers=2, dropout=0.5, variational=True, weight_dropout=0.5)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert_same(seeded(compiled, x), seeded(layer, x))
