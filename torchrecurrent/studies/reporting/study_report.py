"""Reports on the runs in a folder of results, as Markdown and as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean, median

from ..running.groups import Group, load, series
from ..running.store import atomic_path
from .claims import Checked, check
from .comparison import Difference, paired_difference
from .numbers import decimals
from .summary import Summary, standard_error, summarize

__all__ = ["write_report"]

CLAIMS_HEADER = ("claim", "source", "setting", "ours", "agrees?")
LEGEND = (
    "Means and standard errors (SE) are over n seeds; seed k gives every cell the same data. "
    "A run that diverged is counted in every column of counts and in no mean. Beside each cell "
    "is the mean difference from the first one on the same seeds, with Student's 95 % interval "
    "from three pairs on. Steps/s are training steps a second beside whatever else ran: for "
    "orientation. The test set is used once, after the last step. The numbers are beside this "
    "page as CSV."
)


def write_report(out: Path, studies: Sequence[str] = ()) -> str:
    """Write ``report.md`` and tables as CSV; return the Markdown.

    The tables: ``summary.csv``, a row a setting and cell; ``runs.csv``, a row a run;
    ``series.csv``, a row for each further test set; ``claims.csv``.

    Raises:
        StudyError: as :func:`~torchrecurrent.studies.running.groups.load`.
    """
    groups = load(out, studies)
    checked = check(groups)
    sections = [_section(each, out) for each in groups]
    claims = [_claims(checked)] if checked else []
    text = "\n".join(["# Results", "", LEGEND, "", *claims, *sections])
    with atomic_path(out / "report.md") as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    _write_csv(out / "summary.csv", (row for each in groups for row in _summary_rows(each)))
    _write_csv(out / "runs.csv", (row for each in groups for row in _run_rows(each)))
    _write_csv(out / "series.csv", (row for each in groups for row in _series_rows(each)))
    _write_csv(
        out / "claims.csv", (dict(zip(CLAIMS_HEADER, each, strict=True)) for each in checked)
    )
    return text


def _write_csv(path: Path, rows: Iterable[dict[str, object]]) -> None:
    listed = list(rows)
    with atomic_path(path) as unfinished, unfinished.open("w", newline="") as file:
        if listed:
            writer = csv.DictWriter(file, list(listed[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(listed)


def _section(group: Group, out: Path) -> str:
    reference = group.cells[0]
    header = (
        "cell",
        "parameters",
        f"test {group.config.task.measure}, mean ± SE (n)",
        f"minus {reference} [95 %]",
        "solved",
        "steps to solve",
        "diverged",
        "steps/s",
    )
    rows = [
        _row(each, paired_difference(group.results, each.cell, reference), group)
        for each in summarize(group.results)
    ]
    lines = [f"## {group.title}", "", _description(group), "", *table(header, rows), ""]
    figure = Path("figures") / f"{group.key}.svg"  # of `study plot`
    if (out / figure).exists():
        lines += [f"![Curves and scores of {group.title}]({figure.as_posix()})", ""]
    return "\n".join(lines)


def _description(group: Group) -> str:
    """Describe what was run, when and on which machines, and what the columns mean."""
    config, task = group.config, group.config.task
    clip = f", gradient clipped at {config.clip:g}" if config.clip else ""
    said = [
        f"Study {group.study}, preset {group.preset}: {config.steps} steps of "
        f"{config.batch_size}, Adam {config.learning_rate:g}{clip}; {group.made}.",
        f"Baseline ({task.baseline_name}): {_number(task.baseline, group)}.",
    ]
    if task.threshold is not None:
        side = "at least" if task.higher_is_better else "below"
        said.append(
            f"Solved: test {task.measure} {side} {_number(task.threshold, group)}; steps to it "
            "on the validation set, median [lowest, highest]."
        )
    if group.unfinished:
        runs = "1 run is" if group.unfinished == 1 else f"{group.unfinished} runs are"
        said.append(f"**{runs} not finished and not counted.**")
    return " ".join(said)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _row(summary: Summary, difference: Difference | None, group: Group) -> list[str]:
    known = [each for each in (summary.mean, summary.error) if each is not None]
    if group.config.task.higher_is_better:
        parts = [_number(each, group) for each in known]
    else:
        parts = decimals(*known) if known else []
    score = " ± ".join(parts) or "-"
    return [
        summary.cell,
        f"{summary.parameters:,}",
        f"{score} ({len(summary.scores)})",
        "" if summary.cell == group.cells[0] else _difference(difference, group),
        f"{summary.solved}/{summary.runs}" if group.config.task.threshold is not None else "-",
        _steps(summary.solved_at, group),
        f"{summary.diverged}/{summary.runs}",
        "-" if summary.steps_per_second is None else f"{summary.steps_per_second:.1f}",
    ]


def _difference(found: Difference | None, group: Group) -> str:
    """Write a difference on the same seeds, with Student's interval for three pairs or more."""
    if found is None:
        return "-"
    values = [found.mean, *(each for each in (found.low, found.high) if each is not None)]
    if group.config.task.higher_is_better:
        texts = [f"{100 * value:+.2f}" for value in values]
    else:
        texts = decimals(*values, sign="+")
    return f"{texts[0]} [{', '.join(texts[1:])}]" if len(texts) == 3 else texts[0]


