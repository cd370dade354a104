"""What kernels are compiled anew for, and that none has to be while a CUDA graph is captured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import BR, GRU, LRU, LSTM, QRNN, RecurrentLayer, backend
from torchrecurrent.engine.gpu.emit import emit_triton
from torchrecurrent.engine.gpu.grid import Grid
from torchrecurrent.engine.gpu.text import is_anywhere

from .making import assert_same
from .test_engine import results
from .test_triton import DEVICE
from .test_triton_scan import plan_of


def off_by_one(tensor: Tensor) -> Tensor:
    """The same numbers, contiguous, but where no tensor of torch's own begins."""
    room = tensor.new_empty(tensor.numel() + 1)[1:].view(tensor.shape)
    assert room.data_ptr() % 16
    return room.copy_(tensor)


@pytest.mark.parametrize("lengths", [None, [3, 2]], ids=str)
@pytest.mark.parametrize("kind", [BR, GRU, LRU, QRNN], ids=lambda kind: kind.__name__)
def test_kernels_see_one_alignment(
    kind: type[RecurrentLayer], lengths: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the input, the states and the gradients, wherever the caller's begin."""
    layer: Any = kind(3, 5, device=DEVICE)
    input = torch.randn(3, 2, 3, device=DEVICE)
    call: dict[str, Any] = {} if lengths is None else {"lengths": lengths}
    expected = results(layer, input, "reference", **call)
    launch, seen = Grid.launch, list[str]()

    def recorded(
        self: Grid, name: str, tensors: Mapping[str, Tensor], *others: Any, **o: Any
    ) -> None:
        for spec in self._source.kernels[name]:
            for slot in spec.slots:
                if not is_anywhere(slot):
                    seen.append(slot)
                    assert tensors[slot].data_ptr() % 16 == 0, (name, slot)
        launch(self, name, tensors, *others, **o)

    monkeypatch.setattr(Grid, "launch", recorded)
    leaf = off_by_one(input).requires_grad_()
    widths = layer.cells[0].state_widths
    states = tuple(off_by_one(torch.zeros(1, 2, width, device=DEVICE)) for width in widths)
    with backend("triton"):
        output, _ = layer(leaf, states[0] if len(states) == 1 else states, **call)
    output.backward(off_by_one(torch.ones_like(output)))
    assert seen
    assert_same(output.detach(), expected[0], 1e-5)


def test_a_width_of_the_input_is_no_constant() -> None:
    for layer in (BR(3, 5), LSTM(3, 5), QRNN(3, 5)):
        for dtype in (torch.float32, torch.float64):
            text = emit_triton(plan_of(layer), dtype).text
            assert "    I,\n" in text
            assert "I: tl.constexpr" not in text


def test_where_rows_of_a_parameter_begin_compiles_nothing_anew() -> None:
    source = emit_triton(plan_of(BR(3, 5)), torch.float32)
    found = re.findall(r"_on_alignment=\[(.*)\]\)\ndef (\w+)\(", source.text)
    lists = {name: re.findall(r"\w+", names) for names, name in found}
    for spec in (spec for specs in source.kernels.values() for spec in specs):
        rows = [f"p{k}" for k, slot in enumerate(spec.slots) if slot.startswith("v.")]
        assert rows
        assert lists[spec.name] == [*rows, "sizes", "offsets"]


def test_nothing_is_loaded_during_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    capturing = False
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    plan = plan_of(BR(3, 5))
    grid = Grid(plan, emit_triton(plan, torch.float32))
    data: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0))
    grid._load(("forward_0", ("KEEP", True)), data)
    capturing = True
    grid._load(("forward_0", ("KEEP", True)), data)
    other: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", 1))
    for kernel, where in (
        (("forward_0", ("KEEP", False)), data),
        (("forward_0", ("KEEP", True)), other),
    ):
        with pytest.raises(RuntimeError, match="call the layer once before in the same way"):
            grid._load(kernel, where)


def test_what_has_run_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call again loads nothing; without gradients it is another kernel."""
    load, keys = Grid._load, list[tuple[object, ...]]()

    def recorded(self: Grid, kernel: tuple[object, ...], data: Tensor) -> None:
        keys.append(kernel)
        load(self, kernel, data)

    monkeypatch.setattr(Grid, "_load", recorded)
    layer, x = BR(3, 5, device=DEVICE), torch.randn(4, 2, 3, device=DEVICE)
    with backend("triton"):
        layer(x)
        first = {*keys}
        layer(x)
        assert {*keys} == first
        with torch.no_grad():
            layer(x)
        assert {*keys} != first
