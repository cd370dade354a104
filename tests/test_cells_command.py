"""``torchrecurrent cells``: what it prints, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from torchrecurrent import cell_info, list_cells
from torchrecurrent.catalog.listing import FAMILIES
from torchrecurrent.cli import main

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: int, *words: str) -> list[str]:
    """The lines that it prints in a terminal of some width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["cells", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_all_cells_fit(capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = run(capsys, monkeypatch, columns)
    assert max(map(len, lines)) <= columns
    assert "\n".join(lines).isascii() or columns > 80  # some titles are not
    rows = {line.split()[0]: line for line in lines if line}
    assert set(rows) == {"Cell", *FAMILIES, *list_cells()}
    assert len([line for line in lines if line]) == len(rows)
    for name in list_cells():
        info = cell_info(name)
        cut = {"MomentumLSTMCell": "h, c, +4", "RWKV4Cell": "a, b, +2", "CTLSTMCell": "c, s, +2"}
        cut |= {"tauGRUCell": "h, +1", "sLSTMCell": "h, c, +2", "RetNetCell": "S_re, +1"}
        cut |= dict.fromkeys(("HGRNCell", "LRUCell", "S5Cell"), "h_re, +1")
        states = "y_re, +3" if name.endswith("LinOSSCell") else cut.get(name)
        states = states or ", ".join(info.states)
        for fact in (str(info.year), states, info.recurrence, info.parameters):
            assert f"  {fact}" in rows[name]
        title = info.title or ""
        assert (title in rows[name]) is (columns - 81 >= len(title))
        assert rows[name].endswith(("...", title)) is (columns > 80)
    place = lines.index(cell_info("BRCell").family)
    assert lines[place + 1].startswith("BRCell ")


def test_a_narrow_terminal_gets_whole_rows(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, monkeypatch, 20) == run(capsys, monkeypatch, 80)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["*lstm*"], list_cells("*lstm*")),
        (["gru"], ["GRUCell"]),
        (["--family", "BISTABLE"], ["BRCell", "nBRCell"]),
        (["*gru*", "--family", "one-gate"], ["LiGRUCell", "SLiGRUCell"]),
        (["gruc*", "--family", "gru"], ["GRUCell"]),
    ],
)
def test_some_cells(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], names: list[str]
) -> None:
    lines = run(capsys, monkeypatch, 80, *words)
    found = {line.split()[0] for line in lines if "  " in line} - {"Cell"}
    assert found == set(names)
    assert {line for line in lines if line in FAMILIES} == {cell_info(n).family for n in names}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing*"], "no cell is called 'nothing*'; without a name all are listed"),
        (
            ["br", "--family", "gru"],
            "no cell of the family GRU-like is called 'br'; without a name",
        ),
        (["br", "--family", "o"], "no cell of the family one-gate or ODE is called 'br'"),
        (["nbrc"], "no cell is called 'nbrc'; close to it: nBR"),
        (["MogrifyerLSTM"], "no cell is called 'MogrifyerLSTM'; close to it: MogrifierLSTM"),
        (["--family", "lstn"], "no family 'lstn'; expected one of LSTM-like, GRU-like, one-gate, "),
    ],
)
def test_nothing_to_list(capsys: Capture, words: list[str], said: str) -> None:
    assert main(["cells", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"torchrecurrent cells: error: {said}")
    assert printed.err.count("\n") == 1


def test_it_is_quiet_when_nobody_reads_on() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "torchrecurrent", "cells"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


def test_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as error:
        main(["cells", "--help"])
    assert error.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(family in text for family in FAMILIES)
    assert "List the cells" in text
