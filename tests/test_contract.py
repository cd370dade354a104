"""Guarantees of every cell, whatever its equations, besides :mod:`torchrecurrent.testing`.

That every cell passes the published checks is tested in ``test_testing.py``; here are options,
dtypes and uses that only cells of this package promise.
"""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, RecurrentLayer
from torchrecurrent.roles import INPUT
from torchrecurrent.testing.held import holding

from .making import HIDDEN, assert_same, fitting, gradients, input_for, make, states_for, tensors

#: Without any is torchrecurrent.testing's. "other" is the recurrence that is not the cell's own.
OPTIONS: list[dict[str, Any]] = [
    {"recurrence": "other"},
    {"recurrence": "dense", "num_heads": 2},
    {"integration": "multiplicative"},
    {"integration": "multiplicative", "bias": False, "recurrence": "diagonal"},
    {"integration": "layer_norm"},
    {"integration": "layer_norm", "bias": False, "recurrence": "diagonal"},
]


def make_with(cell_class: type[BaseRecurrentCell], options: dict[str, Any]) -> Any:
    """An instance, square if the options have no meaning for this cell at another shape."""
    options = fitting(cell_class, options)
    if options.get("recurrence") == "other":
        other = {"dense": "diagonal", "diagonal": "dense"}[cell_class.recurrence]
        options = options | {"recurrence": other}
    try:
        return make(cell_class, **options)
    except ValueError as error:
        if "joins a state of width" not in str(error) and "num_heads" not in str(error):
            raise
        square = cell_class(HIDDEN, HIDDEN, dtype=torch.float64, **options)
        assert isinstance(square, BaseRecurrentCell)
        return square


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_shapes(cell_class: type[BaseRecurrentCell], options: dict[str, Any]) -> None:
    cell = make_with(cell_class, options)
    for shape in ((), (5,), (0,)):
        hx = states_for(cell, *shape)
        result = cell(input_for(cell, *shape), hx)
        if cell.signature.has_output:
            output, result = result
            assert output.shape == (*shape, cell.output_size)
        assert [t.shape for t in tensors(result)] == [t.shape for t in tensors(hx)]
        assert all(t.dtype == torch.float64 for t in tensors(result))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_right(cell_class: type[BaseRecurrentCell], options: dict[str, Any]) -> None:
    cell = make_with(cell_class, options)
    names = [name for name, _ in cell.named_parameters()]
    input, states = input_for(cell, 2), list(tensors(states_for(cell, 2)))

    def step(*values: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, values[len(states) + 1 :], strict=True))
        hx = values[1] if len(states) == 1 else values[1 : len(states) + 1]
        return tuple(tensors(torch.func.functional_call(cell, parameters, (values[0], hx))))

    values = (input, *states, *cell.parameters())
    leaves = tuple(value.detach().clone().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(holding(step, leaves), leaves)


def test_either_bias_may_be_had_without_the_other(cell_class: type[BaseRecurrentCell]) -> None:
    assert not list(make(cell_class, bias=False).buffers())
    has_recurrent = "bias_hh" in make(cell_class, recurrent_bias=True).state_dict()
    only_input = make(cell_class, recurrent_bias=False).state_dict()
    only_recurrent = make(cell_class, bias=False, recurrent_bias=True).state_dict()
    has_input = INPUT in cell_class.signature.stacked()
    assert ("bias_ih" in only_input, "bias_hh" in only_input) == (has_input, False)
    assert ("bias_ih" in only_recurrent) is False
    assert ("bias_hh" in only_recurrent) is has_recurrent


def test_half_precision(cell_class: type[BaseRecurrentCell]) -> None:
    dtype = torch.bfloat16
    cell = make(cell_class, dtype=dtype)
    assert {parameter.dtype for parameter in cell.parameters()} == {dtype}
    assert {t.dtype for t in tensors(cell(input_for(cell, 2, dtype=dtype)))} == {dtype}


def test_device(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class, device="meta")
    assert {parameter.device.type for parameter in cell.parameters()} == {"meta"}
    result = cell(input_for(cell, 2).to("meta"))
    assert {t.device.type for t in tensors(result)} == {"meta"}
    assert_same(make(cell_class).to("meta").init_hidden(2), cell.init_hidden(2))


def test_repr_says_what_is_not_default(cell_class: type[BaseRecurrentCell]) -> None:
    by_default = {"frozen": cell_class.frozen}
    plain, changed = make(cell_class, **by_default), make(cell_class, bias=False, **by_default)
    sizes = f"{plain.input_size}, {plain.hidden_size}"
    assert repr(plain) == f"{cell_class.__name__}({sizes})"
    assert repr(changed) == f"{cell_class.__name__}({sizes}, bias=False)"


def test_compiles_whole(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class)
    input, hx = input_for(cell, 2), states_for(cell, 2)
    compiled: Any = torch.compile(cell, fullgraph=True, backend="aot_eager")
    assert_same(compiled(input, hx), cell(input, hx))
    assert_same(
        list(gradients(cell, compiled(input, hx)).values()),
        list(gradients(cell, cell(input, hx)).values()),
    )


def test_layer_pickles(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    input = input_for(layer, 3, 2)
    twin = pickle.loads(pickle.dumps(layer))
    assert_same(twin(input), layer(input), atol=0)


def test_layer_signature_names_every_option(layer_class: type[RecurrentLayer]) -> None:
    names = set(inspect.signature(layer_class).parameters)
    cell_names = set(inspect.signature(layer_class.cell).parameters)
    assert cell_names <= names
    assert {"num_layers", "batch_first", "dropout", "bidirectional", "return_sequences"} <= names


def test_every_option_of_its_own_is_explained(cell_class: type[BaseRecurrentCell]) -> None:
    own = inspect.signature(cell_class).parameters.keys() - BaseRecurrentCell.__annotations__.keys()
    explained = re.findall(r"^    (\w+): \S", inspect.getdoc(cell_class) or "", re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert own <= set(explained)


def test_docstring_states_source_and_initialisation(cell_class: type[BaseRecurrentCell]) -> None:
    text = inspect.getdoc(cell_class) or ""
    assert cell_class.citation
    assert f"[{cell_class.citation}]_" in text
    assert "Initialisation:" in text
    assert ".. math::" in text
