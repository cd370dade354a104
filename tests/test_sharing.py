"""Threads share a sequence by its batch or by units, and compute the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from torchrecurrent import (
    BR,
    GRU,
    LRU,
    LSTM,
    BaseRecurrentCell,
    GRUCell,
    LayerNormLSTM,
    LSTMCell,
    Recurrent,
    RecurrentLayer,
    backend,
    coRNN,
    coRNNCell,
)
from torchrecurrent.engine import Backend
from torchrecurrent.engine.cpu import emit, kernel, sharing, threads
from torchrecurrent.engine.cpu.math import source_file
from torchrecurrent.engine.cpu.products import products
from torchrecurrent.engine.program.buffers import Buffer, Rows, View
from torchrecurrent.engine.program.build import make_plan
from torchrecurrent.engine.program.lower import (
    Matrix,
    Multiply,
    Operation,
    Program,
    Segment,
    Store,
    lower,
)
from torchrecurrent.engine.program.names import Width

from .making import assert_same, input_for
from .test_engine import build, results

#: A slice's part of units is a number of panels, of 16 numbers at most in float64.
WIDTH = 48
LENGTHS = [60, 1, 20, 33, 60, 2, 47]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Three threads, that small sequences are worth; how each call was shared."""
    if not threads.together():
        pytest.skip("threads that wait for each other need torch's OpenMP")
    monkeypatch.setattr(sharing, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(sharing, "_WORTH_A_MEETING", 1)
    monkeypatch.setattr(sharing, "_ENOUGH_ROWS", 1000)
    calls: list[Any] = []
    share = kernel.Kernel.launch

    def launch(self: kernel.Kernel, *given: Any) -> None:
        calls.append(given[4])
        share(self, *given)

    monkeypatch.setattr(kernel.Kernel, "launch", launch)
    # There may be fewer cores than threads, and other tests on them.
    monkeypatch.setattr(sharing.Sharings, "learn", lambda self, parted: None)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield calls
    torch.set_num_threads(before)


def program_of(layer: Any) -> Program:
    return lower(make_plan(layer.cells[0]))


def test_units_are_shared(layer_class: type[RecurrentLayer], shared: list[Any]) -> None:
    layer = build(layer_class, WIDTH, dtype=torch.float64)
    x = input_for(layer, 6, 2)
    ours = results(layer, x, "c")
    choice = sharing.Sharings(program_of(layer), products("double").panel)
    by_units = choice.of(12, 2, False).chunk > 0
    assert {each.chunk > 0 for each in shared} == {by_units}
    assert_same(ours, results(layer, x, "reference"))


@pytest.mark.parametrize("layer_class", [LSTM, GRU, BR, coRNN])
def test_without_gradients(layer_class: type[RecurrentLayer], shared: list[Any]) -> None:
    """Z has room for 48 steps of the input, of which there are two and a part."""
    layer = build(layer_class, WIDTH, dtype=torch.float64)
    x = input_for(layer, 101, 1)
    with torch.no_grad():
        found = [layer(x), layer(x)]
        assert all(each.chunk == 48 for each in shared)
        with backend("reference"):
            assert_same(found, [layer(x)] * 2)


@pytest.mark.parametrize("layer_class", [LSTM, GRU, coRNN])
def test_lengths(layer_class: type[RecurrentLayer], shared: list[Any]) -> None:
    layer = build(layer_class, WIDTH, dtype=torch.float64)
    x, lengths = input_for(layer, 100, 5), torch.tensor([4, 100, 7, 2, 61])

    def found(path: Backend) -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        packed = pack_padded_sequence(leaf, lengths, enforce_sorted=False)
        with backend(path):
            output, _ = layer(packed)
        (gradient,) = torch.autograd.grad(output.data.square().sum(), leaf)
        return [output.data.detach(), gradient]

    ours = found("c")
    assert all(each.chunk for each in shared)
    assert_same(ours, found("reference"))


@pytest.mark.parametrize("name", ["resets", "mask"])
@pytest.mark.parametrize("layer_class", [LSTM, GRU, BR, coRNN])
def test_flags_of_steps(layer_class: type[RecurrentLayer], name: str, shared: list[Any]) -> None:
    layer = build(layer_class, WIDTH, dtype=torch.float64)
    x = input_for(layer, 100, 2)
    flags = {name: torch.rand(100, 2) < 0.7}

    def found(path: Backend) -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        with backend(path):
            output, _ = layer(leaf, **flags)
        wanted = [leaf, *layer.parameters()]
        return [output.detach(), *torch.autograd.grad(output.square().sum(), wanted)]

    ours = found("c")
    assert all(each.chunk for each in shared)
    assert_same(ours, found("reference"))


@pytest.mark.parametrize("kind", [LSTMCell, GRUCell, coRNNCell])
@pytest.mark.parametrize("lengths", [[60], [60] * 7, LENGTHS], ids=["one", "seven", "ragged"])
def test_late_threads_part(
    kind: type[BaseRecurrentCell],
    lengths: list[int],
    shared: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They go on with parts of the batch, in the middle of what was projected."""
    text = source_file("team.h")
    rule = "late > 3 && 8 * late > next"
    assert rule in text
    monkeypatch.setattr(
        emit,
        "source_file",
        lambda name: text.replace(rule, "next == 7") if name == "team.h" else source_file(name),
    )
    parted: list[bool] = []
    monkeypatch.setattr(sharing.Sharings, "learn", lambda self, found: parted.append(found))
    layer = Recurrent(
        type(f"Late{kind.__name__}{len(set(lengths))}{len(lengths)}", (kind,), {}), 3, WIDTH
    )
    layer.to(torch.float64)
    x = input_for(layer, 60, len(lengths))
    ours = results(layer, x, "c", lengths=lengths)
    assert all(each.chunk for each in shared)
    assert parted == [True, True]
    assert_same(ours, results(layer, x, "reference", lengths=lengths))


@pytest.mark.parametrize("lengths", [[60], [60] * 2, [60] * 3, [60] * 7, LENGTHS], ids=str)
@pytest.mark.parametrize("layer_class", [LSTM, GRU, BR])
def test_the_same_bits(
    layer_class: type[RecurrentLayer],
    lengths: list[int],
    shared: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which way a call is shared may depend on what else the machine does."""
    layer = build(layer_class, 2 * WIDTH)
    x = input_for(layer, 60, len(lengths), dtype=torch.float32)
    by_units = results(layer, x, "c", lengths=lengths)
    monkeypatch.setattr(sharing, "_ENOUGH_ROWS", 0)
    monkeypatch.setattr(sharing.Trial, "by_units", False)
    by_batch = results(layer, x, "c", lengths=lengths)
    assert [each.chunk > 0 for each in shared] == [True, True, False, False]
    assert_same(by_units, by_batch, atol=0)


def test_where_threads_meet() -> None:
    """Once a step where one product reads the states, which have rows of their own."""

    def found(layer: RecurrentLayer) -> list[int]:
        program = program_of(layer)
        assert sharing.can_share_units(program)
        forward = sharing.meetings(program.forward, False)
        return [len(forward), len(sharing.meetings(program.backward, True))]

    assert found(LSTM(3, 4)) == [1, 1]
    assert found(GRU(3, 4)) == [1, 1]
    assert found(BR(3, 4)) == [0, 0]
    # Products one after the other: of two values that the step computes, of a state and of one.
    assert found(LRU(3, 4)) == [2, 2]
    assert found(coRNN(3, 4)) == [2, 2]


@pytest.mark.parametrize(("rows", "found"), [(Rows.BATCH, {0, 1}), (Rows.STEP, {1})])
def test_where_threads_meet_before_numbers_are_overwritten(rows: Rows, found: set[int]) -> None:
    width = Width("w0", 4)
    value = View(Buffer("V", width, rows))
    into = View(Buffer("M", width, Rows.STEP))
    step: list[Operation] = [
        Segment("first", [Store(0, 0, value)]),
        Multiply(Matrix("U", "U", 0, 4, 1), value, into),
    ]
    assert sharing.meetings(step, True) == found


def test_sums_over_units_are_not_shared() -> None:
    assert not sharing.can_share_units(program_of(LayerNormLSTM(3, 4)))
    assert not sharing.can_share_units(program_of(LSTM(3, 4, num_heads=2)))


def test_chooses_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "together", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def chunk(hidden: int, batch: int, steps: int = 500) -> int:
        program = program_of(LSTM(8, hidden))
        return sharing.Sharings(program, 32).of(steps * batch, batch, False).chunk

    assert chunk(64, 1) == chunk(512, 1) == 48
    assert chunk(512, 3) == 16
    assert chunk(512, 4) == 0  # two sequences for each thread
    assert chunk(1024, 8) == 6
    assert chunk(1024, 10) == 0
    assert chunk(32, 1) == 0  # a single panel
    assert chunk(500, 1) == 0  # is not a number of panels
    assert chunk(512, 1, steps=8) == 0  # one thread is enough
    monkeypatch.setattr(sharing, "together", lambda: False)
    assert chunk(512, 1) == 0


def test_what_is_faster_is_found_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls each way, of which the fastest counts; then the faster way, until it is asked."""
    monkeypatch.setattr(sharing, "together", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(sharing, "_ANEW", 20)
    choice, tried = sharing.Sharings(program_of(LSTM(8, 256)), 32), [False, True] * 3

    def ways(times: dict[bool, list[float]], calls: int, backward: bool = False) -> list[bool]:
        """Whether units were shared, where a call each way takes these times in turn."""
        found: list[bool] = []
        for _ in range(calls):
            shared = choice.of(4000, 8, backward)
            by_units = shared.chunk > 0
            assert shared.trial is not None
            shared.trial.took(by_units, times[by_units][found.count(by_units) % 3])
            found.append(by_units)
        return found

    assert ways({False: [2.0, 1.0, 9.0], True: [0.9, 4.0, 5.0]}, 20) == [*tried, *[True] * 14]
    assert ways({False: [1.0] * 3, True: [3.0, 0.98, 3.0]}, 20) == [*tried, *[False] * 14]
    assert ways({False: [1.0] * 3, True: [0.5] * 3}, 8, True) == [*tried, True, True]
    assert sharing.Sharings(program_of(BR(8, 256)), 32).of(4000, 8, False).trial is None


def test_a_call_tells_how_long_it_took(shared: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_ENOUGH_ROWS", 0)
    layer = build(LSTM, WIDTH, dtype=torch.float64)
    x = input_for(layer, 20, 7)
    expected = results(layer, x, "reference")
    for _ in range(8):
        assert_same(results(layer, x, "c"), expected)
    assert {each.chunk > 0 for each in shared} == {False, True}
    trials = {each.trial for each in shared}
    assert len(trials) == 2  # forward and backward
    assert all(each is not None and min(each._best) < 1 for each in trials)


@pytest.mark.parametrize(
    ("lengths", "slices", "bounds"),
    [
        ([10, 10, 10, 10], 2, [0, 2, 4]),
        ([30, 10, 10, 10], 2, [0, 1, 4]),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], 3, [0, 2, 4, 9]),
        ([100, 1, 1], 2, [0, 1, 3]),
    ],
)
def test_slices_have_as_many_steps(lengths: list[int], slices: int, bounds: list[int]) -> None:
    """As far as sequences are not cut."""
    sizes = torch.tensor([sum(each > t for each in lengths) for t in range(lengths[0])])
    found = sharing.slice_bounds(sizes, len(lengths), slices)
    assert found is not None
    assert found.tolist() == bounds


def test_few_sequences_are_a_slice_each() -> None:
    assert sharing.slice_bounds(torch.tensor([3, 2, 1]), 3, 3) is None
    assert sharing.slice_bounds(torch.tensor([3, 2, 1]), 3, 1) is None


def test_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cores have other work, the batch is shared for some calls."""
    monkeypatch.setattr(sharing, "together", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    choice = sharing.Sharings(program_of(LSTM(8, 512)), 32)

    def pauses() -> int:
        """How many calls share the batch."""
        return next(k for k in range(10**6) if choice.of(50, 1, False).chunk)

    assert pauses() == 0
    found = []
    for parted in (True, True, True, False, True):
        choice.learn(parted)
        found.append(pauses())
    assert found == [20, 40, 80, 0, 20]
    for _ in range(20):
        choice.learn(True)
    assert pauses() == 10_000
