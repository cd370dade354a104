"""What tests of kernels that prove themselves share: an empty cache, a trial, faults to plant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent.engine.gpu import grid as triton_grid
from torchrecurrent.engine.gpu.grid import Grid
from torchrecurrent.engine.gpu.kernel import TritonKernel
from torchrecurrent.engine.gpu.load import interpreted, load_text
from torchrecurrent.engine.program.form import Form
from torchrecurrent.engine.program.given import Given
from torchrecurrent.engine.run import choice, trial, trust
from torchrecurrent.engine.run.kernels import Fused, fused

__all__ = [
    "FORWARD",
    "HERE",
    "RAGGED",
    "TRAINING",
    "Mutation",
    "cache",
    "fault",
    "kernel_of",
    "launches",
    "plant",
    "swapped",
    "x",
]

if not interpreted():
    pytest.skip("faults are planted in the interpreter's text", allow_module_level=True)

HERE = torch.device("cpu")
FORWARD, TRAINING = Form(training=False), Form(training=True)
RAGGED = Form(True, ragged=True)
Mutation = Callable[[str], str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a process that knows no verdict; by default Triton's kernels run."""
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(trust.VARIABLE, raising=False)
    monkeypatch.setattr(trust, "_settled", {})
    monkeypatch.setattr(choice, "proves_itself", lambda device: True)
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
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mutation], list[str]]:
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

    return planted


def kernel_of(
    layer: Any, dtype: torch.dtype = torch.float32, gaps: bool = False
) -> tuple[Any, Fused, TritonKernel]:
    cell = layer.cells[0]
    found = fused(cell, Given(gaps))
    assert isinstance(found, Fused)
    found = found.by_triton()
    kernel = found.kernel(dtype, "cpu")
    assert isinstance(kernel, TritonKernel)
    return cell, found, kernel


def fault(layer: Any, form: Form, dtype: torch.dtype = torch.float32) -> str:
    return trial.fault(trial.Trial(*kernel_of(layer, dtype), dtype, HERE, form))


def x(layer: Any, steps: int = 6, count: int = 3) -> Tensor:
    return torch.randn(steps, count, layer.input_size)


def swapped(old: str, new: str, count: int = 0) -> Mutation:
    return lambda text: re.sub(old, new, text, count=count)
