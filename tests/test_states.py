"""A state that a caller hands in: ``None`` for zeros, and the forms that a layer returns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    BR,
    GRU,
    JANET,
    LSTM,
    QRNN,
    TGRU,
    TLSTM,
    BaseRecurrentCell,
    BRCell,
    FastSlow,
    GRUCell,
    LSTMCell,
    MCLSTMCell,
    Multiplicative,
    Recurrent,
    RecurrentLayer,
    RNNCell,
)

from .making import assert_same, gradients, input_for, make, randomize, states_for, tensors
from .test_padding import Leaky, Reader

I, H, T, N = 3, 4, 5, 2
F64 = torch.float64
WRAPPERS: list[Any] = [
    partial(Multiplicative, LSTMCell),
    partial(Multiplicative, MCLSTMCell),
    partial(FastSlow, RNNCell, GRUCell),
    partial(FastSlow, LSTMCell, RNNCell, slow_size=3),
]


def holes(state: Any) -> Iterator[tuple[Any, Any]]:
    """A state with ``None`` in each choice of its tensors, and the same with zeros there."""
    places = len(list(tensors(state)))
    for chosen in itertools.product([True, False], repeat=min(places, 5)):
        marks = itertools.chain(chosen, itertools.repeat(True))
        yield replaced(state, iter(chosen), None), replaced(state, marks, 0)


def replaced(state: Any, chosen: Iterator[bool], by: int | None) -> Any:
    if isinstance(state, Tensor):
        if not next(chosen, True):
            return state
        return None if by is None else torch.zeros_like(state)
    return type(state)(replaced(item, chosen, by) for item in state)


def random_state(layer: Any, batch_size: int | None) -> Any:
    """One that the layer may have, in the form in which it returns it."""
    state = layer.init_hidden(batch_size)
    return mapped(lambda each: torch.rand_like(each) + 0.1, state)


def mapped(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    if isinstance(state, Tensor):
        return function(state)
    return type(state)(mapped(function, item) for item in state)


@pytest.mark.parametrize("shape", [(), (N,)], ids=["unbatched", "batched"])
def test_none_in_the_state_of_a_cell_is_zeros(
    cell_class: type[BaseRecurrentCell], shape: tuple[int, ...]
) -> None:
    cell = make(cell_class)
    input, state = input_for(cell, *shape), states_for(cell, *shape)
    if isinstance(state, Tensor):
        with pytest.raises(TypeError, match=r"hx should be a Tensor \(\w+\), got: tuple of 1"):
            cell(input, (None,))
        return
    for given, meant in holes(state):
        found, expected = cell(input, given), cell(input, meant)
        assert_same(found, expected, 0)
        assert_same(gradients(cell, found).values(), gradients(cell, expected).values(), 0)
    assert_same(cell(input, [None] * len(state)), cell(input), 0)


@pytest.mark.parametrize("lengths", [None, [2, 5]], ids=["even", "ragged"])
def test_none_in_the_state_of_a_layer_is_zeros(
    layer_class: type[RecurrentLayer], lengths: list[int] | None
) -> None:
    layer = square(layer_class)
    input, state = input_for(layer, T, N), random_state(layer, N)
    for given, meant in holes(state):
        assert_same(layer(input, given, lengths=lengths), layer(input, meant, lengths=lengths), 0)
    nothing = None if isinstance(state, Tensor) else (None,) * len(state)
    assert_same(layer(input, nothing, lengths=lengths), layer(input, lengths=lengths), 0)
    assert_same(layer(input[:, 0], nothing), layer(input[:, 0]), 0)


def square(layer_class: type[RecurrentLayer]) -> Any:
    """Make two layers and directions, or one direction if input and state must be equally wide."""
    try:
        return make(layer_class, 2, bidirectional=True)
    except ValueError as error:
        assert "input_size == hidden_size is needed" in str(error)  # noqa: PT017
        return make(layer_class, 2)


@pytest.mark.parametrize("factory", WRAPPERS, ids=lambda factory: str(factory.args))
def test_none_in_the_state_of_a_cell_made_of_cells_is_zeros(factory: Any) -> None:
    cell = randomize(factory(I, H, dtype=F64))
    for shape in ((), (N,)):
        input = torch.randn(*shape, I, dtype=F64)
        state = mapped(torch.rand_like, cell.init_hidden(*shape))
        for given, meant in holes(state):
            assert_same(cell(input, given), cell(input, meant), 0)
    layer = randomize(Recurrent(factory, I, H, 2, bidirectional=True, dtype=F64))
    input, state = torch.randn(T, N, I, dtype=F64), random_state(layer, N)
    for given, meant in holes(state):
        assert_same(layer(input, given), layer(input, meant), 0)
    assert_same(layer.init_hidden(), [each[..., 0, :] for each in tensors(layer.init_hidden(N))])


@pytest.mark.parametrize("batch_size", [None, N])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_state_comes_back_in_the_form_in_which_it_is_taken(
    layer_class: type[RecurrentLayer],
    bidirectional: bool,
    num_layers: int,
    batch_size: int | None,
) -> None:
    try:
        layer = make(layer_class, num_layers, bidirectional=bidirectional)
    except ValueError:  # the second layer of a cell as wide as its input would be twice as wide
        assert num_layers == 2
        assert bidirectional
        return
    input = input_for(layer, *((T,) if batch_size is None else (T, batch_size)))
    _, state = layer(input)
    first = random_state(layer, batch_size)
    assert shapes(state) == shapes(first) == shapes(layer(input, first)[1])
    assert not any(isinstance(each, list) for each in (state, *state))
    # as flat lists, which are taken as well
    listed = list(state) if isinstance(state, tuple) else state
    assert_same(layer(input, listed), layer(input, state), 0)


def shapes(state: Any) -> Any:
    """The nesting of a state, with its shapes."""
    if isinstance(state, Tensor):
        return tuple(state.shape)
    return (type(state).__name__, [shapes(item) for item in state])


@pytest.mark.parametrize("kind", [TGRU, TLSTM, QRNN])
def test_a_state_as_wide_as_the_input_is_a_tuple(kind: type[RecurrentLayer]) -> None:
    for width, layers, bidirectional in itertools.product((I, H), (1, 2), (False, True)):
        layer = kind(width, H, layers, bidirectional=bidirectional)
        input = torch.randn(T, N, width)
        _, (first, x_prev) = layer(input)
        assert first.shape == (len(layer.cells), N, H)
        assert isinstance(x_prev, tuple)
        expected = [(N, cell.input_size) for cell in layer.cells]
        assert [tuple(row.shape) for row in x_prev] == expected
        again = layer(input, (first, x_prev))
        assert_same(layer(input, [first, list(x_prev)]), again, 0)
        if len(set(expected)) == 1:
            assert_same(layer(input, (first, torch.stack(x_prev))), again, 0)


def test_a_flat_list_of_states_is_taken_by_a_layer_of_one_cell(
    layer_class: type[RecurrentLayer],
) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)
    state = layer(input)[1]
    flat = tuple(tensors(state))
    assert_same(layer(input, flat[0] if len(flat) == 1 else flat), layer(input, state), 0)


def test_one_state_of_different_widths_is_a_tuple() -> None:
    stack = Recurrent([RNNCell(I, H), RNNCell(H, 2 * H)], I, H)
    input = torch.randn(T, N, I)
    _, state = stack(input)
    assert isinstance(state, tuple)
    assert shapes(state) == ("tuple", [(N, H), (N, 2 * H)])
    for given in (state, list(state)):
        assert_same(stack(input, given), stack(input, state), 0)
    assert_same(stack(input, (None, state[1])), stack(input, [0 * state[0], state[1]]), 0)
    assert_same(stack(input, (None, None)), stack(input), 0)


def test_cells_of_different_states_have_a_list() -> None:
    stack = randomize(Recurrent([LSTMCell, BRCell, MCLSTMCell], I, H, dtype=F64))
    input, state = torch.randn(T, N, I, dtype=F64), random_state(stack, N)
    assert isinstance(state, list)
    for given, meant in holes(state):
        assert_same(stack(input, given), stack(input, meant), 0)
    lstm, br, _ = state
    assert_same(stack(input, [None, br, None]), stack(input, [(None, None), br, (None, None)]), 0)
    assert_same(stack(input, (lstm, br, None)), stack(input, [lstm, br, None]), 0)
    with pytest.raises(TypeError, match=r"hx\[0\] should be a tuple of 2 Tensors \(h, c\), got: T"):
        stack(input, [br, br, None])
    with pytest.raises(RuntimeError, match=r"hx\[2\]\[1\]: Expected hidden size \(2, 4\)"):
        stack(input, [None, None, (None, torch.zeros(N, 9, dtype=F64))])


def test_modules_of_unknown_states_get_back_what_they_returned() -> None:
    input = torch.randn(T, N, I, dtype=F64)
    lstm = partial(LSTMCell, dtype=F64)
    stacks: list[Any] = [[Leaky, Reader], [Reader, lstm, Leaky], [Leaky, Leaky], [Reader, Reader]]
    for cells in stacks:
        stack = randomize(Recurrent(cells, I, H))
        output, _ = stack(input)
        first, middle = stack(input[:2])
        second, _ = stack(input[2:], middle)
        assert_same(torch.cat([first, second]), output)
    # where one is left out it starts as it does by itself: Reader's c is 1
    mixed = Recurrent([Reader, Leaky], I, H)
    state = mixed(input)[1]
    ones = (torch.zeros(N, H, dtype=F64), torch.ones(N, H, dtype=F64))
    assert_same(mixed(input, [None, state[1]]), mixed(input, [ones, state[1]]), 0)
    with pytest.raises(TypeError, match=r"hx\[1\]\[0\] should be a Tensor \(how wide zeros would"):
        Recurrent([Leaky], I, H)(input, (torch.zeros(1, N, H, dtype=F64), None))


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_none_in_the_state_of_a_cell_of_torch_is_zeros(kind: Any) -> None:
    layer = Recurrent(kind, I, H, 2)
    input, state = torch.randn(T, N, I), random_state(layer, N)
    for given, meant in holes(state):
        assert_same(layer(input, given), layer(input, meant), 0)


class Declared(Leaky):
    """A user's cell that says what its state is."""

    state_names = ("h",)
    state_widths = (H,)


