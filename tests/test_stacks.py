"""What a layer does around its cells: first states, directions, what lies between layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from torchrecurrent import (
    BR,
    GRU,
    LSTM,
    IntersectionRNN,
    Recurrent,
    RecurrentLayer,
    backend,
    nBRCell,
)
from torchrecurrent.engine import Backend

from .making import assert_same, gradients, input_for, make, randomize, tensors

F64 = torch.float64
T, N = 7, 4
CHOICES: list[Backend] = ["c", "reference"]


def test_learned_first_states(layer_class: type[RecurrentLayer]) -> None:
    """They are what ``init_hidden`` gives, and are given in its place."""
    layer = make(layer_class, bidirectional=True, initial_state="learned")
    names = [name for name, _ in layer.named_parameters() if name.startswith("initial_")]
    assert len(names) == 2 * len(layer.cells[0].state_names)
    assert {name.rpartition("_l0")[2] for name in names} == {"", "_reverse"}
    x = input_for(layer, T, N)
    output, state = layer(x)
    given, same = layer(x, layer.init_hidden(N))
    assert_same(output, given)
    assert_same(state, same)
    found = gradients(layer, output, state)
    assert all(found[name].any() for name in names)
    assert_same(list(found.values()), list(gradients(layer, given, same).values()))


def test_learned_first_states_are_zero_at_first_and_saved() -> None:
    torch.manual_seed(0)
    layer = LSTM(3, 4, num_layers=2, initial_state="learned")
    torch.manual_seed(0)
    plain = LSTM(3, 4, num_layers=2)
    x = torch.randn(T, N, 3)
    assert_same(layer(x), plain(x))
    assert layer.initial_h_l1.shape == layer.initial_c_l0.shape == (4,)
    other = LSTM(3, 4, num_layers=2, initial_state="learned")
    other.load_state_dict(randomize(layer).state_dict())
    assert_same(other(x), layer(x))


def test_a_sequence_that_begins_anew_has_the_learned_state() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, initial_state="learned"))
    x, hx = torch.randn(T, N, 3, dtype=F64), tuple(torch.randn(1, N, 4, dtype=F64) for _ in "hc")
    resets = torch.zeros(T, N, dtype=torch.bool)
    resets[3, 1] = True
    output, _ = layer(x, hx, resets=resets)
    alone, _ = layer(x[3:, 1:2])
    assert_same(output[3:, 1:2], alone)
    output, _ = layer(x, resets=resets)
    assert_same(output[3:, 1:2], alone)
    assert_same(output[:, 0], layer(x)[0][:, 0])


def test_learned_first_states_of_cells_of_torch() -> None:
    layer = randomize(Recurrent(nn.LSTMCell, 3, 4, dtype=F64, initial_state="learned"))
    x = torch.randn(T, N, 3, dtype=F64)
    assert_same(layer(x), layer(x, layer.init_hidden(N)))
    lengths = [7, 0, 2, 1]
    assert_same(layer(x, lengths=lengths), layer(x, layer.init_hidden(N), lengths=lengths))

    class Unknown(nn.Module):
        def forward(self, input: Tensor, state: Tensor | None = None) -> Tensor:
            return input

    with pytest.raises(ValueError, match="initial_state='learned' needs cells that tell"):
        Recurrent(Unknown(), 3, 3, initial_state="learned")


@pytest.mark.parametrize("lengths", [None, [7, 2, 5, 0]], ids=str)
@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_directions_may_be_added(merge: Any, lengths: list[int] | None) -> None:
    """One layer is that of both directions side by side, added up."""
    layer = randomize(GRU(3, 4, bidirectional=True, merge=merge, dtype=F64))
    apart = GRU(3, 4, bidirectional=True, dtype=F64)
    apart.load_state_dict(layer.state_dict())
    x = torch.randn(T, N, 3, dtype=F64)
    output, state = layer(x, lengths=lengths)
    parts, same = apart(x, lengths=lengths)
    ahead, back = parts.split(4, -1)
    assert_same(output, (ahead + back) / (2 if merge == "mean" else 1))
    assert_same(state, same)
    assert layer.output_size == 4
    deep = GRU(3, 4, num_layers=3, bidirectional=True, merge=merge)
    assert deep.cells[2].input_size == 4


def by_hand(layer: Any, x: Tensor) -> Tensor:
    """A stack, one layer after the other."""
    passed, directions = x, layer.num_directions
    for k in range(layer.num_layers):
        read = passed
        if k and layer.layer_norm:
            norm = layer.norms[k - 1]
            read = layer_norm(passed, norm.normalized_shape, norm.weight, norm.bias)
        outputs = []
        for d in range(directions):
            one = Recurrent(layer.cells[k * directions + d], read.size(-1), 4)
            turned = read.flip(0) if d else read
            output = one(turned)[0]
            outputs.append(output.flip(0) if d else output)
        if layer.merge == "concat":
            output = torch.cat(outputs, -1)
        else:
            output = torch.stack(outputs).sum(0)
            output = output / directions if layer.merge == "mean" else output
        passed = passed + output if k and layer.residual else output
    return passed


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("merge", ["concat", "sum", "mean"])
@pytest.mark.parametrize("between", [{"residual": True}, {"layer_norm": True}, "both"], ids=str)
def test_what_lies_between_layers(between: Any, merge: Any, bidirectional: bool) -> None:
    options = {"residual": True, "layer_norm": True} if between == "both" else between
    layer = LSTM(3, 4, num_layers=3, dtype=F64, merge=merge, bidirectional=bidirectional, **options)
    randomize(layer)
    x = torch.randn(T, N, 3, dtype=F64)
    output, state = layer(x)
    assert_same(output, by_hand(layer, x))
    packed, same = layer(x, lengths=[T] * N)
    assert_same(packed, output)
    assert_same(same, state)
    masked, same = layer(x, mask=torch.ones(T, N, dtype=torch.bool))
    assert_same(masked, output)
    layer.return_sequences = False
    last = layer(x)[0]
    if not bidirectional:
        assert_same(last, output[-1])
    assert len(layer.norms) == (2 if layer.layer_norm else 0)


def test_a_residual_connection_joins_equal_widths() -> None:
    with pytest.raises(ValueError, match=r"residual=True adds .* layer 1 reads 4 values and has 5"):
        Recurrent([nBRCell(3, 4), nBRCell(4, 5)], 3, 4, residual=True)
    with pytest.raises(
        ValueError, match=r"merge='sum' needs directions of one width, got \[4, 5\]"
    ):
        Recurrent([(nBRCell(3, 4), nBRCell(3, 5))], 3, 4, bidirectional=True, merge="sum")


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("lengths", [None, [7, 2, 5, 0]], ids=str)
@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_steps_that_are_computed_again_change_nothing(
    every: int, lengths: list[int] | None, choice: Backend
) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": F64}
    layer = randomize(LSTM(3, 4, checkpoint_every=every, **options))
    plain = LSTM(3, 4, **options)
    plain.load_state_dict(layer.state_dict())
    found = []
    for each in (layer, plain):
        x = torch.randn(T, N, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
        with backend(choice):
            output, state = each(x.requires_grad_(), lengths=lengths)
            found.append(
                [output, *tensors(state), *gradients(each, output, state).values(), x.grad]
            )
    assert_same(found[0], found[1])


def test_cells_of_torch_are_computed_again() -> None:
    layer = randomize(Recurrent(nn.GRUCell, 3, 4, dtype=F64, checkpoint_every=2))
    x = torch.randn(T, N, 3, dtype=F64)
    output, state = layer(x)
    ours = gradients(layer, output, state)
    layer.checkpoint_every = 0
    assert_same(list(ours.values()), list(gradients(layer, *layer(x)).values()))


@pytest.mark.parametrize("lengths", [None, [7, 2, 5, 0]], ids=str)
def test_only_some_results_have_gradients(lengths: list[int] | None) -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, checkpoint_every=2))
    plain = LSTM(3, 4, dtype=F64)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(T, N, 3, dtype=F64)
    for part in (0, 1, 2):
        found = []
        for each in (layer, plain):
            output, (h, c) = each(x, lengths=lengths)
            found.append(list(gradients(each, (output, h, c)[part]).values()))
        assert_same(found[0], found[1])


def test_randomness_and_autocast_are_the_same_again() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(3, 4)
            self.seen: list[Tensor] = []

        def forward(self, input: Tensor, state: Tensor | None = None) -> Tensor:
            state = nn.functional.dropout(self.cell(input, state), 0.5)
            self.seen.append(state.detach().clone())
            return state

    cell = Dropping()
    layer = Recurrent(cell, 3, 4, checkpoint_every=2)
    hx = torch.zeros(1, N, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(torch.randn(6, N, 3), hx)
    before, cell.seen = cell.seen, []
    output.sum().backward()
    again = [cell.seen[k] for k in (4, 5, 2, 3, 0, 1)]  # the last piece comes first
    assert_same(before, again, 0.0)
    assert before[0].dtype == again[0].dtype


def test_little_is_kept_of_steps_that_are_computed_again() -> None:
    """What autograd holds: input, output and a few states, rather than Z of all steps."""
    layer = BR(8, 64, checkpoint_every=10)
    x = torch.randn(400, 4, 8)
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    sizes = []
    for every in (10, 0):
        layer.checkpoint_every = every
        held.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(x)[0].sum()
        sizes.append(sum(held.values()))
    # without it Z and the output, 4 rows of 64 a step; with it the input and 40 states
    assert sizes[0] < sizes[1] / 4


@pytest.mark.parametrize("given", [True, False], ids=["hx", "zeros"])
def test_a_step_is_a_sequence_of_one(layer_class: type[RecurrentLayer], given: bool) -> None:
    layer = make(layer_class, num_layers=2, initial_state="zeros" if given else "learned")
    x = torch.randn(3, N, layer.input_size, dtype=F64)
    expected, last = layer(x, layer.init_hidden(N) if given else None)
    state = layer.init_hidden(N) if given else None
    for t in range(3):
        output, state = layer.step(x[t], state)
        assert_same(output, expected[t])
    assert_same(state, last)
    one, state = layer.step(x[0, 0])
    expected, last = layer(x[:1, 0])
    assert_same(one, expected[0])
    assert_same(state, last)


def test_a_step_of_a_mixed_stack() -> None:
    between: dict[str, Any] = {"residual": True, "layer_norm": True, "dtype": F64}
    layer = randomize(Recurrent([nBRCell, nn.LSTMCell, nn.GRUCell], 4, 4, **between))
    x = torch.randn(3, N, 4, dtype=F64)
    expected, last = layer(x)
    state = None
    for t in range(3):
        output, state = layer.step(x[t], state)
        assert_same(output, expected[t])
    assert_same(state, last)


def test_what_has_no_step() -> None:
    with pytest.raises(ValueError, match="step: a bidirectional layer reads each sequence from"):
        LSTM(3, 4, bidirectional=True).step(torch.randn(2, 3))
    with pytest.raises(ValueError, match="Expected input to be 1D or 2D, got 3D"):
        LSTM(3, 4).step(torch.randn(1, 2, 3))


def test_the_options_are_printed() -> None:
    layer = LSTM(3, 4, num_layers=2, residual=True, merge="sum", initial_state="learned")
    assert "merge=sum, residual=True, initial_state=learned" in repr(layer)


ERRORS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "merge": ({"merge": "max"}, ValueError, "merge should be one of concat, sum, mean, got 'max'"),
    "first": ({"initial_state": 1}, ValueError, "initial_state should be one of zeros, learned"),
    "norm": ({"layer_norm": 1}, TypeError, "layer_norm should be of type bool, got: int"),
    "every": (
        {"checkpoint_every": -1},
        ValueError,
        "checkpoint_every must not be negative, got -1",
    ),
    "whole": ({"checkpoint_every": 1.5}, TypeError, "checkpoint_every should be of type int"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_errors(error: Any) -> None:
    options, kind, message = error
    with pytest.raises(kind, match=message):
        LSTM(3, 4, **options)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_width_for_each_layer(layer_class: type[RecurrentLayer], choice: Backend) -> None:
    """As the layers one after the other."""
    same = layer_class is IntersectionRNN  # its cell is as wide as what it reads
    layer = randomize(layer_class(6, [6, 6, 6] if same else [6, 4, 2], dtype=F64))
    assert layer.num_layers == 3
    x = torch.randn(T, N, 6, dtype=F64)
    with backend(choice):
        output, state = layer(x, layer.init_hidden(N))
        passed, rows = x, []
        cells: Any = layer.cells
        for cell in cells:
            passed, row = Recurrent(cell, cell.input_size, cell.hidden_size)(passed)
            rows.append(row)
    assert_same(output, passed)
    assert layer.output_size == passed.size(-1)
    # one state of all layers is a tuple where their widths differ
    found = sorted(each.norm() for each in tensors(state))
    if all(each.size(0) != 3 for each in tensors(state)):
        assert_same(torch.stack(found), torch.stack(sorted(r.norm() for r in tensors(rows))))
    again, _ = layer(x, state)
    assert again.shape == output.shape
    assert "6, [6, " in repr(layer)


def test_widths_of_other_cells_and_directions() -> None:
    layer = Recurrent(nn.GRUCell, 3, [5, 4], bidirectional=True)
    assert [cell.hidden_size for cell in layer.cells] == [5, 5, 4, 4]
    output, h_n = layer(torch.randn(T, N, 3))
    assert output.shape == (T, N, 8)
    assert [tuple(each.shape) for each in h_n] == [(N, 5), (N, 5), (N, 4), (N, 4)]
    mixed = Recurrent([LSTM.cell, nBRCell], 3, (5, 4))
    assert mixed(torch.randn(T, N, 3))[0].shape == (T, N, 4)


def test_widths_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="one entry for each of num_layers=3 layers, got 2"):
        GRU(3, [5, 4], num_layers=3)
    with pytest.raises(ValueError, match="hidden_size must be greater than zero, got 0"):
        GRU(3, [5, 0])
    with pytest.raises(TypeError, match=r"hidden_size should be of type int, got: float"):
        GRU(3, [5, 4.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="layer 1 reads 5 values and has 4"):
        GRU(3, [5, 4], residual=True)
    with pytest.raises(ValueError, match="expected a list with one entry for each of num_layers=2"):
        Recurrent([nBRCell] * 3, 3, [5, 4], num_layers=2)
    with pytest.raises(ValueError, match="greater than zero"):
        GRU(3, [])
