"""The leaderboard of runs whose outcome is made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.studies.reporting.leaderboard import Entry, mean_places, place, read, write
from torchrecurrent.studies.reporting.pareto import draw_pareto, frontier
from torchrecurrent.studies.running.groups import Group
from torchrecurrent.studies.running.records import RunResult
from torchrecurrent.studies.running.study import SEEDS
from torchrecurrent.studies.tasks.registry import STUDIES

#: Adding has an error, vowels an accuracy; ``None``: diverged.
ERRORS = {
    "torchrecurrent.LSTM": (0.02, 0.04, 0.03),
    "MGU": (0.001, None, 0.001),
    "nBR": (0.01, 0.01, 0.01),
    "LEM": (0.2, 0.2, 0.2),
    "STAR": (0.01, 0.01, 0.01),
}
ACCURACIES = {"torchrecurrent.LSTM": (0.9, 0.91, 0.92), "nBR": (0.97, 0.95, 0.96)}
TIMES = {("adding", "LSTM"): 2.0, ("adding", "nBR"): 4.0, ("adding", "STAR"): 1.0}
#: Where the boards of the documentation are kept.
KEPT = Path(__file__).parents[1] / "docs" / "leaderboard" / "scores.csv"


def group(study: str, scores: Mapping[str, tuple[float | None, ...]]) -> Group:
    results = [
        RunResult(
            config=config,
            status="done"
            if (score := scores[config.cell][config.seed]) is not None
            else "diverged",
            parameters=10,
            steps_done=config.steps,
            train_seconds=1.0,
            curve=((0, 0.5), (100, 0.04 if config.cell == "nBR" and config.seed else 0.3)),
            test_score=score,
        )
        for config in STUDIES[study].plan("leaderboard", list(scores))
    ]
    return Group(study, "leaderboard", tuple(results), 0, "today")


@pytest.fixture
def entries() -> list[Entry]:
    return place([group("adding", ERRORS), group("vowels", ACCURACIES)], TIMES)


def test_rows_join_a_board_whose_runs_are_gone(entries: list[Entry]) -> None:
    fewer = {cell: scores for cell, scores in ERRORS.items() if cell not in ("MGU", "STAR")}
    known = place([group("adding", fewer), group("vowels", ACCURACIES)], TIMES)
    more = {cell: ERRORS[cell] for cell in ("MGU", "STAR")}
    assert place([group("adding", more)], TIMES, known) == entries
    anew = place([group("adding", {"STAR": (0.5, 0.5, 0.5)})], TIMES, entries)
    assert [each.layer for each in anew if each.study == "adding"][-2:] == ["STAR", "MGU"]
    other = [replace(each, setting="another size") for each in known]
    with pytest.raises(ValueError, match="expected runs of the setting 'another size', as those"):
        place([group("adding", more)], TIMES, other)


def test_places(entries: list[Entry]) -> None:
    places = [(each.study, each.layer, each.place) for each in entries]
    # Equal scores share a place; what diverged once is behind what never did.
    assert places == [
        ("adding", "nBR", 1),
        ("adding", "STAR", 1),
        ("adding", "LSTM", 3),
        ("adding", "LEM", 4),
        ("adding", "MGU", 5),
        ("vowels", "nBR", 1),
        ("vowels", "LSTM", 2),
    ]
    best, star, lstm, lem, last = entries[:5]
    assert (best.solved, best.steps_to_solve, lem.solved, lem.steps_to_solve) == (3, 100, 0, None)
    assert (last.mean, last.runs, last.diverged) == (0.001, 3, 1)
    assert (star.milliseconds, star.seconds, lem.milliseconds) == (1.0, star.steps / 1000, None)
    assert lstm.mean == pytest.approx(0.03)


def test_mean_places_are_of_cells_on_every_task(entries: list[Entry]) -> None:
    assert mean_places(entries) == {"nBR": 1, "LSTM": 2.5}


def test_what_is_written_is_read(entries: list[Entry], tmp_path: Path) -> None:
    write(tmp_path / "scores.csv", entries)
    again = read(tmp_path / "scores.csv")
    assert [(each.layer, each.place, each.solved) for each in again] == [
        (each.layer, each.place, each.solved) for each in entries
    ]
    assert again[0].mean == pytest.approx(entries[0].mean)
    write(tmp_path / "again.csv", again)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "scores.csv").read_text()


def test_the_frontier(entries: list[Entry], tmp_path: Path) -> None:
    timed = [each for each in entries if each.study == "adding" and each.milliseconds]
    # nBR is as good as STAR and slower, LSTM is worse and slower.
    assert [each.layer for each in frontier(timed)] == ["STAR"]
    written = draw_pareto(timed, tmp_path / "adding")
    svg = next(path for path in written if path.suffix == ".svg").read_text()
    assert "STAR" in svg
    assert "LSTM" in svg
    assert ">nBR<" not in svg


def test_the_published_board_is_of_three_seeds() -> None:
    layers = {layer_of(cell).__name__ for cell in cells().values()}
    found = read(KEPT)
    assert {each.layer for each in found} <= layers
    assert {each.runs for each in found} == {SEEDS["leaderboard"]}
    for study in {each.study for each in found}:
        places = [each.place for each in found if each.study == study]
        assert places == sorted(places)
