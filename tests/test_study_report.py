"""Tables, claims and figures of runs whose outcome is made up, so that all numbers are known."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scipy.stats import ttest_rel

from torchrecurrent.studies.reporting.comparison import compare, paired_difference
from torchrecurrent.studies.reporting.figure import draw_group
from torchrecurrent.studies.reporting.numbers import decimals
from torchrecurrent.studies.reporting.study_report import write_report
from torchrecurrent.studies.running.groups import load
from torchrecurrent.studies.running.records import RunConfig, RunResult
from torchrecurrent.studies.running.store import StudyError, write_json
from torchrecurrent.studies.running.study import run_folder
from torchrecurrent.studies.tasks.registry import STUDIES

SCORES = {
    "LSTM": (0.16, 0.12, 0.14),
    "GRU": (0.01, 0.02, 0.03),
    "BRC": (0.02, 0.01, 0.03),
    "nBRC": (0.011, 0.031, None),
}
#: At step 50, 100, 150 of the validation curve.
CURVES = {
    "LSTM": (0.2, 0.2, 0.2),
    "GRU": (0.1, 0.04, 0.01),
    "BRC": (0.1, 0.1, 0.01),
    "nBRC": (0.04, 0.02, 0.02),
}


def made_up(config: RunConfig, score: float | None, **changes: object) -> RunResult:
    curve = tuple(zip((50, 100, 150), CURVES[config.cell], strict=True))
    status = "done" if score is not None else "diverged"
    result = RunResult(config, status, 12_345, 150, 3.0, curve, score)  # type: ignore[arg-type]
    return replace(result, **changes)  # type: ignore[arg-type]


def keep(out: Path, study: str, result: RunResult, preset: str = "quick") -> Path:
    folder = run_folder(out, study, preset, result.config)
    machine = {"processor": "Abacus", "cores": 2}
    made = {"date": "2026-11-22T10:00:00", "versions": {"torch": "2.13"}, "machine": machine}
    write_json(folder / "config.json", {"config": result.config.to_dict(), **made})
    write_json(folder / "result.json", result.to_dict())
    return folder


@pytest.fixture
def adding(tmp_path: Path) -> Path:
    """A folder of three seeds of four cells."""
    for config in STUDIES["adding"].plan("quick", list(SCORES), range(3), {"steps": "150"}):
        keep(tmp_path, "adding", made_up(config, SCORES[config.cell][config.seed]))
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_small_numbers_keep_their_digits() -> None:
    assert decimals(0.1234567, 0.0000012) == ["0.1235", "0.0000"]
    assert decimals(-0.00043, 0.00001, sign="+") == ["-4.3e-04", "+1.0e-05"]
    assert decimals(0.0) == ["0.0000"]


def test_the_table(adding: Path) -> None:
    text = write_report(adding)
    assert text.startswith("# Results\n")
    lines = text[text.index("## Adding") :].splitlines()
    assert lines[0] == "## Adding, T = 50, 1 x 64 units"
    assert "150 steps of 100, Adam 0.001; 2026-11-22, Abacus, 2 cores, torch 2.13." in lines[2]
    assert "Solved: test MSE below 0.0500" in lines[2]
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[4:10]]
    assert table[0][:5] == [
        "cell",
        "parameters",
        "test MSE, mean ± SE (n)",
        "minus LSTM [95 %]",
        "solved",
    ]
    low, high = ttest_rel(SCORES["GRU"], SCORES["LSTM"]).confidence_interval(0.95)
    error = 0.02 / math.sqrt(3)
    assert table[2] == [
        "LSTM",
        "12,345",
        f"0.1400 ± {error:.4f} (3)",
        "",
        "0/3",
        "> 150",
        "0/3",
        "49.7",
    ]
    assert table[3][2:6] == [
        f"0.0200 ± {error / 2:.4f} (3)",
        f"-0.1200 [{low:+.4f}, {high:+.4f}]",
        "3/3",
        "100 [100, 100]",
    ]
    # The run that diverged has no score, and is in every count; of two pairs there's no interval.
    assert table[5][:7] == [
        "nBRC",
        "12,345",
        "0.0210 ± 0.0100 (2)",
        "-0.1190",
        "2/3",
        "50 [50, 50]",
        "1/3",
    ]


def test_the_csv_files(adding: Path) -> None:
    write_report(adding)
    summary = {row["cell"]: row for row in rows(adding / "summary.csv")}
    assert float(summary["GRU"]["difference"]) == pytest.approx(-0.12)
    assert summary["nBRC"]["diverged"] == "1"
    assert summary["nBRC"]["difference_low"] == ""
    assert summary["LSTM"]["median_steps"] == "inf"
    runs = rows(adding / "runs.csv")
    assert [float(row["test"]) for row in runs if row["cell"] == "BRC"] == list(SCORES["BRC"])
    assert [row["status"] for row in runs].count("diverged") == 1
    assert rows(adding / "series.csv") == []


def test_the_claims_keep_what_contradicts_them(adding: Path) -> None:
    text = write_report(adding)
    assert "## Claims of the sources" in text
    found = {row["claim"]: row for row in rows(adding / "claims.csv")}
    assert all(text.count(f"- **{claim}** ({row['source']})") == 1 for claim, row in found.items())
    by_words = {
        words: row for claim, row in found.items() for words in [claim.split(" comes to ")[0]]
    }
    # GRU comes to it at 100, before BRC (150) and after nBRC (50).
    slow = next(row for claim, row in found.items() if claim.startswith("GRU (560 steps)"))
    assert slow["agrees?"] == "not clearly"
    assert slow["ours"] == "median steps: GRU 100, BRC 150, nBRC 50; so in 0 of 3 seeds"
    assert by_words["BRC"]["agrees?"] == "no"
    assert by_words["UR-LSTM"]["agrees?"] == "-"
    assert by_words["UR-LSTM"]["ours"] == "not run"
    assert all("1 x 64 units, 150 steps of 100" in row["setting"] for row in found.values())


def test_a_claim_may_hold_on_average_only(tmp_path: Path) -> None:
    scores = {"LSTM": (0.5, 0.4), "GRU": (0.3, 0.7), "BRC": (0.9, 0.9), "nBRC": (0.99, 0.97)}
    settings = {"num_layers": "1", "steps": "150"}
    for config in STUDIES["binary-addition"].plan("paper", list(scores), range(2), settings):
        own = scores[config.cell][config.seed]
        result = made_up(config, own, series={3: 1.0, 15: own, 60: own})
        keep(tmp_path, "binary-addition", result, "paper")
    write_report(tmp_path)
    agrees = [row["agrees?"] for row in rows(tmp_path / "claims.csv")]
    assert agrees == ["yes", "yes", "on average"]
    series = [row for row in rows(tmp_path / "series.csv") if row["cell"] == "GRU"]
    assert [(row["at"], row["kind"], float(row["mean"])) for row in series] == [
        ("3", "exhaustive", 1.0),
        ("15", "held out", pytest.approx(0.5)),
        ("60", "longer", pytest.approx(0.5)),
    ]
    (group,) = load(tmp_path)
    _, drawn = draw_group(group, tmp_path / "figure")
    said = words(drawn)
    assert {"exhaustive", "held out", "longer", "L, bits of both numbers together"} <= said


def words(path: Path) -> set[str]:
    """The texts of an SVG."""
    return {"".join(each.itertext()) for each in ElementTree.parse(path).iter() if each.text}


def test_the_figure_says_what_is_drawn(adding: Path) -> None:
    (group,) = load(adding)
    png, svg = draw_group(group, adding / "figures" / group.key)
    assert png.read_bytes()[:4] == b"\x89PNG"
    said = words(svg)
    assert {"LSTM", "GRU", "BRC", "nBRC (1/3 diverged)"} <= said
    assert {"always 1: 0.167", "solved: 0.05", "Adding, T = 50, 1 x 64 units"} <= said
    assert "validation MSE (mean ± SE, n = 3)" in said
    assert f"](figures/{svg.name})" in write_report(adding)


def test_a_run_that_is_not_over_is_told_and_not_counted(adding: Path) -> None:
    next(adding.rglob("GRU/seed-1/result.json")).unlink()
    text = write_report(adding)
    assert "**1 run is not finished and not counted.**" in text
    assert "| GRU | 12,345 | 0.0200 ± 0.0100 (2) |" in text


def test_a_folder_under_another_name_is_refused(adding: Path) -> None:
    folder = next(adding.rglob("GRU/seed-1"))
    folder.rename(folder.parent / "seed-7")
    with pytest.raises(StudyError, match="of another configuration than its name says; move it"):
        load(adding)


def test_levels_and_shares() -> None:
    """A level takes the place of one side; of shares the higher is ahead."""
    (low, high) = STUDIES["binary-addition"].plan("quick", ["LSTM", "GRU"], [0])
    results = [made_up(low, 0.7), made_up(high, 0.95)]
    found = compare(results, ("GRU",), ("LSTM",))
    assert found is not None
    assert found.verdict == 1
    assert str(found) == ("GRU is ahead of LSTM (GRU 0.95, LSTM 0.7); ahead in 1 of 1 seeds")
    above = compare(results, ("LSTM", "GRU"), (), level=0.5)
    below = compare(results, (), ("LSTM",), level=0.6)
    assert above is not None
    assert below is not None
    assert (above.verdict, below.verdict) == (1, -1)
    assert str(below).startswith("0.6 is behind LSTM")


def test_pairs_share_their_seed() -> None:
    plan = STUDIES["adding"].plan("quick", ["LSTM", "GRU"], range(4), {"steps": "150"})
    scores = {"LSTM": (0.1, 0.2, 0.3, 0.4), "GRU": (0.11, 0.22, 0.31, None)}
    results = [made_up(each, scores[each.cell][each.seed]) for each in plan]
    found = paired_difference(results, "GRU", "LSTM")
    assert found is not None
    assert found.pairs == 3
    # Of the differences .01, .02 and .01, far tighter than of the scores.
    interval = ttest_rel((0.11, 0.22, 0.31), (0.1, 0.2, 0.3)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert paired_difference(results[:4], "GRU", "LSTM") is None
