"""A kernel runs by default where it has proved itself; here the device is Triton's interpreter."""

# ruff: noqa: F811 (fixtures are imported, and then asked for by their names)

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from torchrecurrent import BR, LSTM, MGU, backend
from torchrecurrent.cli import _selfcheck, doctor, main
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.gpu import kernel as triton_kernel
from torchrecurrent.engine.program.form import Form
from torchrecurrent.engine.run import trial, trust

from .trying import (  # noqa: F401
    FORWARD,
    TRAINING,
    cache,
    kernel_of,
    launches,
    plant,
    swapped,
    x,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


def test_the_file_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "_MOST", 2)
    for name in "abac":
        verdicts.keep(name, verdicts.Verdict("", {"name": name}))
    assert list(verdicts.every()) == ["a", "c"]  # the oldest goes


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
    assert forms_in(cache) == ["training, equal lengths", "training, equal lengths, in chunks"]
    assert {each["fault"] for each in found.values()} == {""}


def forms_in(folder: Path) -> list[str]:
    """Those of which the file has verdicts."""
    found = json.loads((folder / verdicts.NAME).read_text())
    return [each["about"]["form"] for each in found.values()]


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Form]:
    """The forms that are tried out from now on."""
    found: list[Form] = []
    real = trial.fault

    def counted(tried: trial.Trial) -> str:
        found.append(tried.form)
        return real(tried)

    monkeypatch.setattr(trial, "fault", counted)
    return found


SPOILT = swapped(r"tr_tanh\((x\d+)\)", r"(tr_tanh(\1) * 1.0005)")


def test_a_wrong_kernel_is_never_launched_again(
    plant: Any, launches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(SPOILT)
    layer = BR(3, 5)
    data = x(layer)
    with pytest.warns(UserWarning, match=r"BRCell \(training, equal lengths\) are wrong on cpu"):
        output = layer(data)[0]
    with backend("reference"):
        assert torch.equal(output, layer(data)[0])
    assert launches
    launches.clear()
    layer(data)[0].sum().backward()
    monkeypatch.setattr(trust, "_settled", {})  # as in another process
    layer(data)[0].sum().backward()
    sentence = layer.explain(data)
    assert "reference: a check of its kernels on this device (training, equal lengths)" in sentence
    assert "times as far from float64 as the reference loop's" in sentence
    assert not launches
    with backend("triton"):  # whoever asks for it has it
        layer(data)
    assert launches


def test_without_gradients_only_the_forward_pass_is_checked(cache: Path) -> None:
    layer = BR(3, 5)
    with torch.no_grad():
        layer(x(layer))
        assert forms_in(cache) == ["without gradients, equal lengths"]
        layer(x(layer), lengths=[6, 2, 1])
    assert forms_in(cache)[1:] == ["without gradients, sequences of different lengths"]


def test_a_step_of_a_cell_is_checked(cache: Path, launches: list[str]) -> None:
    cell: Any = LSTM(3, 5).cells[0]
    with torch.no_grad():
        cell(torch.randn(2, 3))
    assert launches
    assert forms_in(cache) == ["without gradients, equal lengths"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"fault": 1, "about": {}}}', b"\xff", b"[" * 99999],
    ids=lambda content: content[:9],
)
def test_a_damaged_file_holds_no_verdict(
    content: bytes, cache: Path, launches: list[str], trials: list[Form]
) -> None:
    (cache / verdicts.NAME).write_bytes(content)
    layer = LSTM(3, 5)
    with torch.no_grad():
        layer(x(layer))
    assert trials == [FORWARD]
    assert launches
    assert forms_in(cache) == ["without gradients, equal lengths"]


