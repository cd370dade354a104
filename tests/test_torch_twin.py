"""A cell that torch.nn has runs by torch's own function where that is wanted: here on the CPU.

On a CUDA device it is cuDNN; the call is the same, with the same tensors.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from torchrecurrent import LSTM, BaseRecurrentCell, LSTMCell, RecurrentLayer, backend
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine.run import call, choice, dispatch
from torchrecurrent.engine.run import twin as twin_module
from torchrecurrent.interop.torch_twin import TorchTwin
from torchrecurrent.roles import Gate, State

from .making import assert_same, input_for, make, tensors
from .test_engine import build, results

#: Each layer of torch.nn that some cell declares.
TWINS = [(layer_of(cell), twin) for cell in cells().values() for twin in cell.torch_twins]
IDS = [twin.function for _, twin in TWINS]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"recurrent_bias": False},
    {"bias": False, "recurrent_bias": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "residual": True, "layer_norm": True, "batch_first": True},
    {"bidirectional": True, "merge": "sum", "return_sequences": False},
    {"proj_size": 2, "num_layers": 2, "bidirectional": True},
    {"proj_size": 2, "bias": False},
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions of torch that run cells from now on, on the CPU as on a GPU."""
    found: list[str] = []
    run = twin_module.run_twin

    def counted(twin: TorchTwin, *others: Any) -> Any:
        found.append(twin.function)
        return run(twin, *others)

    monkeypatch.setattr(call, "run_twin", counted)
    monkeypatch.setattr(dispatch, "takes_twins", lambda device: True)
    return found


def test_there_are_twins() -> None:
    assert sorted(IDS) == ["gru", "lstm", "rnn_relu", "rnn_tanh"]


def made(layer: type[RecurrentLayer], twin: TorchTwin, width: int = 5, **options: Any) -> Any:
    options.setdefault("dtype", torch.float64)
    return build(layer, width, **options, **twin.options)


def assert_agrees(layer: Any, input: Any, calls: list[str], count: int, **given: Any) -> None:
    expected = results(layer, input, "reference", **given)
    assert not calls
    found = results(layer, input, "auto", **given)
    assert len(calls) == count
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("layer_class", "twin", "options"),
    [
        (layer, twin, options)
        for layer, twin in TWINS
        for options in OPTIONS
        if twin.projection or "proj_size" not in options
    ],
    ids=lambda value: getattr(value, "function", None) or str(value),
)
@pytest.mark.parametrize("ragged", [False, True])
def test_it_computes_what_the_loop_does(
    layer_class: Any, twin: TorchTwin, options: dict[str, Any], ragged: bool, calls: list[str]
) -> None:
    layer = made(layer_class, twin, **options)
    shape = (4, 6) if layer.batch_first else (6, 4)
    given: dict[str, Any] = {"lengths": [3, 6, 0, 1]} if ragged else {}
    data = input_for(layer, *shape)
    hx = layer.init_hidden(4)
    states = [torch.randn_like(each) for each in tensors(hx)]
    given["hx"] = states[0] if isinstance(hx, Tensor) else tuple(states)
    assert_agrees(layer, data, calls, len(layer.cells), **given)
    assert set(calls) == {twin.function}


@pytest.mark.parametrize(("layer_class", "twin"), TWINS, ids=IDS)
def test_it_is_torchs_own_layer(layer_class: Any, twin: TorchTwin, calls: list[str]) -> None:
    """Bit for bit, with its parameters under their names."""
    layer = layer_class(3, 5, 2, bidirectional=True, **twin.options)
    kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
    theirs = kinds.get(twin.function, nn.RNN)(3, 5, 2, bidirectional=True, **twin.options)
    layer.load_state_dict(theirs.state_dict())
    data = torch.randn(6, 4, 3)
    assert torch.equal(layer(data)[0], theirs(data)[0])
    assert len(calls) == 4


def test_packed_sequences_masks_and_resets(calls: list[str]) -> None:
    layer = make(LSTM, num_layers=2)
    data = input_for(layer, 6, 3)
    packed = pack_padded_sequence(data, [2, 6, 4], enforce_sorted=False)
    with backend("reference"):
        expected = layer(packed)
    assert_same(layer(packed), expected)
    assert calls == ["lstm"] * 2
    marks = torch.rand(6, 3) < 0.3
    for name in ("mask", "resets"):
        with backend("reference"):
            expected = layer(data, **{name: marks})
        assert_same(layer(data, **{name: marks}), expected)
    assert calls == ["lstm"] * 6


