"""The results of a cell in the published studies, beside LSTM and GRU on the same data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torchrecurrent
from torchrecurrent import RecurrentLayer
from torchrecurrent.studies.reporting.numbers import decimals
from torchrecurrent.studies.running.models import LAYERS

__all__ = ["StudyRow", "study_rows"]

#: What `torchrecurrent study report` wrote.
SUMMARY = Path(__file__).parents[1] / "studies" / "summary.csv"


@dataclass(frozen=True)
class StudyRow:
    """One setting of a study."""

    setting: str
    measure: str
    ours: str
    lstm: str
    gru: str
    trivial: str


@cache
def _settings() -> dict[tuple[str, str], dict[str, Mapping[str, str]]]:
    """By study and setting, and by cell."""
    found: dict[tuple[str, str], dict[str, Mapping[str, str]]] = {}
    with SUMMARY.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row["study"], f"{row['setting']}, {row['steps']} steps")
            found.setdefault(key, {})[row["cell"]] = row
    return found


def study_rows(layer: type[RecurrentLayer]) -> list[StudyRow]:
    """The settings that a layer was run in."""
    rows: list[StudyRow] = []
    for (_, setting), cells in _settings().items():
        for name, row in cells.items():
            found = LAYERS.get(name) or getattr(torchrecurrent, name.rpartition(".")[2], None)
            if found in (layer, layer.cell):
                lstm, gru = (_score(cells.get(each)) for each in ("LSTM", "GRU"))
                trivial = f"{float(row['baseline']):.3g}"
                rows.append(StudyRow(setting, row["measure"], _score(row), lstm, gru, trivial))
    return rows


def _score(row: Mapping[str, str] | None) -> str:
    if row is None or not row["mean"]:
        return "-"
    known = [row[key] for key in ("mean", "standard_error") if row[key]]
    return f"{' ± '.join(decimals(*map(float, known)))} ({row['n']})"
