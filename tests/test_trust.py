"""A kernel runs by default where it has proved itself; here the device is Triton's interpreter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import BR, LRU, LSTM, IndRNN, RecurrentLayer, backend, nBR
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.gpu import grid as triton_grid
from torchrecurrent.engine.gpu.grid import Grid
from torchrecurrent.engine.gpu.kernel import TritonKernel
from torchrecurrent.engine.gpu.load import interpreted, load_text
from torchrecurrent.engine.program.form import Form
from torchrecurrent.engine.run import dispatch, trial, trust
from torchrecurrent.engine.run.kernels import Fused, fused

if not interpreted():
    pytest.skip("faults are planted in the interpreter's text", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

HERE = torch.device("cpu")
FORWARD, TRAINING = Form(training=False), Form(training=True)
RAGGED, CHUNKS = Form(True, ragged=True), Form(True, chunks=True)
Mutation = Callable[[str], str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a process that knows no verdict; by default Triton's kernels run."""
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(trust.VARIABLE, raising=False)
    monkeypatch.setattr(trust, "_settled", {})
    monkeypatch.setattr(dispatch, "proves_itself", lambda device: True)
    return tmp_path


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that are launched from now on."""
    found: list[str] = []
    launch = Grid.launch

    def counted(self: Grid, name: str, *others: Any, **options: Any) -> None:
        found.append(name)
        launch(self, name, *others, **options)

    monkeypatch.setattr(Grid, "launch", counted)
    return found


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mutation], list[str]]]:
    """Change the text of all kernels that are loaded; the list has those that had the place."""

    def planted(change: Mutation) -> list[str]:
        changed: list[str] = []

        def load(text: str) -> Any:
            other = change(text)
            if other != text:
                changed.append(other)
            return load_text(other)

        monkeypatch.setattr(triton_grid, "load_text", load)
        return changed

    yield planted


def kernel_of(layer: Any, dtype: torch.dtype = torch.float32) -> tuple[Any, Fused, TritonKernel]:
    cell = layer.cells[0]
    found = fused(cell)
    assert isinstance(found, Fused)
    found = found.by_triton()
    kernel = found.kernel(dtype, "cpu")
    assert isinstance(kernel, TritonKernel)
    return cell, found, kernel


def fault(layer: Any, form: Form, dtype: torch.dtype = torch.float32) -> str:
    return trial.fault(*kernel_of(layer, dtype), dtype, HERE, form)


def x(layer: Any, steps: int = 6, count: int = 3) -> Tensor:
    return torch.randn(steps, count, layer.input_size)


def swapped(old: str, new: str, count: int = 0) -> Mutation:
    return lambda text: re.sub(old, new, text, count=count)


#: What is planted, in which cell, and the form that must find it. One layer has two tiles of units.
FAULTS: dict[str, tuple[Mutation, type[RecurrentLayer], int, Form]] = {
    "the state before is that after": (
        swapped(r"before = tl.maximum\(row - many, 0\)", "before = row"), BR, 5, TRAINING),
    "the first state is forgotten": (
        swapped(r"tl\.where\(t > 0, (.*), f\d+\)\n", r"\1\n"), BR, 5, TRAINING),
    "later tiles have the units of the first": (
        swapped(r"j = tl.program_id\(1\) \* BLOCK \+ ", "j = "), BR, 11, FORWARD),
    "later tiles have the sequences of the first": (
        swapped(r"n = \(tl.program_id\(0\) \* ROWS \+ ", "n = ("), nBR, 5, FORWARD),
    "the last unit is masked out": (
        swapped(r"\(j < w(\d)\)", r"(j < w\1 - 1)"), BR, 5, FORWARD),
    "a bias is missing": (
        swapped(r" \+ tl\.load\(p\d+ \+ j \+ 0 \* n, inside, other=0\.0\)\.to\(tl\.float32\)\n",
                "\n", 1), BR, 5, FORWARD),
    "ended sequences go on": (
        swapped(r"tl\.where\(active, (\S+), (s\d|g\d)\)", r"\1"), BR, 5, RAGGED),
    "a load runs ahead of its step": (
        swapped(r"x1 = tl\.load\((p\d) \+ \(row \+ n\)",
                r"x1 = tl.load(\1 + (row - (many if t >= 6 else 0) + n)"), BR, 5, TRAINING),
    "what enters a chunk lacks the vector": (
        swapped(r"(y0 = .*\* g0) \+ tl\.load\(.*\n", r"\1\n"), BR, 5, CHUNKS),
    "all chunks store the first one's sums": (
        swapped(r"tl\.store\((p\d+) \+ \(chunk \* many \+ n\)",
                r"tl.store(\1 + (0 * many + n)"), BR, 5, CHUNKS),
    "tanh is an approximation": (
        swapped(r"tr_tanh\((x\d+)\)", r"(tr_tanh(\1) * 1.0005)"), BR, 5, FORWARD),
    "sigmoid is wrong far out": (
        swapped(r"tr_sigmoid\((x\d+)\)", r"tl.where(\1 < -20, 1.0, tr_sigmoid(\1))"),
        BR, 5, FORWARD),
    "another column of Z": (swapped(r"\(1 \* w0\)", "(0)"), LSTM, 5, FORWARD),
    "another column of dZ": (
        swapped(r"tl\.store\(p4 \+ \(row \+ n\) \* \(3 \* w0\) \+ \(0\)",
                "tl.store(p4 + (row + n) * (3 * w0) + (1 * w0)"), BR, 5, TRAINING),
    "the last unit's neighbour is written": (
        swapped(r"\(j < w(\d)\)", r"(j < w\1 + 1)"), LSTM, 5, FORWARD),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_found(what: str, plant: Any) -> None:
    change, layer_class, width, form = FAULTS[what]
    changed = plant(change)
    assert fault(layer_class(3, width), form)
    assert changed


def test_kahans_sign_shows_in_long_sequences_only(
    plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At thirteen steps it is below rounding: what is not seen is said here."""
    assert plant(swapped(r"- e(\d)\b", r"+ e\1")) == []
    assert not fault(IndRNN(3, 5), TRAINING)
    monkeypatch.setattr(trial, "STEPS", 1000)
    monkeypatch.setattr(trial, "_DRAWS", 1)
    assert "gradient" in fault(IndRNN(3, 5), TRAINING)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("form", [FORWARD, TRAINING, RAGGED, CHUNKS], ids=str)
@pytest.mark.parametrize("layer_class", [BR, LSTM, LRU])
def test_a_right_kernel_passes(
    layer_class: type[RecurrentLayer], form: Form, dtype: torch.dtype
) -> None:
    assert fault(layer_class(3, 5), form, dtype) == ""


def test_auto_checks_once_and_takes_the_kernel(cache: Path, launches: list[str]) -> None:
    layer = BR(3, 5)
    data = x(layer)
    output = layer(data)[0]
    checked = len(launches)
    layer(data)
    assert 0 < len(launches) - checked < checked  # a call, where before a trial was, too
    assert "triton: one fused kernel runs" in layer.explain(data)
    with backend("reference"):
        torch.testing.assert_close(output, layer(data)[0])  # float32, a few roundings
    found = json.loads((cache / verdicts.NAME).read_text())
    forms = [each["about"]["form"] for each in found.values()]
    assert forms == ["training, equal lengths", "training, equal lengths, in chunks"]
    assert {each["fault"] for each in found.values()} == {""}