def test_hooks_of_cells_see_what_they_do_elsewhere(calls: list[str]) -> None:
    layer, seen = LSTM(3, 5), []
    layer.cells[0].register_forward_hook(lambda cell, given, result: seen.append(result))
    output, _ = layer(torch.randn(6, 2, 3))
    assert calls == ["lstm"]
    assert seen[0][0] is output
    assert seen[0][1].c.shape == (2, 5)


def test_gradients_of_gradients(calls: list[str]) -> None:
    """Those that torch's function has: on the CPU all, with cuDNN none."""
    layer = make(LSTM)
    assert torch.autograd.gradgradcheck(
        lambda data: layer(data)[0], input_for(layer, 2, 2).requires_grad_()
    )
    assert calls


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_under_autocast(dtype: torch.dtype, calls: list[str]) -> None:
    """With tensors of its dtype, and the results in that of the input."""
    layer, data = LSTM(3, 5), torch.randn(6, 2, 3)
    with torch.autocast("cpu", dtype):
        assert f"torch.nn's own kernel (cuDNN) runs the whole sequence in {dtype}" in (
            layer.explain(data)
        )
        found = results(layer, data, "auto")
    assert calls == ["lstm"]
    assert {each.dtype for each in found} == {torch.float32}
    # three significant digits at most, a few roundings, at size one
    assert_same(found[:3], results(layer, data, "reference")[:3], 0.05)


class OtherCell(LSTMCell):
    """Another step than that of torch's layer."""

    @staticmethod
    def step(h: State, c: State, i: Gate, f: Gate, g: Gate, o: Gate) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return torch.sigmoid(o) * torch.tanh(c), torch.sigmoid(f) * c + torch.sigmoid(i) * g


class Constrained(LSTMCell):
    """The same step, with another matrix than that of its parameter."""

    def recurrent_kernel(self) -> Tensor | None:
        weight = self.get_parameter("weight_hh")
        return weight / 2


@pytest.mark.parametrize(
    "options",
    [{"recurrence": "diagonal"}, {"num_heads": 5}, {"integration": "layer_norm"},
     {"integration": "multiplicative"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(("layer_class", "twin"), TWINS, ids=IDS)
def test_options_that_torch_has_not(
    layer_class: Any, twin: TorchTwin, options: dict[str, Any], calls: list[str]
) -> None:
    layer = made(layer_class, twin, **options)
    assert ": c: one fused kernel" in layer.explain(input_for(layer, 6, 2))
    layer(input_for(layer, 6, 2))
    assert not calls


def test_another_nonlinearity(calls: list[str]) -> None:
    layer = layer_of(cells()["RNNCell"])(3, 5, nonlinearity="sigmoid")
    layer(torch.randn(6, 2, 3))
    assert not calls


def test_a_subclass_has_the_twin_with_the_step(calls: list[str]) -> None:
    assert LSTMCell.torch_twins
    assert OtherCell.torch_twins == ()
    assert Constrained.torch_twins == LSTMCell.torch_twins

    class Layer(RecurrentLayer, cell=Constrained): ...

    layer = make(Layer)
    assert_agrees(layer, input_for(layer, 6, 2), calls, 1)


def test_by_default_the_cpu_runs_our_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LSTM(3, 5)
    assert ": c: one fused kernel" in layer.explain(torch.randn(6, 2, 3))
    assert not choice.takes_twins(torch.device("cpu"))
    assert choice.takes_twins(torch.device("cuda"))
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)
    assert not choice.takes_twins(torch.device("cuda"))


def test_who_asks_for_a_path_has_it(calls: list[str]) -> None:
    layer = LSTM(3, 5)
    with backend("c"):
        layer(torch.randn(6, 2, 3))
    assert not calls


def test_a_step_and_a_compiled_sequence_do_without(calls: list[str]) -> None:
    torch.compiler.reset()
    layer = LSTM(3, 5)
    cell: Any = layer.cells[0]
    assert isinstance(cell, BaseRecurrentCell)
    with torch.no_grad():
        cell(torch.randn(2, 3))
    torch.compile(layer, backend="eager", fullgraph=True)(torch.randn(6, 2, 3))
    assert not calls
