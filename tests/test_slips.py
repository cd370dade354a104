"""Slips that a call invites: each is answered by what was meant, for every cell and layer."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import torchrecurrent
from torchrecurrent import (
    BaseRecurrentCell,
    FastSlow,
    GRUCell,
    LSTMCell,
    Multiplicative,
    Recurrent,
    RecurrentLayer,
    cells,
    nBRCell,
)
from torchrecurrent.declaration.options import LAYER_OPTIONS

from .making import HIDDEN, make


def message(kind: type[Exception], call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The error with which a call is refused."""
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return str(caught.value)


def import_name(name: str) -> None:
    exec(f"from torchrecurrent import {name}")


#: Where a cell is due, by what the argument is called there.
DUE: dict[str, Callable[[Any], Any]] = {
    "cell": lambda given: Recurrent(given, HIDDEN, HIDDEN),
    "cell of a list": lambda given: Recurrent([GRUCell, given], HIDDEN, HIDDEN),
    "cell of a pair": lambda given: Recurrent([(given, given)], 4, 4, bidirectional=True),
    "cell of Multiplicative": lambda given: Multiplicative(given, HIDDEN, HIDDEN),
    "fast": lambda given: FastSlow(given, GRUCell, HIDDEN, HIDDEN),
    "fast of a list": lambda given: FastSlow([GRUCell, given], GRUCell, HIDDEN, HIDDEN),
    "slow": lambda given: FastSlow(GRUCell, given, HIDDEN, HIDDEN),
    "cell of a class": lambda given: type("Layer", (RecurrentLayer,), {}, cell=given),
}
A_LAYER = "is a layer, which runs over a whole sequence by itself; expected"


def layers_for(due: str, kind: Callable[..., nn.Module]) -> list[Any]:
    """The forms in which a cell can be given: the class, an instance, a factory."""
    return [kind] if due == "cell of a class" else [kind, kind(4, 4), partial(kind, num_layers=2)]


@pytest.mark.parametrize("due", DUE)
def test_a_layer_where_a_cell_is_due(layer_class: type[RecurrentLayer], due: str) -> None:
    argument, cell = due.split()[0], layer_class.cell.__name__
    for given in layers_for(due, layer_class):
        found = message(TypeError, DUE[due], given)
        assert found == f"{argument}: {layer_class.__name__} {A_LAYER} its cell, {cell}"