def test_a_module_may_declare_its_states() -> None:
    layer: Any = Recurrent([Declared, Declared], I, H)
    input = torch.randn(T, N, I, dtype=F64)
    h = torch.randn(N, H, dtype=F64)
    assert_same(layer(input, (None, h)), layer(input, torch.stack([0 * h, h])), 0)
    assert layer.uses_double_state() is False
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(2, 2, 4\), got \[2, 2, 9\]"):
        layer(input, torch.zeros(2, N, 9, dtype=F64))


ZEROS = torch.zeros(2, N, H)
CASES: dict[str, tuple[Any, Any, str]] = {
    "a pair for each layer": (LSTM, [(ZEROS[0], ZEROS[0])] * 2, r"hx\[0\] should be a Tensor, got"),
    "a pair for one state": (
        JANET,
        (ZEROS, ZEROS),
        r"a Tensor \(h\), got: tuple of 2",
    ),
    "three for two": (LSTM, (None, None, None), r"a tuple of 2 Tensors \(h, c\), got: tuple of 3"),
    "a number": (GRU, 0.0, r"hx should be a Tensor \(h\), got: float"),
    "a row missing": (TGRU, (ZEROS, (ZEROS[0],)), r"hx\[1\] should be a tuple of 2 Tensors, got"),
    "a row of None alone": (TGRU, (ZEROS, (None,)), r"hx\[1\] should be a tuple of 2 Tensors, got"),
    "text in a tuple": (TGRU, (None, (None, "")), r"hx\[1\]\[1\] should be a Tensor, got: str"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_other_forms_are_refused(case: tuple[Any, Any, str]) -> None:
    kind, hx, message = case
    with pytest.raises(TypeError, match=message):
        kind(I, H, 2)(torch.zeros(T, N, I), hx)


def test_a_compiled_step_takes_none() -> None:
    cell = randomize(LSTMCell(I, H, dtype=F64))
    input, h = torch.randn(N, I, dtype=F64), torch.randn(N, H, dtype=F64)
    compiled: Any = torch.compile(cell, fullgraph=True, backend="eager")
    assert_same(compiled(input, (h, None)), cell(input, (h, torch.zeros_like(h))))
    layer = randomize(BR(I, H, 2, dtype=F64))
    sequence: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert_same(sequence(input.expand(T, N, I), None), layer(input.expand(T, N, I)))