def test_a_file_that_others_can_write_holds_no_verdict(
    cache: Path, trials: list[Form], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = LSTM(3, 5)
    with torch.no_grad():
        layer(x(layer))
        (cache / verdicts.NAME).chmod(0o666)
        monkeypatch.setattr(trust, "_settled", {})
        layer(x(layer))
    assert trials == [FORWARD, FORWARD]


def test_without_a_cache_each_process_checks_for_itself(
    cache: Path, trials: list[Form], launches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(cache / "file"))
    layer = LSTM(3, 5)
    with torch.no_grad():
        for _ in range(2):
            layer(x(layer))
    assert trials == [FORWARD]
    assert launches


#: What changes, and makes a verdict say nothing.
CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "device": lambda patch: patch.setattr(trust, "_name_of", lambda device: "another"),
    "torch": lambda patch: patch.setattr(torch, "__version__", "9.9"),
    "compiler": lambda patch: patch.setattr(triton_kernel, "_compiler", lambda: "Triton 9.9"),
    "code": lambda patch: patch.setattr(triton_kernel, "_code", lambda: "another"),
    "settings": lambda patch: patch.setattr(trust, "settings", lambda: ("tf32",)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_verdict_holds_for_what_was_checked(
    what: str, cache: Path, trials: list[Form], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = LSTM(3, 5)
    with torch.no_grad():
        layer(x(layer))
        monkeypatch.setattr(trust, "_settled", {})
        layer(x(layer))
        assert trials == [FORWARD]
        CHANGES[what](monkeypatch)
        monkeypatch.setattr(trust, "_settled", {})
        layer(x(layer))
    assert trials == [FORWARD, FORWARD]


def test_another_width_and_dtype_are_checked_anew(trials: list[Form]) -> None:
    with torch.no_grad():
        for width, dtype in ((5, torch.float32), (6, torch.float32), (5, torch.float64)):
            layer = LSTM(3, width, dtype=dtype)
            layer(x(layer).to(dtype))
            layer(x(layer).to(dtype))
    assert trials == [FORWARD] * 3


PROCESS = """
import os, sys, time, warnings
import torch
from torchrecurrent import LSTM
from torchrecurrent.engine.run import choice, trial
warnings.simplefilter("ignore")
choice.proves_itself = lambda device: True
real, count = trial.fault, []
def counted(*arguments):
    count.append(1)
    return real(*arguments)
trial.fault = counted
layer = LSTM(3, 5)
print("ready", flush=True)
sys.stdin.readline()
with torch.no_grad():
    assert "triton: products" in layer.explain(torch.randn(6, 3, 3))
print(len(count), flush=True)
"""


def test_of_two_processes_one_checks(cache: Path) -> None:
    """The other one waits for it, and takes its verdict."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both: list[Any] = [subprocess.Popen([sys.executable, "-c", PROCESS], **pipes) for _ in range(2)]
    for each in both:
        assert each.stdout.readline() == "ready\n"
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    counts = [int(each.communicate(timeout=120)[0]) for each in both]
    assert sorted(counts) == [0, 1]
    assert forms_in(cache) == ["without gradients, equal lengths"]
    assert not list(cache.glob("*.lock"))


def test_fake_tensors_first(cache: Path, launches: list[str]) -> None:
    layer = BR(3, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert "reference: operations are being traced" in layer.explain(torch.randn(4, 2, 3))
        layer(torch.randn(4, 2, 3))
    assert not (cache / verdicts.NAME).exists()
    assert not launches
    assert "triton: one fused kernel" in layer.explain(x(layer))


def test_functorch_first(cache: Path, launches: list[str]) -> None:
    layer = BR(3, 5)
    torch.func.grad(lambda data: layer(data)[0].sum())(x(layer))
    assert not (cache / verdicts.NAME).exists()
    assert not launches


def test_nothing_is_checked_during_a_capture(
    trials: list[Form], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop runs this time, and the next call outside of it checks."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    given = kernel_of(BR(3, 5))
    reason = trust.doubt(*given, torch.float32, torch.device("cuda"), [FORWARD])
    assert "can't be while a CUDA graph is captured; call the layer once before" in reason
    assert not trials
    assert not trust._settled


def test_what_may_pass_is_kept_for_the_process_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, tries = LSTM(3, 5), []

    def fail(*arguments: Any) -> str:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    with torch.no_grad():
        with monkeypatch.context() as patch:
            patch.setattr(trial, "fault", fail)
            for _ in range(2):
                layer(x(layer))
                assert "could not be checked on this device: OutOfMemory" in layer.explain(x(layer))
        assert len(tries) == 1
        assert not (cache / verdicts.NAME).exists()
        monkeypatch.setattr(trust, "_settled", {})
        assert "triton: products" in layer.explain(x(layer))


def test_a_crash_of_the_device_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it the process has no device any more, so that another one should not try."""

    def crash(*arguments: Any) -> str:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(trial, "fault", crash)
    layer = LSTM(3, 5)
    with torch.no_grad(), pytest.warns(UserWarning, match="an illegal memory access"):
        layer(x(layer))
    assert [each.fault for each in verdicts.every().values()] == [
        "RuntimeError: CUDA error: an illegal memory access was encountered"
    ]


def test_the_variable(
    launches: list[str], trials: list[Form], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = LSTM(3, 5)
    monkeypatch.setenv(trust.VARIABLE, "never")
    assert "reference: TORCHRECURRENT_TRUST=never lets no" in layer.explain(x(layer))
    monkeypatch.setenv(trust.VARIABLE, "always")
    layer(x(layer))
    assert launches
    assert not trials
    monkeypatch.setenv(trust.VARIABLE, "perhaps")
    with pytest.raises(ValueError, match=r"TORCHRECURRENT_TRUST should be one of .*'perhaps'"):
        layer(x(layer))


def test_the_callers_modes_and_random_numbers_are_left_alone(trials: list[Form]) -> None:
    layer, before = LSTM(3, 5), torch.get_rng_state()
    data = torch.ones(6, 3, 3)
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert "in torch.bfloat16, as checked on this device" in layer.explain(data)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(data)
    first = len(saved)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(data)
    assert len(saved) == 2 * first  # a checkpoint counts them
    assert trials == [FORWARD, TRAINING]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("gradients", [True, False])
def test_a_compiler_checks_while_it_traces(
    gradients: bool, cache: Path, launches: list[str]
) -> None:
    """With real tensors; for all lengths, so that chunks are checked as well."""
    torch.compiler.reset()
    layer = BR(3, 5)
    run = torch.compile(layer, backend="eager", fullgraph=True)
    with torch.set_grad_enabled(gradients):
        found = run(x(layer))[0]
    assert launches
    expected = ["training, equal lengths", "training, equal lengths, in chunks"]
    assert forms_in(cache) == (expected if gradients else ["without gradients, equal lengths"])
    assert found.isfinite().all()


def test_a_compiler_takes_the_loop_instead_of_a_wrong_kernel(
    plant: Any, launches: list[str]
) -> None:
    torch.compiler.reset()
    plant(SPOILT)
    layer = BR(3, 5)
    run, data = torch.compile(layer, backend="eager", fullgraph=True), x(layer)
    with pytest.warns(UserWarning, match="are wrong on cpu"):
        run(data)
    launches.clear()
    found = run(data)[0]
    assert not launches
    with backend("reference"):
        torch.testing.assert_close(found, layer(data)[0])  # float32, a few roundings


@pytest.mark.parametrize("wrong", [False, True])
def test_the_doctor_checks_a_device(
    wrong: bool, plant: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the CPU, where the kernels of the GPU are interpreted."""
    if wrong:
        plant(SPOILT)
    dense = next(each for each in _selfcheck.KINDS if each.name == "dense")
    monkeypatch.setattr(doctor, "cases", lambda: [_selfcheck.Case(dense, MGU.cell)])
    for name in ("STEPS", "BATCH", "WIDTH"):  # the interpreter takes its time
        monkeypatch.setattr(_selfcheck, name, 3)
    assert main(["doctor", "--device", "cpu"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert f"kernels of GPUs, of which {int(wrong)} failed" in output
    assert (" loop " if wrong else " kernel ") in output
    assert ("times as far from float64" in output) == wrong
