"""Kernels compiled before they are needed: side by side, by command, and carried elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from torchrecurrent import BR, BRCell, FastGRNNCell, GRUCell, LiGRU, MGUCell, Recurrent, backend
from torchrecurrent.cli import main
from torchrecurrent.engine.cpu import cache, target
from torchrecurrent.engine.cpu.compiler import CompilerError
from torchrecurrent.engine.run import ahead
from torchrecurrent.engine.run.kernels import Fused

from .processes import at_terminal, without_compiler
from .test_cache import REAL, TWICE, Sandbox, answer

pytestmark = pytest.mark.skipif(not REAL, reason="there is no C compiler here")

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def box(tmp_path: Path, monkeypatch: Patch) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.enter(monkeypatch)
    return sandbox


def python(*words: str, **changes: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


STACK = """
import torch
from torchrecurrent import BRCell, FastGRNNCell, MGUCell, Recurrent, backend
layer = Recurrent([BRCell, FastGRNNCell, BRCell, MGUCell], 3, 5)
with backend("c"):
    layer(torch.randn(4, 2, 3))[0].sum().backward()
"""


@pytest.mark.skipif(ahead._cores() < 2, reason="one core compiles one after the other")
def test_a_stack_compiles_its_cells_side_by_side(box: Sandbox) -> None:
    """The compiler waits until a second cell's is there, which would else never come."""
    both = f"ls {box.root}/cell.* 2>/dev/null | wc -l"
    box.write_compiler(
        'case "$(cat $TMPDIR/kernel.c)" in *sequence_t*) '
        f"touch {box.root}/cell.$$; for k in $(seq 600); do "
        f'[ "$({both})" -ge 2 ] && break; sleep 0.05; done; '
        f'[ "$({both})" -ge 2 ] || exit 1;; esac'
    )
    python("-c", STACK)
    assert box.calls == 4  # of three cells, and the products
    python("-c", STACK)
    assert box.calls == 4


def test_a_stack_is_asked_once_for_each_dtype(monkeypatch: Patch) -> None:
    compiled: list[int] = []
    real = ahead._compile

    def watched(found: list[Fused], dtype: torch.dtype) -> None:
        compiled.append(len(found))
        real(found, dtype)

    monkeypatch.setattr(ahead, "_compile", watched)
    layer = Recurrent([BRCell, torch.nn.GRUCell, MGUCell], 3, 5)
    input = torch.randn(4, 2, 3)
    with backend("reference"):
        layer(input)
    assert compiled == []
    for _ in range(3):
        layer(input)
    assert compiled == [2]
    layer.double()(input.double())
    assert compiled == [2, 2]
    BR(3, 5)(input)  # one cell: nothing to do beside it
    assert compiled == [2, 2]


def test_compile_kernels() -> None:
    layer = Recurrent([BRCell, torch.nn.GRUCell, GRUCell], 3, 5, dtype=torch.float64)
    assert layer.compile_kernels().splitlines() == [
        "cells.0 (BRCell): c: it has a kernel for torch.float64",
        "cells.1 (GRUCell): reference: a module is traced when it is first called",
        "cells.2 (GRUCell): c: it has a kernel for torch.float64",
    ]
    assert "c: it has a kernel for torch.bfloat16" in layer.compile_kernels(torch.bfloat16)
    assert "reference: there is no kernel for torch.int64" in layer.compile_kernels(torch.int64)
    odd = LiGRU(3, 5, batch_norm=True)
    assert "reference: NormalizedLiGRUCell overrides project" in odd.compile_kernels()


def test_compile_kernels_without_a_compiler(monkeypatch: Patch) -> None:
    def fail(*_: Any) -> None:
        raise CompilerError("no C compiler was found")

    monkeypatch.setattr(Fused, "kernel", fail)
    with pytest.raises(RuntimeError, match="no C compiler was found"):
        Recurrent([BRCell, FastGRNNCell], 3, 5).compile_kernels()


MODEL = """
import torch
from torchrecurrent import LSTM, MGU
def make():
    return torch.nn.ModuleDict({"first": LSTM(3, 5), "second": MGU(5, 5)})
"""
USE = """
import torch, own_model
from torchrecurrent import backend
model = own_model.make()
with backend("c"):
    output, _ = model["second"](model["first"](torch.randn(4, 2, 3))[0])
output.sum().backward()
print(*output.shape)
"""


