"""``torchrecurrent doctor``: what it says, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import __version__
from torchrecurrent import cell as cell_module
from torchrecurrent.cli import _machine, _selfcheck, main
from torchrecurrent.engine import run_sequence
from torchrecurrent.engine.cpu import target
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.run import choice, torch_private
from torchrecurrent.roles import MapRole, StateRole

from .processes import without_compiler

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")


def doctor(capsys: Capture, *arguments: str) -> tuple[int, str]:
    """Its exit status and what it printed, which fits an old terminal."""
    status = main(["doctor", *arguments])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert output.isascii()
    return status, output


def words(text: str) -> str:
    """On one line, however it was wrapped."""
    return " ".join(text.split())


def test_all_is_well(capsys: Capture) -> None:
    status, output = doctor(capsys)
    assert status == 0
    assert "fused kernels run here, and compute what the reference loop does." in words(output)
    rows = [line.split() for line in output.splitlines() if line.endswith(" ok")]
    assert len(rows) == len(_selfcheck.KINDS)
    assert {row[-4] for row in rows} == {"kernel"}
    assert all(0 < float(row[-3]) < 0.02 and 0 < float(row[-2]) < 0.02 for row in rows)
    assert "FAILED" not in output


def test_the_cache_is_cleared(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))
    digest = "0123456789abcdef" * 4
    for suffix in (".so", ".json", ".lock"):
        (tmp_path / f"{digest}{suffix}").touch()
    (tmp_path / "trust.json").touch()
    (tmp_path / "letter.txt").touch()
    for count in (1, 0):
        assert main(["doctor", "--clear-cache"]) == 0
        assert words(capsys.readouterr().out) == f"Removed {count} kernels from {tmp_path}."
        assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path / "letter.txt"))
    assert main(["doctor", "--clear-cache"]) == 1
    assert "torchrecurrent doctor: error: " in capsys.readouterr().err


def command(**changes: str) -> tuple[int, str]:
    """As :func:`doctor`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "torchrecurrent", "doctor"],
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_torch_that_hides_what_it_must_tell(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_private, "missing", "torch._C has no attribute 'DispatchKey'")
    status, output = doctor(capsys)
    assert status == 0
    assert "no kernels: torch._C has no attribute 'DispatchKey'" in output
    assert "All is well, but the reference loop runs, which is slower: this version of" in words(
        output
    )


def test_with_the_loop_chosen() -> None:
    status, output = command(TORCHRECURRENT_BACKEND="reference")
    assert status == 0
    assert "variables TORCHRECURRENT_BACKEND=reference" in words(output)
    assert "reference loop runs, which is slower: the backend 'reference' was" in words(output)


def test_without_a_compiler(tmp_path: Path) -> None:
    cache = {"TORCHRECURRENT_CACHE_DIR": str(tmp_path / "kernels")}  # an empty one
    status, output = command(**without_compiler(tmp_path), **cache)
    assert status == 0
    assert "compiler none: no C compiler was found (looked on PATH" in words(output)
    rows = [line.split() for line in output.splitlines() if line.endswith(" ok")]
    assert [row[-4] for row in rows] == ["loop"] * len(_selfcheck.KINDS)
    assert words(output).count("no kernel could be compiled") == 2  # once, and at the end
    assert "All is well, but the reference loop runs, which is slower: no" in words(output)


def test_each_kind_has_a_cell_of_its_kind() -> None:
    found = {case.kind.name: case for case in _selfcheck.cases()}
    assert list(found) == [kind.name for kind in _selfcheck.KINDS]
    assert found["elementwise"].cell.recurrence == "diagonal"
    assert found["dense"].cell.recurrence == "dense"
    assert list(found["a map in the step"].cell.signature.having(MapRole))
    assert len(list(found["several states"].cell.signature.having(StateRole))) > 1
    assert found["an output of its own"].cell.signature.has_output
    assert len({case.cell for case in found.values()}) > 5


def scaled_output(output: Tensor) -> Tensor:
    return output * 1.001


def scaled_gradient(output: Tensor) -> Tensor:
    output = output * 1
    output.register_hook(lambda gradient: gradient * 1.001)
    return output


def lost_number(output: Tensor) -> Tensor:
    output = output.clone()
    output[-1] = torch.nan
    return output


