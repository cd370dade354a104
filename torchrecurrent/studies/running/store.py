"""Runs on disk: a folder for each, whose files are written atomically.

``config.json``: the configuration, versions and machine; ``checkpoint.pt``: the latest state of
the run; ``metrics.csv``: its curves; ``result.json``: its outcome, written last. A run that was
killed continues from its checkpoint.
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

#: Seconds between two checkpoints, whose times do not affect the outcome.
CHECKPOINT_SECONDS = 10.0
PROGRESS_SECONDS = 0.5
LOCK = ".lock"

Status = Literal["new", "begun", "over"]


class StudyError(ValueError):
    """Raised if a request cannot be carried out; the message says what to do."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a file to write, which replaces ``path`` at the end of the block.

    An error or a kill inside the block leaves ``path`` unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory: renaming is atomic only within one file system.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.chmod(0o644)  # mkstemp makes it private to the owner
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write strict JSON, atomically.

    Raises:
        ValueError: for a number that is not finite, which JSON does not have.
        TypeError: for a value of a type that JSON does not have.
    """
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    with atomic_path(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of a run.

    Raises:
        StudyError: if it is not JSON.
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
    """Return the status of a run; reads all its files, so that corrupt ones are found at once.

    Raises:
        StudyError: if the folder is another run's, or a file in it is corrupt.
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
    """Describe the differences; a field newer than the file has its default there."""
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
    """Return the outcome of a finished run.

    Raises:
        StudyError: if the file is corrupt.
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
    except Exception as error:  # from zipfile, pickle or torch
        first = str(error).partition("\n")[0]
        raise _corrupt(path, RuntimeError(first)) from error
    return state


class UnwantedError(RuntimeError):
    """Raised if nobody waits for the run any more."""


def kept_run(
    folder: Path,
    config: RunConfig,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    processes: Processes = ALONE,
    wanted: Callable[[], bool] = lambda: True,
) -> RunResult:
    """Run in a folder, or continue the run there; the result of a finished run is read.

    Args:
        folder: the run's own folder.
        config: what to run.
        checkpoint_seconds: the least time between two checkpoints.
        processes: the processes that train it together; each of them calls this. Only the first
            reads and writes files.
        wanted: called now and then; the run ends if it returns false.

    Raises:
        StudyError: if the folder is another run's, a file in it is corrupt, or another process
            is running it.
        UnwantedError: if the run is no longer wanted.
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
    """Return the outcome of a finished run, or the state to continue from, if there is one."""
    if status(folder, config) != "over":
        held.enter_context(_alone_in(folder))
    before = status(folder, config)  # it may have ended in the meantime
    if before == "over":
        return read_result(folder, config)
    for unfinished in folder.glob(".*"):  # left by a run that was killed while writing
        if unfinished.name != LOCK:
            unfinished.unlink(missing_ok=True)
    if before == "new":
        machine = describe_machine(processes)
        write_json(folder / "config.json", {"config": config.to_dict(), **machine})
    path = folder / "checkpoint.pt"
    return _read_checkpoint(path) if path.exists() else None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from the same run; if this one dies, the system frees the lock.

    Raises:
        StudyError: if another process has it.
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
    """Return a function that writes a checkpoint, and the number of the step, now and then.

    The clock of the first process decides when; it tells the others at each step, since all
    contribute to a state.
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