def _number(value: float, group: Group) -> str:
    return f"{100 * value:.2f} %" if group.config.task.higher_is_better else decimals(value)[0]


def _steps(solved_at: Sequence[float], group: Group) -> str:
    """Write median and range; a run that never reached the threshold counts as the longest."""
    steps = group.config.steps
    if group.config.task.threshold is None:
        return "-"

    def shown(at: float) -> str:
        return f"{at:.0f}" if math.isfinite(at) else f"> {steps}"

    if not any(map(math.isfinite, solved_at)):
        return f"> {steps}"
    if len(solved_at) == 1:
        return shown(solved_at[0])
    return f"{shown(median(solved_at))} [{shown(min(solved_at))}, {shown(max(solved_at))}]"


def _claims(checked: Sequence[Checked]) -> str:
    """List each claim once, with all settings that decide it: a table would be too wide."""
    about = (
        "In italics, whether a setting agrees with the claim above it: *yes*: the claim holds in "
        "every seed; *on average*: it holds for the means, or the medians of steps; *not clearly*: "
        "neither it nor the opposite holds; *no*: the opposite holds. A setting may differ from "
        "the source's."
    )
    lines = ["## Claims of the sources", "", about, ""]
    for (says, source), found in groupby(checked, lambda each: (each.says, each.source)):
        lines.append(f"- **{says}** ({source})")
        lines += [f"  - *{each.agrees}*: {each.setting}: {each.ours}" for each in found]
    return "\n".join([*lines, ""])


def _setting(group: Group) -> dict[str, object]:
    return {"study": group.study, "preset": group.preset, "setting": group.title}


def _summary_rows(group: Group) -> Iterable[dict[str, object]]:
    reference = group.cells[0]
    for each in summarize(group.results):
        finite = [at for at in each.solved_at if math.isfinite(at)]
        found = paired_difference(group.results, each.cell, reference)
        yield {
            **_setting(group),
            "cell": each.cell,
            "parameters": each.parameters,
            "measure": each.task.measure,
            "n": len(each.scores),
            "mean": each.mean,
            "standard_error": each.error,
            "reference": reference,
            "difference": found and found.mean,
            "difference_low": found and found.low,
            "difference_high": found and found.high,
            "baseline": each.task.baseline,
            "threshold": each.task.threshold,
            "runs": each.runs,
            "solved": each.solved,
            "diverged": each.diverged,
            "reached": len(finite),
            "median_steps": median(each.solved_at) if each.solved_at else None,
            "steps": group.config.steps,
            "steps_per_second": each.steps_per_second,
        }


def _run_rows(group: Group) -> Iterable[dict[str, object]]:
    for each in group.results:
        yield {
            **_setting(group),
            "cell": each.config.cell,
            "seed": each.config.seed,
            "status": each.status,
            "parameters": each.parameters,
            "measure": each.config.task.measure,
            "test": each.test_score,
            "last_validation": each.curve[-1][1] if each.curve else None,
            "solved_at": each.solved_at,
            "steps_done": each.steps_done,
            "train_seconds": each.train_seconds,
            "steps_per_second": each.steps_per_second,
        }


def _series_rows(group: Group) -> Iterable[dict[str, object]]:
    for cell in group.cells:
        for at, scores in series(group, cell).items():
            yield {
                **_setting(group),
                "cell": cell,
                "at": at,
                "kind": group.config.task.series_kind(at),
                "n": len(scores),
                "mean": fmean(scores),
                "standard_error": standard_error(scores),
            }