def test_a_cache_that_is_filled_and_carried(box: Sandbox, tmp_path: Path) -> None:
    """To where there is no compiler, and the same CPU."""
    (tmp_path / "own_model.py").write_text(MODEL)
    path = str(tmp_path)
    said = python("-m", "torchrecurrent", "compile", "own_model:make", PYTHONPATH=path)
    rows = [line.split() for line in said.splitlines()]
    assert rows[:2] == [["LSTMCell", "float32", "compiled"], ["MGUCell", "float32", "compiled"]]
    assert box.calls == 3
    shutil.copytree(box.folder, tmp_path / "carried")
    shutil.rmtree(box.folder)
    bare = without_compiler(tmp_path)
    assert python("-c", USE, **bare, TORCHRECURRENT_CACHE_DIR=f"{path}/carried") == "4 2 5\n"
    with pytest.raises(AssertionError, match="no C compiler was found"):
        python("-c", USE, **bare, TORCHRECURRENT_CACHE_DIR=f"{path}/empty")


def test_without_a_compiler_any_kernel_of_this_cpu_will_do(
    box: Sandbox, monkeypatch: Patch
) -> None:
    bare = without_compiler(box.temporary)
    assert box.run() == "42.0\n"
    assert box.run(**bare) == "42.0\n"
    (told,) = box.files("*.json")
    text = json.loads(told.read_text())
    for wanted, found in (
        ([], True),  # an older CPU
        ([*text["instructions"], "avx9999"], False),  # a newer one
        (None, False),
    ):
        told.write_text(json.dumps({**text, "instructions": wanted}))
        assert (box.run(**bare) == "42.0\n") == found
    monkeypatch.setattr(cache, "target", lambda: ("other flags",))
    for name, value in bare.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(CompilerError, match="no C compiler was found"):
        cache.load(TWICE)
    assert box.calls == 1


def test_a_directory_of_root_that_is_only_read(box: Sandbox, monkeypatch: Patch) -> None:
    """As in a container whose image was made by another user."""
    assert answer(cache.load(TWICE)) == 42.0
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to root")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cache, "_libraries", {})
    assert answer(cache.load(TWICE)) == 42.0
    assert box.calls == 1


def test_instructions_leave_out_what_is_none() -> None:
    if sys.platform == "linux":
        assert not target.instructions() & {"hypervisor", "constant_tsc", "ibrs"}


def test_a_wait_is_explained_at_a_terminal(box: Sandbox) -> None:
    box.write_compiler("sleep 2.3")
    said = at_terminal(box.command(), box.environment())
    waiting = "torchrecurrent: compiling kernels, which are then kept for the next time ...\n"
    assert said == (waiting, "42.0\n")
    assert at_terminal(box.command(), box.environment()) == ("", "42.0\n")  # it is quick
    assert box.run(SOURCE=TWICE + "int other;") == "42.0\n"  # and a log has no such line


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["LSTN"], 2, "close to it: LSTMCell"),
        (["LSTM", "--set", "colour=red"], 2, "unexpected keyword argument 'colour'"),
        (["LSTM", "--set", "colour"], 2, "expected KEY=VALUE, got 'colour'"),
        (["nowhere:make"], 2, "could not import 'nowhere:make'"),
        (["torch.nn:Identity"], 2, "Identity has no cell of torchrecurrent"),
        (["builtins:dict"], 2, "'builtins:dict' should make a torch.nn.Module, got dict"),
    ],
)
def test_a_command_that_is_wrong(words: list[str], status: int, said: str, capsys: Capture) -> None:
    assert main(["compile", *words]) == status
    assert said in capsys.readouterr().err


def test_the_command(capsys: Capture) -> None:
    words = ["compile", "ligru*", "intersectionrnn", "BR", "--dtype", "float32", "float64"]
    assert main([*words, "--set", "recurrence=diagonal"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    cells = ["LiGRUCell", "IntersectionRNNCell", "BRCell"]
    assert rows[:-1] == [[c, d, "compiled"] for d in ("float32", "float64") for c in cells]
    assert rows[-1][1:3] == ["kernels", "in"]


def test_the_command_where_the_compiler_fails(capsys: Capture, monkeypatch: Patch) -> None:
    def fail(*_: Any) -> None:
        raise CompilerError("cc failed: error: no licence")

    monkeypatch.setattr(Fused, "kernel", fail)
    assert main(["compile", "BR"]) == 1
    assert "torchrecurrent compile: error: cc failed" in capsys.readouterr().err
