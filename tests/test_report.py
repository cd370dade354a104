"""The reports of the studies, and the demo from end to end."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from joblib import parallel_config
from rich.console import Console

from torchrecurrent import studies
from torchrecurrent.studies import demo
from torchrecurrent.studies.reporting.comparison import compare
from torchrecurrent.studies.reporting.report import tables
from torchrecurrent.studies.reporting.summary import first_below, standard_error, summarize
from torchrecurrent.studies.running.records import RunResult
from torchrecurrent.studies.running.store import write_json
from torchrecurrent.studies.running.sweep import SweepError, sweep
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.vowels import Vowels

from .running import CELLS, config, result

# Statistics and report


def test_standard_error() -> None:
    assert standard_error([1.0, 2.0, 3.0]) == pytest.approx(1 / math.sqrt(3))
    assert standard_error([1.0]) is None
    assert standard_error([]) is None


def test_diverged_runs_are_counted_and_shown() -> None:
    scores = {0: 0.5, 1: 0.7, 2: None}
    (summary,) = summarize([result("BRC", seed, score) for seed, score in scores.items()])
    assert (summary.runs, summary.diverged) == (3, 1)
    assert summary.mean == pytest.approx(0.6)
    text = printed([result("BRC", seed, score) for seed, score in scores.items()])
    assert "0.6000 ± 0.1000 (2)" in text
    assert "1/3" in text


def test_one_run_has_no_error_and_none_no_mean() -> None:
    assert "0.5000 (1)" in printed([result("BRC", 0, 0.5)])
    assert "- (0)" in printed([result("BRC", 0, None)])


def test_a_table_fits_80_columns() -> None:
    results = [
        result(cell, seed, 0.123456, task)
        for task in (Vowels(), CopyFirst(100))
        for cell in [*CELLS, "CoupledInputForgetPeepholeLSTM"]
        for seed in range(3)
    ]
    text = printed(results)
    assert max(map(len, text.splitlines())) <= 80
    assert "commonest speaker" in text
    assert "always 0" in text
    assert "12.35 ± 0.00 % (3)" in text


def test_a_table_without_unicode() -> None:
    assert printed([result("BRC", s, 0.5) for s in (0, 1)], unicode=False).isascii()


def printed(results: list[RunResult], *, unicode: bool = True) -> str:
    console = Console(file=io.StringIO(), width=80)
    for table in tables(summarize(results), unicode=unicode):
        console.print(table)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("brc", "verdict", "words"),
    [
        ((0.1, 0.2), 1, "are ahead of"),
        ((3.0, 4.0), -1, "are behind"),
        ((0.1, 4.0), 0, "are not clearly on one side of"),
    ],
)
def test_comparison_of_groups(brc: tuple[float, float], verdict: int, words: str) -> None:
    scores = {"BRC": brc[0], "nBRC": brc[1], "LSTM": 1.0, "GRU": 0.9}
    results = [result(cell, seed, score) for cell, score in scores.items() for seed in (0, 1)]
    found = compare(results, ("BRC", "nBRC"), ("LSTM", "GRU"))
    assert found is not None
    assert found.verdict == verdict
    assert words in str(found)
    assert found.seeds_agreeing == (2 if verdict == 1 else 0)
    assert compare(results, ("BRC",), ("absent",)) is None


def test_first_step_below_a_threshold() -> None:
    runs = [result("BRC", 0, 0.5), result("BRC", 1, None)]
    assert first_below(runs, 0.6) == 2
    assert first_below(runs, 0.5) is None


def test_json_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_json(path, {"value": 1})
    assert json.loads(path.read_text()) == {"value": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": math.nan})
    with pytest.raises(TypeError):
        write_json(path, {"value": object()})
    assert json.loads(path.read_text()) == {"value": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, 1)

    def stopped(self: Path, *_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, 2)
    assert json.loads(path.read_text()) == 1
    assert list(tmp_path.iterdir()) == [path]


# End to end


def test_a_missing_extra_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "rich" else find_spec(name)
    )
    with pytest.raises(ModuleNotFoundError, match=r"rich, of the extra 'studies': pip inst"):
        importlib.reload(studies)


def test_nothing_to_sweep_and_nobody_to_do_it() -> None:
    console = Console(file=io.StringIO())
    assert sweep([], 1, console) == []
    with pytest.raises(ValueError, match="jobs: expected at least 1, got 0"):
        sweep([config()], 0, console)


@pytest.fixture
def threads() -> Iterator[None]:
    """Threads in place of processes, which take seconds to start."""
    with parallel_config(backend="threading"):
        yield


@pytest.mark.usefixtures("threads")
def test_a_sweep_keeps_the_order_and_tells_of_each_run() -> None:
    console = Console(file=io.StringIO(), width=80)
    configs = [
        config(seed=0),
        config("nBRC", task=CopyFirst(9, 10, 10)),
        config(learning_rate=1e37),
    ]
    results = sweep(configs, 2, console)
    assert [each.config for each in results] == configs
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3
    assert sum("diverged at step" in line for line in lines) == 1
    assert sum("test MSE" in line for line in lines) == 2


@pytest.mark.usefixtures("threads")
def test_bars_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    sweep([config(seed=seed) for seed in range(2)], 1, console)
    assert isinstance(console.file, io.StringIO)
    assert "2 of 2 runs" in console.file.getvalue()


@pytest.mark.usefixtures("threads")
def test_a_refused_run_does_not_stop_the_others() -> None:
    refused = replace(config(task=Vowels()), batch_size=1000)
    console = Console(file=io.StringIO(), width=80)
    with pytest.raises(SweepError, match=r"1 runs failed.*batch_size: expected 1 to 216") as raised:
        sweep([refused, config()], 2, console)
    (failure,) = raised.value.failures
    assert failure.config == refused
    assert "passes" in failure.trace
    assert isinstance(console.file, io.StringIO)
    assert "test MSE" in console.file.getvalue()


@pytest.mark.parametrize("option", [["--seeds", "0"], ["--jobs", "-1"], ["--cells", "Nothing"]])
def test_the_demo_refuses(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        demo.main(option)
    assert stop.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_the_demo_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "demo"
    options = ["--smoke", "--jobs", "1", "--seeds", "1", "--steps", "2", "--out", str(out)]
    assert demo.main(options) == 0
    printed_lines, errors = capfd.readouterr()
    assert errors == ""
    files = [out / f"demo.{kind}" for kind in ("png", "svg", "json")]
    assert sorted(out.iterdir()) == sorted(files)  # and nothing unfinished
    assert all(each.stat().st_size > 1000 for each in files)
    lines = printed_lines.splitlines()
    paths = [str(each) for each in files]
    assert set(paths) <= set(lines)
    assert max(len(line) for line in lines if line not in paths) <= 80
    content = json.loads(files[-1].read_text(encoding="utf-8"))
    assert len(content["runs"]) == 3 * len(CELLS)
    assert {each["cell"] for each in content["summary"]} == set(CELLS)
    assert all(each["n"] == 1 and each["standard_error"] is None for each in content["summary"])
    assert content["versions"]["torch"] == torch.__version__
    assert len(content["findings"]) == 5
