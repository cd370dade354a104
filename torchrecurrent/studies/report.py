"""Tables for the terminal, and files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch
from rich import box
from rich.table import Table

import torchrecurrent

from .summary import Summary
from .task import Task

__all__ = ["atomic_path", "describe_machine", "tables", "write_json"]


def tables(summaries: Sequence[Summary], *, unicode: bool = True) -> list[Table]:
    """A table for each task, the trivial baseline in its last row.

    Args:
        summaries: what to show.
        unicode: if ``False`` only ASCII is used.
    """
    tasks = dict.fromkeys(each.task for each in summaries)
    return [_table(task, [s for s in summaries if s.task == task], unicode) for task in tasks]


def _table(task: Task, summaries: Sequence[Summary], unicode: bool) -> Table:
    sign = "±" if unicode else "+-"
    table = Table(
        title=task.name[0].upper() + task.name[1:],
        title_justify="left",
        box=box.SIMPLE_HEAD if unicode else box.ASCII,
    )
    table.add_column("cell")
    table.add_column("parameters", justify="right")
    table.add_column(f"test {task.measure} {sign} SE (n)", justify="right")
    table.add_column("diverged", justify="right")
    table.add_column("steps/s", justify="right")
    for each in summaries:
        table.add_row(
            each.cell,
            f"{each.parameters:,}",
            _score(each, sign),
            f"{each.diverged}/{each.runs}",
            "-" if each.steps_per_second is None else f"{each.steps_per_second:.1f}",
        )
    table.add_section()
    table.add_row(task.baseline_name, "0", _number(task, task.baseline), "", "")
    return table


def _number(task: Task, value: float) -> str:
    return f"{100 * value:.2f} %" if task.measure == "accuracy" else f"{value:.4f}"


def _score(summary: Summary, sign: str) -> str:
    if summary.mean is None:
        return "- (0)"
    count = f"({len(summary.scores)})"
    if summary.error is None:
        return f"{_number(summary.task, summary.mean)} {count}"
    if summary.task.measure == "accuracy":
        return f"{100 * summary.mean:.2f} {sign} {100 * summary.error:.2f} % {count}"
    return f"{summary.mean:.4f} {sign} {summary.error:.4f} {count}"


def describe_machine() -> dict[str, object]:
    """When, with which versions and on what."""
    packages = ("numpy", "matplotlib", "rich")
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchrecurrent": torchrecurrent.__version__,
            **{name: version(name) for name in packages},
        },
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        },
    }


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
