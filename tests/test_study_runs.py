"""Runs in folders: kept whole, taken up again, refused where they are something else."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from torchrecurrent.studies.running.records import RunConfig, RunResult
from torchrecurrent.studies.running.store import StudyError, kept_run, read_result, status
from torchrecurrent.studies.running.training import Training, run
from torchrecurrent.studies.tasks.binary_addition import BinaryAddition
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.images import SequentialImages
from torchrecurrent.studies.tasks.language import CharacterModel
from torchrecurrent.studies.tasks.vowels import Vowels

from .running import config

FILES = {"config.json", "checkpoint.pt", "metrics.csv", "result.json"}

TASKS = [
    CopyFirst(4, validation_size=8, test_size=8, train_size=30),
    BinaryAddition(6, 8, curriculum=True, train_size=20, epochs=1, validation_size=8, test_size=8),
    Vowels(),
    SequentialImages("digits", blanks=2, variable_blanks=True, validation_size=20),
    CharacterModel("python", unroll=5, validation_size=64, test_size=64),
]


class Killed(BaseException):
    """As a kill, it is caught by nobody."""


def outcome(result: RunResult) -> Any:
    """All but the times."""
    return replace(result, train_seconds=0.0)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("cell", ["LSTM", "nBRC"])
@pytest.mark.parametrize("at", [1, 7, 10])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    task: Any, cell: str, at: int, tmp_path: Path
) -> None:
    wanted = config(cell, task=task, steps=20, evaluate_every=5)

    def watch(training: Training) -> None:
        if training.step == at:
            torch.save(training.state(), tmp_path / "state")
        if training.over:
            torch.save(training.model.state_dict(), tmp_path / f"model {len(ended)}")
            ended.append(training.step)

    ended: list[int] = []
    whole = run(wanted, watch)
    torch.rand(3)
    resumed = run(wanted, watch, torch.load(tmp_path / "state"))
    assert [at for at, _ in whole.curve] == [0, 5, 10, 15, 20]
    assert outcome(resumed) == outcome(whole)
    first, second = (torch.load(tmp_path / f"model {k}") for k in (0, len(ended) - 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_files_of_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = kept_run(folder, config("BRC", task=TASKS[1], steps=20, evaluate_every=5))
    assert {each.name for each in folder.iterdir()} == FILES
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    curve = [(int(r["step"]), float(r["value"])) for r in rows if r["split"] == "validation"]
    losses = [(int(r["step"]), float(r["value"])) for r in rows if r["split"] == "training"]
    assert tuple(curve) == result.curve
    assert tuple(losses) == result.losses
    assert [at for at, _ in losses] == [5, 10, 15, 20]
    tests = {r["split"]: float(r["value"]) for r in rows if r["split"].startswith("test")}
    assert tests.pop("test") == result.test_score
    assert tests == {f"test {length}": score for length, score in result.series.items()}
    stored = json.loads((folder / "config.json").read_text())
    assert stored["config"]["cell"] == "BRC"
    assert stored["versions"]["torch"] == torch.__version__


def test_a_run_that_is_over_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    first = kept_run(folder, config())
    monkeypatch.setattr(Training, "advance", None)
    assert kept_run(folder, config()) == first
    assert status(folder, config()) == "over"


def test_a_run_that_diverged_is_over(tmp_path: Path) -> None:
    wild = config(learning_rate=1e37, steps=50)
    first = kept_run(tmp_path, wild)
    assert first.status == "diverged"
    assert first.test_score is None
    assert read_result(tmp_path, wild) == first


@pytest.mark.parametrize("when", [1, 4, 9, 12])
def test_a_run_killed_while_it_writes(
    when: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever file: it is taken up, and nothing unfinished is left."""
    wanted = config(steps=8)
    replace_file = Path.replace
    count = 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == when:
            raise Killed
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Killed):
        kept_run(tmp_path / "run", wanted, checkpoint_seconds=0)
    monkeypatch.undo()
    (tmp_path / "run" / ".checkpoint-of-a-process-killed.pt").touch()
    resumed = kept_run(tmp_path / "run", wanted)
    assert outcome(resumed) == outcome(run(wanted))
    assert {each.name for each in (tmp_path / "run").iterdir()} == FILES


KILLED = """
import sys
from pathlib import Path
from tests.test_study_runs import long_run
from torchrecurrent.studies.running.store import kept_run
kept_run(Path(sys.argv[1]), long_run(), checkpoint_seconds=0)
"""


def long_run() -> RunConfig:
    return config("nBRC", task=CopyFirst(30, 50, 50), steps=400, evaluate_every=50)


@contextmanager
def under_way(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process at the long run, which has a checkpoint; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)])
    try:
        until = time.monotonic() + 60
        while not (folder / "checkpoint.pt").exists() and time.monotonic() < until:
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_is_taken_up(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with under_way(folder) as process:
        pass
    assert process.returncode == -signal.SIGKILL
    assert status(folder, long_run()) == "begun"
    assert outcome(kept_run(folder, long_run())) == outcome(run(long_run()))


def test_two_processes_at_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with under_way(folder) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(StudyError, match="is being run by another process; wait for it"):
            kept_run(folder, long_run())
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=60) == 0  # undisturbed
    assert kept_run(folder, long_run()) == read_result(folder, long_run())
    assert {each.name for each in folder.iterdir()} == FILES


# What is refused


def _nothing_changes(folder: Path, wanted: RunConfig, message: str) -> None:
    before = {each: each.read_bytes() for each in folder.iterdir()}
    with pytest.raises(StudyError, match=message):
        status(folder, wanted)
    with pytest.raises(StudyError, match=message):
        kept_run(folder, wanted)
    assert {each: each.read_bytes() for each in folder.iterdir()} == before


def test_a_folder_of_another_configuration(tmp_path: Path) -> None:
    kept_run(tmp_path, config())
    _nothing_changes(
        tmp_path, config(steps=4), r"another configuration \(steps: 3 there, 4 asked for\); move"
    )
    longer = config(task=CopyFirst(5, 10, 10))
    _nothing_changes(tmp_path, longer, r"\(length: 3 there, 5 asked for\)")


def test_a_field_that_came_later_has_its_default(tmp_path: Path) -> None:
    kept_run(tmp_path, config())
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    del stored["config"]["clip"], stored["config"]["task"]["train_size"]
    path.write_text(json.dumps(stored))
    assert status(tmp_path, config()) == "over"
    with pytest.raises(StudyError, match=r"clip: 0.0 there, 1.0 asked for"):
        status(tmp_path, config(clip=1.0))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    _nothing_changes(tmp_path, config(), "no config.json, but letter.txt: not a folder of a run")


@pytest.mark.parametrize("name", ["config.json", "result.json", "checkpoint.pt"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[1]", b'{"status": "done"}'])
def test_a_corrupt_file(name: str, content: bytes, tmp_path: Path) -> None:
    kept_run(tmp_path, config())
    if name == "checkpoint.pt":
        (tmp_path / "result.json").unlink()
    (tmp_path / name).write_bytes(content)
    _nothing_changes(tmp_path, config(), f"{name} is not what a run writes|another configuration")
