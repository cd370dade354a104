"""Runs on disk: a folder for each, whose files are there whole or not at all.

``config.json``: what was run, with which versions and on what; ``checkpoint.pt``: the state of a
run under way, the last one when it is over; ``metrics.csv``: its curves; ``result.json``: its
outcome, written last. A run that was killed goes on from its checkpoint.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout

from .machine import describe_machine
from .processes import ALONE, Processes
from .records import RunConfig, RunResult
from .training import Training, run

__all__ = ["StudyError", "atomic_path", "kept_run", "read_result", "status", "write_json"]

#: Between two checkpoints; when they are written has no part in the outcome.
CHECKPOINT_SECONDS = 10.0
PROGRESS_SECONDS = 0.5
LOCK = ".lock"

Status = Literal["new", "begun", "over"]


class StudyError(ValueError):
    """What the user asked for cannot be done; the message says what to do."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A file to write in place of ``path``, which it becomes at the end of the block.

    An error or a kill inside the block leaves ``path`` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory: only within one file system is the renaming atomic.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.chmod(0o644)  # mkstemp made it the owner's alone
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write strict JSON, atomically.

    Raises:
        ValueError: a number is not finite; JSON has none such.
        TypeError: a value that JSON does not know.
    """
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    with atomic_path(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What a file of ours says.

    Raises:
        StudyError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _corrupt(path, error) from error


def _corrupt(path: Path, error: Exception) -> StudyError:
    return StudyError(
        f"{path} is not what a run writes ({type(error).__name__}: {error}); "
        f"move the folder {path.parent} away to run it again"
    )


def status(folder: Path, config: RunConfig) -> Status:
    """How far the run in a folder is; reads all its files, so that a bad one is told at once.

    Raises:
        StudyError: the folder is another run's, or a file in it is corrupt.
    """
    if not folder.exists():
        return "new"
    if not (folder / "config.json").exists():
        strange = sorted(each.name for each in folder.iterdir() if each.name[0] != ".")
        if strange:
            raise StudyError(
                f"{folder} has no config.json, but {strange[0]}: not a folder of a run; "
                "move it away or choose another --out"
            )
        return "new"
    stored = read_json(folder / "config.json")
    differences = _differences(stored.get("config") if isinstance(stored, dict) else None, config)
    if differences:
        raise StudyError(
            f"{folder} is of another configuration ({differences[0]}); "
            "move it away or choose another --out"
        )
    if (folder / "result.json").exists():
        read_result(folder, config)
        return "over"
    if (folder / "checkpoint.pt").exists():
        _read_checkpoint(folder / "checkpoint.pt")
    return "begun"


def _differences(stored: object, config: RunConfig) -> list[str]:
    """What differs, in words; a field that came later than the file has its default there."""
    if not isinstance(stored, dict) or not isinstance(stored.get("task"), dict):
        return ["it has none"]
    found: list[str] = []
    for there, here in ((stored, config), (stored["task"], config.task)):
        for field in dataclasses.fields(here):  # type: ignore[arg-type]
            if field.name == "task":
                continue
            old, new = there.get(field.name, field.default), getattr(here, field.name)
            if old != new:
                found.append(f"{field.name}: {old!r} there, {new!r} asked for")
    return found


def read_result(folder: Path, config: RunConfig) -> RunResult:
    """The outcome of a run that is over.

    Raises:
        StudyError: the file is corrupt.
    """
    path = folder / "result.json"
    stored = read_json(path)
    try:
        return RunResult.from_dict(config, stored)
    except (KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, error) from error


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zipfile, pickle or torch
        first = str(error).partition("\n")[0]
        raise _corrupt(path, RuntimeError(first)) from error
    return state


class UnwantedError(RuntimeError):
    """Nobody waits for the run any more."""


def kept_run(
    folder: Path,
    config: RunConfig,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    processes: Processes = ALONE,
    wanted: Callable[[], bool] = lambda: True,
) -> RunResult:
    """Run in a folder, or go on with the run there; one that is over is read.

    Args:
        folder: the run's own.
        config: what to run.
        checkpoint_seconds: at least this long between two checkpoints.
        processes: those that train it together; each of them calls this. The first alone reads
            and writes files.
        wanted: asked now and then; the run ends where it is false.

    Raises:
        StudyError: the folder is another run's, a file in it is corrupt, or another process is
            at it.
        UnwantedError: the run was not wanted any more.
        ValueError: as :func:`~torchrecurrent.studies.running.training.run`.
    """
    with ExitStack() as held:
        begun = processes.first(lambda: _begin(folder, config, processes.size, held))
        if isinstance(begun, RunResult):
            return begun
        watch = _keeper(folder, checkpoint_seconds, processes, wanted)
        result = run(config, watch, begun, processes)
        if processes.rank == 0:
            _write_metrics(folder / "metrics.csv", result)
            write_json(folder / "result.json", result.to_dict())
            (folder / "progress").unlink(missing_ok=True)
        return result


def _begin(
    folder: Path, config: RunConfig, processes: int, held: ExitStack
) -> RunResult | dict[str, Any] | None:
    """The outcome of a run that is over, or what to go on from, if there is anything."""
    if status(folder, config) != "over":
        held.enter_context(_alone_in(folder))
    before = status(folder, config)  # it may have ended just now
    if before == "over":
        return read_result(folder, config)
    for unfinished in folder.glob(".*"):  # of a run that was killed while it wrote
        if unfinished.name != LOCK:
            unfinished.unlink(missing_ok=True)
    if before == "new":
        machine = describe_machine(processes)
        write_json(folder / "config.json", {"config": config.to_dict(), **machine})
    path = folder / "checkpoint.pt"
    return _read_checkpoint(path) if path.exists() else None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps other processes from the same run; if this one dies, the system frees the lock.

    Raises:
        StudyError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise StudyError(
            f"{folder} is being run by another process; wait for it, or choose another --out"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # where open files cannot be removed, an empty file stays
            (folder / LOCK).unlink()
        lock.release()


def _keeper(
    folder: Path, checkpoint_seconds: float, processes: Processes, wanted: Callable[[], bool]
) -> Callable[[Training], None]:
    """Writes a checkpoint, and the number of the step, now and then.

    The clock of the first process says when; each step it tells the others, since a state
    is put together by all.
    """
    kept = time.monotonic()
    told = 0.0

    def watch(training: Training) -> None:
        nonlocal kept, told
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            if not wanted():
                raise UnwantedError(f"{training.config.title} is not wanted any more")
            told = now
            if processes.rank == 0:
                (folder / "progress").write_text(str(training.step))
        if training.over or processes.decided(now - kept >= checkpoint_seconds):
            state = training.state()
            if processes.rank == 0:
                with atomic_path(folder / "checkpoint.pt") as unfinished:
                    torch.save(state, unfinished)
            kept = now

    return watch


def _write_metrics(path: Path, result: RunResult) -> None:
    measure = result.config.task.measure
    rows: list[tuple[int, str, str, float]] = [
        *((at, "training", "loss", loss) for at, loss in result.losses),
        *((at, "validation", measure, score) for at, score in result.curve),
    ]
    rows.sort(key=lambda row: row[0])
    if result.test_score is not None:
        rows.append((result.steps_done, "test", measure, result.test_score))
    rows += [
        (result.steps_done, f"test {key}", measure, score) for key, score in result.series.items()
    ]
    with atomic_path(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "split", "measure", "value"])
        writer.writerows(rows)