def crash(output: Tensor) -> Tensor:
    raise ZeroDivisionError("no such number")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (scaled_output, "wrong beyond rounding: "),
        (scaled_gradient, "wrong beyond rounding: the gradient of "),
        (lost_number, "wrong beyond rounding: the output"),
        (crash, "ZeroDivisionError: no such number"),
    ],
)
def test_a_broken_kernel(
    fault: Callable[[Tensor], Tensor],
    said: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only diagonal cells fail: the others are still checked."""
    real = run_sequence

    def broken(cell: Any, *args: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, last = real(cell, *args)
        is_kernel = choice.current() != "reference"
        return (fault(output) if is_kernel and cell.recurrence == "diagonal" else output), last

    monkeypatch.setattr(cell_module, "run_sequence", broken)
    status, output = doctor(capsys)
    assert status == 1
    lines = output.splitlines()
    failed = [k for k, line in enumerate(lines) if line.endswith("FAILED")]
    assert [lines[k].partition(":")[0] for k in failed] == ["elementwise", "diagonal by option"]
    assert all(said in lines[k + 1] for k in failed)
    assert f"2 of {len(_selfcheck.KINDS)} checks failed" in output
    assert output.count(" ok\n") == len(_selfcheck.KINDS) - 2


def test_the_cache(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))
    assert dict(_machine.facts(CPU))["cache"] == f"{tmp_path}, 0 kernels, 0.0 of 500 MB"
    (tmp_path / f"{'0' * 64}.so").write_bytes(bytes(2_500_000))
    assert dict(_machine.facts(CPU))["cache"] == f"{tmp_path}, 1 kernels, 2.5 of 500 MB"
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", "2")
    assert "2.5 of 2 MB" in dict(_machine.facts(CPU))["cache"]
    (tmp_path / ".torchrecurrent-zig").mkdir()
    (tmp_path / ".torchrecurrent-zig" / "libc.a").write_bytes(bytes(3_000_000))
    assert dict(_machine.facts(CPU))["cache"].endswith(", and 3 MB that Zig keeps")
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", "much")
    assert "not usable: TORCHRECURRENT_CACHE_SIZE must be" in dict(_machine.facts(CPU))["cache"]
    monkeypatch.delenv("TORCHRECURRENT_CACHE_SIZE")
    tmp_path.chmod(0o777)
    assert "not usable: " in dict(_machine.facts(CPU))["cache"]
    assert "can be written by other users" in dict(_machine.facts(CPU))["cache"]


def test_a_device_that_is_not_there(capsys: Capture) -> None:
    for name, said in (("cuda:99", "--device cuda:99: "), ("quantum", "--device quantum: ")):
        assert main(["doctor", "--device", name]) == 2
        assert said in capsys.readouterr().err


def test_what_checks_of_gpu_kernels_have_shown(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))
    about = {"compiler": "Triton 3.7.1", "cell": "BRCell", "device": "H100, 9.0", "driver": ""}
    verdicts.keep("0" * 64, verdicts.Verdict("", about))
    verdicts.keep("1" * 64, verdicts.Verdict("it is 7 times as far", about))
    output = words(doctor(capsys, "--device", "cpu")[1])
    assert (
        "Checked on this machine: 2 kernels of GPUs, of which 1 failed. They are not used."
        in output
    )
    assert "Triton 3.7.1, BRCell, H100, 9.0: it is 7 times as far" in output


@pytest.mark.parametrize(
    ("features", "shown"),
    [
        ("linux x86_64 avx2 avx512f cx16 fma fpu smep", "avx2 avx512f fma"),
        ("darwin arm64 hw.optional.neon: 1\nhw.optional.arm.FEAT_BF16: 0", "neon"),
        ("darwin arm64 hw.optional.avx512f: 0\nhw.optional.arm.FEAT_BF16: 1", "bf16"),
        ("linux riscv64", "no vector instructions known"),
    ],
)
def test_features_of_the_cpu(features: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "cpu_features", lambda: features)
    assert dict(_machine.facts(CPU))["CPU"].endswith(f" for torch; {shown}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["docter"], "invalid choice: 'docter' (choose from"),
        (["doctor", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert said in capsys.readouterr().err


def test_help(capsys: Capture) -> None:
    for arguments, said in (
        (["--help"], "doctor Show what this machine offers"),
        (["doctor", "--help"], "usage: torchrecurrent doctor [-h]"),
        (["--version"], f"torchrecurrent {__version__}"),
    ):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 0
        assert said in words(capsys.readouterr().out)


def test_the_console_script() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.scripts]\ntorchrecurrent = "torchrecurrent.cli:main"\n' in project
