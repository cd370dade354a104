"""``cite`` and the bibliography it reads."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import (
    BR,
    GRU,
    MGU,
    BaseRecurrentCell,
    BRCell,
    FastSlow,
    GRUCell,
    LiGRU,
    LSTMCell,
    MGUCell,
    Multiplicative,
    Recurrent,
    cite,
)
from torchrecurrent.catalog.bibliography import entries, field
from torchrecurrent.roles import Gate, State

from .making import fitting, has_gate

BRC = ["vecoven2021bio"]
CHO = ["cho2014learning"]
LSTM_KEYS = ["hochreiter1997long", "gers2000learning"]
MGU_KEYS = ["zhou2016minimal"]


def keys(text: str) -> list[str]:
    """The keys of the entries, in their order."""
    return re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)


def test_every_entry_is_found_and_whole() -> None:
    text = (Path(torchrecurrent.__path__[0]) / "catalog" / "refs.bib").read_text(encoding="utf-8")
    assert len(entries()) == text.count("@") > 40
    assert "\n\n".join(entries().values()) + "\n" == text  # nothing lies between entries
    for entry in entries().values():
        assert entry.count("{") == entry.count("}")
        assert re.fullmatch(r"\d{4}", field(entry, "year"))
        assert field(entry, "title")
        assert field(entry, "author")


def test_fields_as_plain_text() -> None:
    entry = (
        "@misc{key,\n  title = {{RNN} Encoder--Decoder\n           for {X}},\n  year  = {2014},\n}"
    )
    assert field(entry, "title") == "RNN Encoder\N{EN DASH}Decoder for X"
    assert field(entry, "year") == "2014"
    assert field(entry, "itle") == field(entry, "pages") == ""


def test_the_papers_of_every_cell(cell_class: type[BaseRecurrentCell]) -> None:
    options = fitting(cell_class, {"integration": "multiplicative", "recurrence": "diagonal"})
    cell = cell_class(4, 4, **options)
    found = keys(cite(cell))
    assert found[0] == cell_class.citation
    assert ("wu2016multiplicative" in found) == has_gate(cell_class)
    assert found == list(cell.papers)
    assert keys(cite(cell_class(4, 4)))[0] == cell_class.citation
    assert "wu2016multiplicative" not in keys(cite(cell_class(4, 4)))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: nn.Sequential(MGU(3, 4), nn.Tanh(), GRU(4, 4), MGU(4, 4)), [*MGU_KEYS, *CHO]),
        (lambda: GRU(3, 4, num_layers=2, bidirectional=True), CHO),
        (lambda: Recurrent([BRCell, nn.GRUCell, MGUCell], 3, 4), [*BRC, *MGU_KEYS]),
        (lambda: nn.ModuleDict({"b": GRU(3, 4), "a": BR(3, 4)}), [*CHO, *BRC]),
        (lambda: Recurrent(LSTMCell, 3, 4), LSTM_KEYS),
        (lambda: Recurrent(LSTMCell, 3, 4, proj_size=2), [*LSTM_KEYS, "sak2014long"]),
        (
            lambda: Recurrent(LSTMCell, 3, 4, recurrence="diagonal"),
            [*LSTM_KEYS, "gonnet2020indylstms"],
        ),
        (lambda: LiGRU(3, 4, batch_norm=True), ["ravanelli2018light"]),
        (
            lambda: Recurrent(partial(Multiplicative, GRUCell), 3, 4),
            ["sutskever2011generating", *CHO],
        ),
        (
            lambda: FastSlow([LSTMCell, LSTMCell], LSTMCell, 3, 4),
            ["mujika2017fast", *LSTM_KEYS],
        ),
        (lambda: torch.compile(MGU(3, 4), backend="eager"), MGU_KEYS),
        (lambda: nn.LSTM(3, 4), []),
    ],
)
def test_models(model: Any, expected: list[str]) -> None:
    text = cite(model())
    assert keys(text) == expected
    assert text == "\n\n".join(entries()[key] for key in expected)


class UncitedCell(BaseRecurrentCell):
    """Has no paper."""

    @staticmethod
    def step(h: State, n: Gate) -> Tensor:
        return n


class OwnCell(UncitedCell):
    """Has a paper of its own."""

    citation = "me2026"


def test_cells_of_your_own() -> None:
    assert cite(Recurrent(UncitedCell, 3, 4)) == ""
    text = cite(Recurrent([OwnCell, MGUCell, OwnCell], 3, 4))
    first, *rest = text.splitlines()
    assert first == "% me2026: of OwnCell, not in torchrecurrent's bibliography"
    assert keys(text) == MGU_KEYS
    assert "% " not in "\n".join(rest)


@pytest.mark.parametrize("model", [None, "LSTM", LSTMCell])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises(TypeError, match=r"^model should be of type torch\.nn\.Module, got: "):
        cite(model)
