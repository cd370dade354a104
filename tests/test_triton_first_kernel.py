"""Whether Triton runs is asked with a first kernel, and only a lasting answer is kept."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

pytest.importorskip("triton", reason="there is no Triton for this platform")

import triton

from torchrecurrent import BR, backend
from torchrecurrent.engine.gpu import load as triton_load
from torchrecurrent.engine.gpu.driver import driver_version
from torchrecurrent.engine.gpu.load import refusal
from torchrecurrent.engine.program.given import NOTHING
from torchrecurrent.engine.run import dispatch

from .test_triton import DEVICE

HERE = torch.device(DEVICE)


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_load, "_shown", {})


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Every first kernel fails; the list grows with each."""
    tries: list[int] = []

    def load(text: str) -> Any:
        tries.append(1)
        raise error

    monkeypatch.setattr(triton_load, "load_text", load)
    return tries


class CompilationError(Exception):
    """Stands in for Triton's, which takes a syntax tree."""

    __module__ = "triton.compiler.errors"


PASSING = [torch.OutOfMemoryError("CUDA out of memory"), OSError("disk full"), RuntimeError("busy")]
LASTING = [
    CompilationError("at 1:1"),
    RuntimeError("Failed to find C compiler. Please specify via CC"),
    ImportError("libcuda.so cannot be found"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_asked_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        tries = fail_with(patch, error)
        for _ in range(2):
            assert "Triton can't run a kernel" in refusal(HERE)
        assert len(tries) == 2
    assert refusal(HERE) == ""


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_lasts_is_asked_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = fail_with(monkeypatch, error)
    for _ in range(2):
        assert "Triton can't run a kernel" in refusal(HERE)
    assert len(tries) == 1


def test_success_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(HERE) == ""
    tries = fail_with(monkeypatch, OSError())
    assert refusal(HERE) == ""
    assert not tries


def test_fake_tensors_first() -> None:
    """They say nothing of the machine, so that the next call asks it."""
    with FakeTensorMode():
        assert refusal(HERE) == "tensors have no memory here, they are FakeTensors"
    assert refusal(HERE) == ""


def test_a_call_with_fake_tensors_first() -> None:
    layer = BR(3, 5, device=DEVICE)
    x = torch.randn(4, 2, 3, device=DEVICE)
    with FakeTensorMode(allow_non_fake_inputs=True), backend("triton"):
        assert "reference: operations are being traced" in layer.explain(torch.randn(4, 2, 3))
    with backend("triton"):
        assert "triton: one fused kernel runs" in layer.explain(x)


def test_a_tracer_asks_with_real_tensors() -> None:
    """What it is told it keeps, so that it should be the truth."""
    cell: Any = BR(3, 5, device=DEVICE).cells[0]
    with FakeTensorMode(), backend("triton"):
        key = dispatch._constant_key(
            cell._number, torch.float32, torch.float32, HERE, True, *NOTHING
        )
    assert key is not None


def test_nothing_is_tried_during_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    capturing = True
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    with monkeypatch.context() as patch:
        tries = fail_with(patch, OSError())
        assert "can't run while a CUDA graph is captured" in refusal(torch.device("cuda"))
        assert not tries
    assert not triton_load._shown


@pytest.mark.parametrize(
    ("version", "is_old"),
    [("3.6.0", True), ("3.7.0", True), ("3.7.1", False), ("3.7.1+git12ab", False), ("4.0", False)],
)
def test_versions_that_miscompile_are_refused(
    version: str, is_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__=version))
    triton_load._missing.cache_clear()
    try:
        expected = f"Triton {version} is older than 3.7.1" if is_old else ""
        assert triton_load._missing() == expected
    finally:
        triton_load._missing.cache_clear()


def test_the_pinned_version_is_one_of_them() -> None:
    assert triton_load._missing() == "", triton.__version__


@pytest.mark.parametrize("works", [True, False])
def test_the_version_of_the_driver(works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(buffer: Any, size: Any) -> int:
        buffer.value = b"580.159.04"
        return 0 if works else 999

    library = SimpleNamespace(
        nvmlInit_v2=lambda: 0, nvmlShutdown=lambda: 0, nvmlSystemGetDriverVersion=version
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    driver_version.cache_clear()
    try:
        assert driver_version() == ("580.159.04" if works else "")
    finally:
        driver_version.cache_clear()