@pytest.mark.parametrize("due", DUE)
@pytest.mark.parametrize("theirs", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_layer_of_torch_where_a_cell_is_due(theirs: type[nn.RNNBase], due: str) -> None:
    subclass: Any = type(f"My{theirs.__name__}", (theirs,), {})
    cell = f"{theirs.__name__}Cell"
    assert hasattr(torchrecurrent, cell)
    assert hasattr(nn, cell)
    for kind in (theirs, subclass):
        for given in layers_for(due, kind):
            found = message(TypeError, DUE[due], given)
            wanted = f"a cell: {cell} of this package, or torch.nn.{cell}"
            assert found == f"{due.split()[0]}: {kind.__name__} {A_LAYER} {wanted}"


def test_a_layer_of_any_cell_where_a_cell_is_due() -> None:
    for given in (Recurrent, Recurrent(GRUCell, 3, 4)):
        found = message(TypeError, Recurrent, given, 3, 4)
        assert found.startswith(f"cell: Recurrent {A_LAYER} a cell, by itself or in a list")


def test_a_cell_by_its_name(layer_class: type[RecurrentLayer]) -> None:
    cell = layer_class.cell
    for name in (layer_class.__name__, cell.__name__, cell.__name__.upper()):
        torch.manual_seed(0)
        by_name = Recurrent(name, HIDDEN, HIDDEN, 2, bias=False)
        torch.manual_seed(0)
        by_class = Recurrent(cell, HIDDEN, HIDDEN, 2, bias=False)
        assert [type(each) for each in by_name.cells] == [cell, cell]
        for key, value in by_class.state_dict().items():
            assert torch.equal(by_name.state_dict()[key], value)


def test_names_wherever_a_cell_is_due() -> None:
    assert [type(each) for each in Recurrent(["nBR", "LSTM"], 3, 16).cells] == [nBRCell, LSTMCell]
    both = Recurrent([("LSTM", "GRUCell")], 3, 16, bidirectional=True)
    assert [type(each) for each in both.cells] == [LSTMCell, GRUCell]
    assert type(Multiplicative("gru", 3, 16).cell) is GRUCell
    fast = FastSlow("LSTM", "GRU", 3, 16)
    assert [type(each) for each in (*fast.fast, fast.slow)] == [LSTMCell, LSTMCell, GRUCell]
    assert len(FastSlow(["LSTM"] * 3, "GRU", 3, 16).fast) == 3


def test_an_unknown_name(layer_class: type[RecurrentLayer]) -> None:
    slip = f"{layer_class.__name__}y"
    found, _, near = message(ValueError, Recurrent, slip, 3, 16).partition("; close to it: ")
    assert found == f"cell should be one of the names that list_cells() returns, got {slip!r}"
    assert layer_class.cell.__name__ in near.split(", ")


def test_what_is_nothing_like_a_cell() -> None:
    assert message(ValueError, Recurrent, "transformer", 3, 16).endswith(", got 'transformer'")
    wrong: tuple[Any, ...] = (3, None, {})
    for given in wrong:
        found = message(TypeError, FastSlow, GRUCell, given, 3, 16)
        assert found == (
            "slow should be a class of cells, the name of one, a factory or a module, "
            f"got: {type(given).__name__}"
        )
    found = message(TypeError, Multiplicative, GRUCell(3, 4), 3, 4)
    assert found == "cell should make cells of torchrecurrent, got: an instance of GRUCell"


def slips(name: str, known: set[str]) -> set[str]:
    """The name without its underscores, without its last letter and without its third."""
    made = {name.replace("_", ""), name[:-1], name[:2] + name[3:]}
    return {each for each in made - known if len(each) > 3}


def test_an_unknown_option_of_a_layer(layer_class: type[RecurrentLayer]) -> None:
    by_name = set(inspect.signature(layer_class).parameters)
    by_cell = set(inspect.signature(layer_class.cell).parameters) | {*LAYER_OPTIONS}
    assert by_cell <= by_name
    layers: dict[str, tuple[Any, set[str]]] = {
        layer_class.__name__: (layer_class, by_name),
        "Recurrent": (partial(Recurrent, layer_class.cell), by_cell),
    }
    for name, (layer, known) in layers.items():
        for option in sorted(known):
            for slip in slips(option, by_name):
                found = message(TypeError, layer, HIDDEN, HIDDEN, **{slip: True})
                begin = f"{name}() got an unexpected keyword argument {slip!r}"
                assert found.startswith(f"{begin} (did you mean {option!r}?); ")


def test_an_unknown_option_of_a_cell(cell_class: type[BaseRecurrentCell]) -> None:
    known = set(inspect.signature(cell_class).parameters)
    begin = f"{cell_class.__name__}() got an unexpected keyword argument"
    for option in sorted(known):
        for slip in slips(option, known | {*LAYER_OPTIONS}):
            found = message(TypeError, cell_class, HIDDEN, HIDDEN, **{slip: True})
            assert found.startswith(f"{begin} {slip!r} (did you mean {option!r}?); expected one")
    for option in LAYER_OPTIONS:
        for slip in {option} | slips(option, known):
            found = message(TypeError, cell_class, HIDDEN, HIDDEN, **{slip: True})
            assert found.startswith(f"{begin} {slip!r} ({option!r} is an option of a layer, not")


def test_the_options_of_a_layer_are_those_that_a_cell_has_not() -> None:
    layer, cell = (set(inspect.signature(each).parameters) for each in (Recurrent, GRUCell))
    assert layer - cell - {"cell", "cell_options", "proj_size"} == {*LAYER_OPTIONS}


def test_an_option_that_is_like_none() -> None:
    slip: dict[str, Any] = {"temperature": 1.0}
    found = message(TypeError, Recurrent, GRUCell, 3, 4, **slip)
    assert "unexpected keyword argument 'temperature'; GRUCell takes input_size, " in found
    found = message(TypeError, GRUCell, 3, 4, **slip)
    assert "unexpected keyword argument 'temperature'; expected one of input_size, " in found


def test_options_of_a_layer_by_position(layer_class: type[RecurrentLayer]) -> None:
    name = layer_class.__name__
    said = "pass the others by name, since published packages disagree on their order: bias=..."
    found = message(TypeError, layer_class, 4, 4, 2, True)
    taken = "input_size, hidden_size, num_layers"
    assert found == f"{name}() takes at most 3 arguments by position ({taken}), got 4; {said}"
    found = message(TypeError, Recurrent, layer_class.cell, 4, 4, 2, True, True)
    begin = f"Recurrent() takes at most 4 arguments by position (cell, {taken}), got 6; "
    assert found == f"{begin}{said}, batch_first=..."
    found = message(TypeError, layer_class, 4, num_layers=2)
    assert found == f"{name}(): missing a required argument: 'hidden_size'"
    assert layer_class(4, 4, 2).num_layers == 2


def test_options_of_a_cell_by_position(cell_class: type[BaseRecurrentCell]) -> None:
    found = message(TypeError, cell_class, 4, 4, True, False)
    assert found == (
        f"{cell_class.__name__}() takes at most 3 arguments by position (input_size, hidden_size, "
        "bias), got 4; pass the others by name: recurrent_bias=..."
    )


NO_TENSORS: dict[str, tuple[Any, str]] = {
    "None": (None, "None"),
    "list": ([[0.0] * 4] * 2, "list; torch.as_tensor(input) makes one of it"),
    "list of tensors": ([torch.ones(4)], "list of Tensors; torch.stack(input) makes one of them"),
    "array": (np.zeros((2, 4)), "ndarray; torch.as_tensor(input) makes one of it"),
    "number": (1.0, "float; torch.as_tensor(input) makes one of it"),
    "text": ("input", "str"),
}


@pytest.mark.parametrize("kind", NO_TENSORS)
def test_an_input_of_a_layer_that_is_no_tensor(
    layer_class: type[RecurrentLayer], kind: str
) -> None:
    layer = make(layer_class)
    given, said = NO_TENSORS[kind]
    for call in (layer, layer.explain, partial(layer, lengths=[2])):
        found = message(TypeError, call, given)
        begin = f"{layer_class.__name__}: input should be a Tensor or a PackedSequence"
        assert found == f"{begin}, got: {said}"


@pytest.mark.parametrize("kind", NO_TENSORS)
def test_an_input_of_a_cell_that_is_no_tensor(
    cell_class: type[BaseRecurrentCell], kind: str
) -> None:
    given, said = NO_TENSORS[kind]
    found = message(TypeError, make(cell_class), given)
    assert found == f"{cell_class.__name__}: input should be a Tensor, got: {said}"


def test_an_input_of_a_wrapper_that_is_no_tensor() -> None:
    for cell in (Multiplicative(GRUCell, 3, 4), FastSlow(GRUCell, GRUCell, 3, 4)):
        found = message(TypeError, cell, None)
        assert found == f"{type(cell).__name__}: input should be a Tensor, got: None"
    packed = pack_sequence([torch.zeros(2, 3)])
    found = message(TypeError, GRUCell(3, 4), packed)
    assert found == "GRUCell: input should be a Tensor, got: PackedSequence"


def test_a_name_with_a_c_too_many(layer_class: type[RecurrentLayer]) -> None:
    name = layer_class.__name__
    found = message(ImportError, import_name, f"{name}C")
    hint = f"; did you mean {name!r}?"
    assert found == f"cannot import name '{name}C' from 'torchrecurrent'{hint}"
    found = message(AttributeError, getattr, torchrecurrent, f"{name}C")
    assert found == f"module 'torchrecurrent' has no attribute '{name}C'{hint}"
    assert not hasattr(torchrecurrent, f"{name}C")
    found = message(ImportError, import_name, f"{name}CCell")
    assert found.endswith(f"; did you mean '{name}Cell'?")


def test_a_name_that_is_not_there() -> None:
    for slip, name in {"brc": "BR", "Recurent": "Recurrent", "lstm": "LSTM", "nbr": "nBR"}.items():
        assert message(ImportError, import_name, slip).endswith(f"; did you mean {name!r}?")
    for slip in ("Transformer", "_LSTM"):
        assert "mean" not in message(ImportError, import_name, slip)
        found = message(AttributeError, getattr, torchrecurrent, slip)
        assert found == f"module 'torchrecurrent' has no attribute {slip!r}"


def test_modules_are_still_imported_from_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose name is like that of a class, and which is not loaded yet."""
    monkeypatch.delattr(torchrecurrent, "cell")
    from torchrecurrent import cell

    assert cell is importlib.import_module("torchrecurrent.cell")
    assert all(hasattr(torchrecurrent, name) for name in cells.__all__)
