"""The command ``torchrecurrent study``, from its arguments to the files."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

import pytest

from torchrecurrent.catalog.listing import cells
from torchrecurrent.cli import main
from torchrecurrent.studies import command
from torchrecurrent.studies.tasks.registry import STUDIES

#: In this process, one after another.
ALONE = ["--jobs", "1"]


def files(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_the_list_names_all_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "list"]) == 0
    said = capsys.readouterr().out
    for name, study in STUDIES.items():
        assert f"{name}: {study.about}" in said
    assert "can be set: length," in said
    assert said.count("hidden_size") == 1
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("name", STUDIES)
def test_smoke_from_the_run_to_the_figures(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = ["study", "run", name, "--preset", "smoke", "--cells", "GRU", "BRC", *ALONE]
    assert main([*running, "--out", str(tmp_path)]) == 0
    runs = len(list(tmp_path.rglob("result.json")))
    assert runs == len(STUDIES[name].plan("smoke", ["GRU", "BRC"]))
    assert f"{runs} runs finished; see" in capsys.readouterr().out

    before = files(tmp_path)
    assert main([*running, "--out", str(tmp_path)]) == 0
    assert f"{runs} finished, 0 started, 0 new" in capsys.readouterr().out
    assert files(tmp_path) == before

    assert main(["study", "report", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "| GRU |" in said
    assert "| BRC |" in said
    assert (tmp_path / "report.md").read_text() == said.removesuffix("\n")
    assert main(["study", "plot", "--out", str(tmp_path)]) == 0
    drawn = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {each.suffix for each in drawn} == {".png", ".svg"}
    assert all(each.stat().st_size > 5000 for each in drawn)
    assert {key: text for key, text in files(tmp_path).items() if key in before} == before


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = "study run copy-first --preset smoke --cells LSTM,bias=False MGU --seeds 2-4"
    assert main([*running.split(), *ALONE, "--dry-run", "--out", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert "6 runs: 0 finished, 0 started, 6 new; 1 at a time." in said
    assert "LSTM,bias=False: 3 runs, " in said
    assert " minutes on 1 free cores." in said
    assert list(tmp_path.iterdir()) == []


def test_several_values_are_all_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = (
        "study run copy-first --preset smoke --cells BRC --set length=3,4 --set num_layers=1,2"
    )
    assert main([*running.split(), *ALONE, "--dry-run", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for length in (3, 4):
        for layers in (1, 2):
            assert f"copy first input, T = {length}, {layers} x 8, BRC: 1 run," in said


def test_all_are_the_layers_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "seconds_per_step", lambda config: 1.0)
    running = "study run copy-first --preset smoke --cells all --dry-run"
    assert main([*running.split(), *ALONE, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("Left out") == 3  # none takes an input as narrow as this one
    assert "Left out: copy first input, T = 5, MassConservingLSTM, seed 0: cell: could not" in said
    assert "Left out: copy first input, T = 5, EALSTM, seed 0: cell: could not" in said
    assert "Left out: copy first input, T = 5, IntersectionRNN, seed 0: cell: could not" in said
    assert f"{len(cells()) - 3} runs: 0 finished" in said
    for name in ("torchrecurrent.LSTM", "torchrecurrent.GRU", "BR", "nBR", "URLSTM", "LiGRU"):
        assert f"1 x 8, {name}: 1 run, 4 s" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run nothing", "study: expected one of copy-first, denoising, "),
        (
            "run adding --preset huge",
            "preset: expected one of smoke, quick, paper, leaderboard for",
        ),
        ("run adding --cells Nothing", "cell: expected one of LSTM, GRU, BRC, nBRC, a layer or"),
        ("run adding --cells nowhere:Cell", "cell: could not import 'nowhere:Cell'"),
        ("run adding --cells LSTM,bais=False", "cell: could not build 'LSTM,bais=False'"),
        ("run adding --seeds none", "seeds: expected a number of seeds, or first-last, got 'none'"),
        ("run adding --seeds 5-3", "seeds: expected a number of seeds, or first-last, got '5-3'"),
        ("run adding --set lenght=3", "set: adding has no 'lenght'; expected one of length, "),
        ("run adding --set length", "set: expected KEY=VALUE, got 'length'"),
        ("run adding --set length=three", "set: length should be of type int, got 'three'"),
        ("run adding --set length=1", "adding: length: expected at least 2, got 1"),
        ("run adding --set markers=two", "set: markers should be one of halves, anywhere, got"),
        ("run adding --cells nbrx", "torchrecurrent, or package.module:Class, got 'nbrx' (did you"),
        ("run adding --set device=cuda:99", "device: 'cuda:99' cannot be used here: "),
        ("run adding --set device=gpu", "device: 'gpu' cannot be used here: "),
        ("run adding --jobs 0", "jobs: expected at least 1, got 0"),
        ("run adding --set train_size=50", "batch_size: expected 1 to 50, the training set's size"),
        ("run images --set images=mnist", "no mnist in TORCHRECURRENT_DATA, which is not set; set"),
        ("run language-model --set text=novel", "text: expected kjv or python, or a name with a"),
        ("report", "no finished run in "),
        ("report adding", "no finished run of adding in "),
        ("plot", "no finished run in "),
        ("plot nothing", "study: expected one of copy-first, "),
    ],
)
def test_bad_input_is_one_line(
    arguments: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHRECURRENT_DATA", raising=False)
    assert main(["study", *shlex.split(arguments), "--out", str(tmp_path)]) == 2
    written, said = capsys.readouterr()
    assert message in said
    assert said.startswith(f"torchrecurrent study {arguments.split()[0]}: error: ")
    assert said.count("\n") == 1
    assert written == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("action", ["run adding", "run adding --dry-run", "report", "plot"])
def test_results_need_a_folder(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "results"):
        assert main(["study", *action.split(), "--out", str(out)]) == 2
        written, said = capsys.readouterr()
        assert f"error: out: expected a folder, got the file '{file}'\n" in said
        assert said.count("\n") == 1
        assert written == ""
    assert file.read_text() == "mine"


def test_results_that_cannot_be_written_are_refused_before_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert main(["study", "run", "adding", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    written, said = capsys.readouterr()
    assert said.endswith(f"error: out: cannot write in '{tmp_path}': Permission denied\n")
    assert written == ""
    assert list(tmp_path.iterdir()) == []


def test_names_are_found_in_any_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "nbrc NBRC lstm TORCHRECURRENT.LSTM lem LiGRUcell,bias=False"
    words = f"study run copy-first --preset smoke --dry-run --cells {names}"
    assert main([*words.split(), *ALONE, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("5 runs: ")
    for name in ("nBRC", "LSTM", "torchrecurrent.LSTM", "LEM", "LiGRUCell,bias=False"):
        assert f"1 x 8, {name}: 1 run, " in said


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        ([], {"cells": "List the cells", "study": "Run studies"}),
        (["study"], {"list": "the studies", "run": "run what", "report": "tables", "plot": "fig"}),
    ],
)
def test_a_command_alone_lists_what_can_follow(
    words: list[str], listed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    written, said = capsys.readouterr()
    assert written == ""
    for name, about in listed.items():
        assert re.search(rf"^ +{name} +{about}", said, re.MULTILINE)


def test_a_folder_that_is_not_ours_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = ["study", "run", "adding", "--preset", "smoke", "--cells", "BRC", *ALONE]
    assert main([*running, "--out", str(tmp_path)]) == 0
    (result,) = tmp_path.rglob("result.json")
    result.write_text("{}")
    before = files(tmp_path)
    capsys.readouterr()
    for arguments in (running, ["study", "report"], ["study", "plot"]):
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "result.json is not what a run writes" in said
        assert "move the folder" in said
        assert said.count("\n") == 1
        assert files(tmp_path) == before


def test_a_users_cell_by_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "users_layers.py").write_text(
        "from torch import nn\n\n\nclass Plain(nn.RNN):\n    pass\n\n\n"
        "class Broken(nn.RNN):\n    def forward(self, *_):\n"
        "        raise RuntimeError('not today')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    running = ["study", "run", "adding", "--preset", "smoke", *ALONE, "--out", "results"]
    cells = ["--cells", "users_layers:Broken", "users_layers:Plain"]
    assert main([*running, *cells]) == 1  # one of them fails, and the other is run
    written, said = capsys.readouterr()
    assert "users_layers:Plain, seed 0: test MSE" in written
    assert "RuntimeError: not today" in said
    assert main(["study", "report", "--out", "results"]) == 0
    written, _ = capsys.readouterr()
    assert "| users_layers:Plain |" in written
    assert "**1 run is not finished and not counted.**" in written
