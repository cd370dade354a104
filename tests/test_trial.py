"""A trial finds what is wrong with a kernel, and nothing wrong with one that is right."""

# ruff: noqa: F811 (fixtures are imported, and then asked for by their names)

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

from torchrecurrent import BR, LEM, LRU, LSTM, IndRNN, RecurrentLayer, nBR
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine.gpu import grid
from torchrecurrent.engine.gpu.memory import Guards, fresh
from torchrecurrent.engine.program.form import Form
from torchrecurrent.engine.run import trial
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.engine.run.trial import Trial

from .test_engine import build
from .trying import (  # noqa: F401
    FORWARD,
    HERE,
    RAGGED,
    TRAINING,
    Mutation,
    cache,
    fault,
    kernel_of,
    plant,
    swapped,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

CHUNKS = Form(True, chunks=True)
LAYERS = list(map(layer_of, cells().values()))


#: What is planted, in which cell, and the form that must find it. One layer has two tiles of units.
FAULTS: dict[str, tuple[Mutation, type[RecurrentLayer], int, Form]] = {
    "the state before is that after": (
        swapped(r"before = tl.maximum\(row - many, 0\)", "before = row"), BR, 5, TRAINING),
    "the first state is forgotten": (
        swapped(r"tl\.where\(t > 0, (.*), f\d+\)\n", r"\1\n"), BR, 5, TRAINING),
    "later tiles have the units of the first": (
        swapped(r"j = tl.program_id\(1\) \* BLOCK \+ ", "j = "), BR, 11, FORWARD),
    "later tiles have the sequences of the first": (
        swapped(r"n = \(tl.program_id\(0\) \* ROWS \+ ", "n = ("), nBR, 5, FORWARD),
    "the last unit is masked out": (
        swapped(r"\(j < w(\d)\)", r"(j < w\1 - 1)"), BR, 5, FORWARD),
    "a bias is missing": (
        swapped(r" \+ tl\.load\(p\d+ \+ j \+ 0 \* n, inside, other=0\.0\)\.to\(tl\.float32\)\n",
                "\n", 1), BR, 5, FORWARD),
    "ended sequences go on": (
        swapped(r"tl\.where\(active, (\S+), (s\d|g\d)\)", r"\1"), BR, 5, RAGGED),
    "a load runs ahead of its step": (
        swapped(r"x1 = tl\.load\((p\d) \+ \(row \+ n\)",
                r"x1 = tl.load(\1 + (row - (many if t >= 6 else 0) + n)"), BR, 5, TRAINING),
    "what enters a chunk lacks the vector": (
        swapped(r"(y0 = .*\* g0) \+ tl\.load\(.*\n", r"\1\n"), BR, 5, CHUNKS),
    "all chunks store the first one's sums": (
        swapped(r"tl\.store\((p\d+) \+ \(chunk \* many \+ n\)",
                r"tl.store(\1 + (0 * many + n)"), BR, 5, CHUNKS),
    "tanh is an approximation": (
        swapped(r"tr_tanh\((x\d+)\)", r"(tr_tanh(\1) * 1.0005)"), BR, 5, FORWARD),
    "sigmoid is wrong far out": (
        swapped(r"tr_sigmoid\((x\d+)\)", r"tl.where(\1 < -20, 1.0, tr_sigmoid(\1))"),
        BR, 5, FORWARD),
    "another column of Z": (swapped(r"\(1 \* w0\)", "(0)"), LSTM, 5, FORWARD),
    "another column of dZ": (
        swapped(r"tl\.store\(p4 \+ \(row \+ n\) \* \(3 \* w0\) \+ \(0\)",
                "tl.store(p4 + (row + n) * (3 * w0) + (1 * w0)"), BR, 5, TRAINING),
    "the last unit's neighbour is written": (
        swapped(r"\(j < w(\d)\)", r"(j < w\1 + 1)"), LSTM, 5, FORWARD),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_found(what: str, plant: Any) -> None:
    change, layer_class, width, form = FAULTS[what]
    changed = plant(change)
    assert fault(layer_class(3, width), form)
    assert changed


def test_kahans_sign_shows_in_long_sequences_only(
    plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At thirteen steps it is below rounding: what is not seen is said here."""
    assert plant(swapped(r"- e(\d)\b", r"+ e\1")) == []
    assert not fault(IndRNN(3, 5), TRAINING)
    monkeypatch.setattr(trial, "STEPS", 1000)
    monkeypatch.setattr(trial, "_ROUNDINGS", 4.0)  # as tests/test_accuracy.py allows
    monkeypatch.setattr(trial, "_DRAWS", 1)
    assert "gradient" in fault(IndRNN(3, 5), TRAINING)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("form", [FORWARD, TRAINING, RAGGED, CHUNKS], ids=str)
@pytest.mark.parametrize("layer_class", [BR, LSTM, LRU])
def test_a_right_kernel_passes(
    layer_class: type[RecurrentLayer], form: Form, dtype: torch.dtype
) -> None:
    assert fault(layer_class(3, 5), form, dtype) == ""


@pytest.mark.parametrize("form", [TRAINING, RAGGED], ids=str)
def test_a_right_kernel_with_masks_and_times_passes(form: Form) -> None:
    layer = LEM(3, 5, recurrent_dropout=0.4, zoneout=0.3)
    given = kernel_of(layer, gaps=True)
    assert trial.fault(Trial(*given, torch.float32, HERE, form)) == ""


def test_a_right_kernel_of_every_cell_passes(
    layer_class: type[RecurrentLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in one of the forms; in few steps, since the interpreter loads none of them ahead."""
    monkeypatch.setattr(trial, "STEPS", 5)
    place = LAYERS.index(layer_class)
    form = (TRAINING, RAGGED, CHUNKS)[place % 3]
    assert fault(build(layer_class, 3), form) == ""


def test_a_trial_is_longer_than_its_loads_run_ahead() -> None:
    """Else what they reuse would not be used again."""
    assert trial.STEPS > grid._MOST_STAGES


class _InC:
    """The kernel for the CPU, as a trial sees it."""

    tallest, made_of = 4, dict[str, str]()

    def tried(self, form: Form, guards: Guards) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("layer_class", [BR, LSTM, LRU, IndRNN])
def test_a_trial_asks_nothing_of_the_language(layer_class: type[RecurrentLayer]) -> None:
    """A kernel in C passes too, at a width that the interpreter would take too long for."""
    cell: Any = layer_class(100, 300).cells[0]
    found = fused(cell)
    assert isinstance(found, Fused)
    for form in (TRAINING, RAGGED):
        assert trial.fault(Trial(cell, found, _InC(), torch.float32, HERE, form)) == ""


def test_guards_see_what_is_written_around_a_tensor() -> None:
    for value in (torch.nan, -1024.0):
        for place in (-1, 6):
            guards = Guards()
            guards.value = value
            with guards.around_all():
                made = fresh(torch.ones(1), (2, 3))
            assert made.shape == (2, 3)
            assert made.data_ptr() % 16 == 0
            made.fill_(1)
            assert not guards.broken
            whole = made.as_strided((1,), (1,), made.storage_offset() + place)
            whole.fill_(torch.inf)
            assert guards.broken
    assert guards.put(torch.ones(2), 1).data_ptr() % 16 == 4
    assert fresh(torch.ones(1), (2,)).storage_offset() == 0
