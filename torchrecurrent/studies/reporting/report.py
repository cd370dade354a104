"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from ..tasks.task import Task
from .numbers import decimals
from .summary import Summary

__all__ = ["tables"]


def tables(summaries: Sequence[Summary], *, unicode: bool = True) -> list[Table]:
    """Make a table for each task, with the trivial baseline in its last row.

    Args:
        summaries: the summaries to show.
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
    return f"{100 * value:.2f} %" if task.higher_is_better else decimals(value)[0]


def _score(summary: Summary, sign: str) -> str:
    if summary.mean is None:
        return "- (0)"
    count = f"({len(summary.scores)})"
    if summary.error is None:
        return f"{_number(summary.task, summary.mean)} {count}"
    if summary.task.higher_is_better:
        return f"{100 * summary.mean:.2f} {sign} {100 * summary.error:.2f} % {count}"
    return f" {sign} ".join(decimals(summary.mean, summary.error)) + f" {count}"
