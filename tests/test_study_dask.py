"""The study runner on a Dask cluster of two workers on this machine."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
import torch
from dask.distributed import LocalCluster, Worker
from rich.console import Console
from torch import Tensor

from torchrecurrent.cli import main
from torchrecurrent.roles import Gate, State
from torchrecurrent.studies.running import cluster as module
from torchrecurrent.studies.running.cluster import connected
from torchrecurrent.studies.running.store import read_result
from torchrecurrent.studies.running.sweep import SweepError

from .broken import SoundCell
from .processes import in_background, in_foreground, interrupt_this
from .running import config

SMOKE = ["study", "run", "copy-first", "--preset", "smoke", "--seeds", "2"]
#: For what takes a moment; a hang fails.
SECONDS = 15


class Raises(SoundCell):
    """A user's cell that cannot be run."""

    @staticmethod
    def step(h: State, z: Gate, n: Gate) -> Tensor:
        raise ArithmeticError("no such luck")


class Dies(SoundCell):
    """A user's cell that takes its process with it."""

    def update(self, *_: Any) -> Any:
        os._exit(1)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    # Else a run is tried on three more workers before it is given up.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
    ):
        yield cluster.scheduler_address


def outcomes(out: Path) -> dict[str, Any]:
    """All that each run wrote, except its times."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("result.json")):
        result = json.loads(path.read_text())
        del result["train_seconds"], result["steps_per_second"]
        state = torch.load(path.with_name("checkpoint.pt"))
        model = {name: value.tolist() for name, value in state["model"].items()}
        metrics = path.with_name("metrics.csv").read_text()
        found[str(path.relative_to(out))] = (result, metrics, model)
    return found


def test_the_same_bits_as_in_processes_of_this_machine(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # the workers stay where they are
    assert main([*SMOKE, "--out", "there", "--dask", address]) == 0
    told = capsys.readouterr()
    assert "8 runs: 0 finished, 0 started, 8 new; 2 at a time." in told.out
    assert "8/8 copy first input" in told.out
    assert not told.err
    assert main([*SMOKE, "--out", "here", "--jobs", "1"]) == 0
    here, there = outcomes(tmp_path / "here"), outcomes(tmp_path / "there")
    assert len(here) == 8
    assert there == here
    assert main([*SMOKE, "--out", "there", "--dask", address, "--jobs", "1"]) == 0
    assert "8 finished, 0 started, 0 new; 1 at a time." in capsys.readouterr().out


def running(dask_worker: Worker) -> int:
    """On a worker."""
    return len(dask_worker.state.executing)


def test_after_ctrl_c_the_cluster_is_free(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def press() -> None:
        until = time.monotonic() + SECONDS
        while len(list(tmp_path.rglob("progress"))) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        interrupt_this()

    thread = threading.Thread(target=press)
    thread.start()
    words = [*SMOKE, "--set", "steps=1000000", "--out", str(tmp_path), "--dask", address]
    with in_background(), in_foreground():
        assert main(words) == 130
    thread.join()
    assert "goes on from here" in capsys.readouterr().out
    with connected(address, None) as cluster:
        until = time.monotonic() + SECONDS
        while any(cluster.client.run(running).values()) and time.monotonic() < until:
            time.sleep(0.05)
        assert list(cluster.client.run(running).values()) == [0, 0]
    assert len(list(tmp_path.rglob("config.json"))) == 2


def test_a_run_that_fails_does_not_stop_the_others(address: str, tmp_path: Path) -> None:
    cells = [f"{__name__}:Raises", "LSTM", f"{__name__}:Dies", "nBRC", "GRU"]
    configs = [config(cell) for cell in cells]
    folders = [tmp_path / str(k) for k in range(len(cells))]
    with connected(address, 1) as cluster, pytest.raises(SweepError) as raised:
        cluster.sweep(configs, Console(quiet=True), folders)
    messages = {each.config.cell: each.message for each in raised.value.failures}
    assert messages.keys() == {cells[0], cells[2]}
    assert messages[cells[0]] == "ArithmeticError: no such luck"
    assert messages[cells[2]].startswith("KilledWorker: ")
    for k in (1, 3, 4):
        assert read_result(folders[k], configs[k]).status == "done"


# What is refused


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    told = capsys.readouterr()
    assert not told.out
    (line,) = told.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({"n_workers": 1, "threads_per_worker": 2}, "2 threads, but .* with --nthreads 1"),
        ({"n_workers": 0}, "has no workers; start them with: dask worker inproc://"),
    ],
)
def test_unfit_workers(
    workers: dict[str, int], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LocalCluster(**workers, processes=False, dashboard_address=":0") as cluster:
        words = [*SMOKE, "--out", str(tmp_path), "--dask", cluster.scheduler_address]
        line = refused(words, capsys)
    assert re.search(message, line)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["tcp://127.0.0.1:1", "nowhere"])
def test_an_address_that_does_not_answer(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    line = refused([*SMOKE, "--dask", wrong], capsys)
    assert f"error: dask: could not reach {wrong!r}: " in line


def test_without_dask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    monkeypatch.delitem(sys.modules, module.__name__)
    line = refused([*SMOKE, "--dask", "tcp://127.0.0.1:1"], capsys)
    assert line.endswith('is not installed; pip install ".[dask]" in a checkout')
