"""A run over two processes is the run of one, but for the order of sums."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from rich.console import Console
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from torchrecurrent.roles import Gate, State
from torchrecurrent.studies.running.distributed import Together
from torchrecurrent.studies.running.processes import Group
from torchrecurrent.studies.running.records import RunConfig, RunResult
from torchrecurrent.studies.running.store import StudyError, kept_run, read_result
from torchrecurrent.studies.running.sweep import SweepError
from torchrecurrent.studies.running.training import Training, run
from torchrecurrent.studies.tasks.adding import Adding
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.task import Batch, Batches, Task

from .broken import SoundCell
from .running import config

SIZE = 2
#: The sums of a gradient are taken in another order: a few bits of float64 at each of 12 steps,
#: which training multiplies, by far less than 1e4.
TOLERANCE = 1e-10
#: For two processes to import torch and train; a hang fails.
SECONDS = 240


@dataclass(frozen=True)
class Running(CopyFirst):
    """A stream cut in pieces of 4 steps: the mean of all its values so far.

    Attributes:
        pieces: after so many a new stream begins; each piece but its first is ``continued``.
    """

    pieces: int = 5

    def training(self, seed: int, batch_size: int) -> Batches:
        def epoch(generator: torch.Generator) -> Any:
            total = torch.zeros(batch_size, 1)
            for k in range(self.pieces):
                inputs = torch.randn(4, batch_size, 1, generator=generator)
                total = total + inputs.sum(0)
                yield Batch(inputs, total / (4 * (k + 1)), continued=k > 0)

        return Batches(torch.Generator().manual_seed(seed), epoch)


class Packed(CopyFirst):
    """The first value of sequences of 1 to ``length`` steps."""

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        rows = [torch.randn(k % self.length + 1, 1, generator=generator) for k in range(count)]
        packed = nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
        return Batch(packed, torch.stack([row[0] for row in rows]))


class Raises(SoundCell):
    """A user's cell that cannot be run."""

    @staticmethod
    def step(h: State, z: Gate, n: Gate) -> Tensor:
        raise ArithmeticError("no such luck")


TASKS: dict[str, Task] = {
    "adding": Adding(6, validation_size=9, test_size=9),
    "stream": Running(4, 9, 9),
    "rest": CopyFirst(4, 9, 9, train_size=27),  # 27 = 3 x 8 + 3, which two cannot share
    "packed": Packed(4, 9, 9),
}
CONFIGS: dict[str, RunConfig] = {
    f"{name} {cell}": config(
        cell, 3, task, steps=12, batch_size=8, evaluate_every=4, learning_rate=0.05, clip=0.1
    )
    for name, task in TASKS.items()
    for cell in ("LSTM", "nBRC")
}
#: Within a stream; the first state is of step 7, its third piece.
LEFT_AT = 7
#: A score that no run has: who tells it took it from the state.
MARK = 123.0


def trained(
    wanted: RunConfig, path: Path, saved: Any = None, group: Group | None = None
) -> tuple[RunResult, dict[str, Tensor], int]:
    """The result, the weights and the first step; saves the state at ``LEFT_AT``."""
    weights: dict[str, Tensor] = {}
    steps: list[int] = []

    def watch(training: Training) -> None:
        steps.append(training.step)
        weights.update({k: v.clone() for k, v in training.model.state_dict().items()})
        if training.step == LEFT_AT:
            state = training.state()
            if group is None or group.rank == 0:
                torch.save(state, path)

    made = run(wanted, watch, saved) if group is None else run(wanted, watch, saved, group)
    return made, weights, steps[0]


def work(rank: int, folder: Path) -> None:
    """The work of each of two processes; the tests read the files that it leaves in ``folder``."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "meeting"), SIZE)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=SIZE)
    group = Group()
    found: dict[str, Any] = {}
    for name, wanted in CONFIGS.items():
        found[name] = trained(wanted, folder / f"{name} by two", group=group)
        saved = torch.load(folder / f"{name} by one")
        found[f"{name} resumed"] = trained(wanted, folder / "unread", saved, group)
    wild = replace(CONFIGS["adding LSTM"], learning_rate=1e300)
    found["wild"] = run(wild, processes=group)

    kept = folder / "kept"
    kept_run(kept, CONFIGS["adding LSTM"], checkpoint_seconds=0, processes=group)
    try:
        kept_run(kept, CONFIGS["adding nBRC"], processes=group)
    except StudyError as error:
        found["refused"] = str(error)
    found["taken up"] = kept_run(folder / "taken up", CONFIGS["stream LSTM"], processes=group)
    configs = [CONFIGS["rest nBRC"], config(f"{__name__}:Raises"), CONFIGS["rest LSTM"]]
    with pytest.raises(SweepError) as raised:
        Together().sweep(configs, Console(quiet=True), [folder / f"sweep {k}" for k in range(3)])
    found["failures"] = [(each.config.cell, each.message) for each in raised.value.failures]
    found["decided"] = group.decided(rank + 5)
    torch.save(found, folder / f"found by {rank}")
    dist.destroy_process_group()


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, Any]:
    """The results of one process, and the states it leaves in the folder."""
    torch.set_default_dtype(torch.float64)
    try:
        found = {name: trained(CONFIGS[name], folder / f"{name} by one") for name in CONFIGS}
        # As if the process had been killed.
        kept_run(folder / "taken up", CONFIGS["stream LSTM"])
        (folder / "taken up" / "result.json").unlink()
        state = torch.load(folder / "stream LSTM by one")
        state["curve"][0] = (0, MARK)
        torch.save(state, folder / "taken up" / "checkpoint.pt")
        return found
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def together(alone: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The results of each of two processes."""
    processes = start_processes(work, args=(folder,), nprocs=SIZE, join=False, start_method="spawn")
    try:
        until = time.monotonic() + SECONDS
        while not processes.join(timeout=1):  # raises what a process raised
            assert time.monotonic() < until
    finally:
        for each in processes.processes:
            each.kill()
            each.join()
    # Made above, with results among it, which are no tensors.
    return [torch.load(folder / f"found by {k}", weights_only=False) for k in range(SIZE)]


def assert_equal(found: tuple[RunResult, Any, int], expected: tuple[RunResult, Any, int]) -> None:
    """Curves, scores and weights, to the tolerance."""
    made, wanted = (numbers(each[0]) for each in (found, expected))
    assert made == pytest.approx(wanted, rel=TOLERANCE, abs=TOLERANCE)
    torch.testing.assert_close(found[1], expected[1], rtol=TOLERANCE, atol=TOLERANCE)


def numbers(result: RunResult) -> list[float]:
    assert result.status == "done"
    assert result.test_score is not None
    pairs = [*result.curve, *result.losses, *result.series.items()]
    return [result.steps_done, result.test_score, *itertools.chain(*pairs)]


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_do_what_one_does(
    name: str, alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    result = alone[name][0]
    assert [at for at, _ in result.curve] == [0, 4, 8, 12]
    assert result.curve[0][1] != result.curve[-1][1]
    for found in together:
        assert_equal(found[name], alone[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_state_of_one_process_is_taken_up_by_two(
    name: str, alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    for found in together:
        assert found[f"{name} resumed"][2] == LEFT_AT + 1
        assert_equal(found[f"{name} resumed"], alone[name])


@pytest.mark.usefixtures("float64", "together")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_state_of_two_processes_is_taken_up_by_one(
    name: str, alone: dict[str, Any], folder: Path
) -> None:
    ours, theirs = (torch.load(folder / f"{name} by {who}") for who in ("one", "two"))
    assert ours.keys() == theirs.keys()
    for part in ("model", "carried"):
        torch.testing.assert_close(theirs[part], ours[part], rtol=TOLERANCE, atol=TOLERANCE)
    resumed = trained(CONFIGS[name], folder / "unread", theirs)
    assert resumed[2] == LEFT_AT + 1
    assert_equal(resumed, alone[name])


def test_both_take_the_first_one_s_word(together: list[dict[str, Any]], folder: Path) -> None:
    for found in together:
        assert found["decided"] == 5
        assert "another configuration (cell: 'LSTM' there" in found["refused"]
        assert found["wild"].status == "diverged"
        assert found["wild"].steps_done == together[0]["wild"].steps_done
    kept = folder / "kept"
    assert {each.name for each in kept.iterdir()} == {
        "config.json",
        "checkpoint.pt",
        "metrics.csv",
        "result.json",
    }
    assert json.loads((kept / "config.json").read_text())["machine"]["processes"] == SIZE


def test_a_folder_of_one_process_is_taken_up_by_two(
    alone: dict[str, Any], together: list[dict[str, Any]], folder: Path
) -> None:
    wanted = alone["stream LSTM"][0]
    wanted = replace(wanted, curve=((0, MARK), *wanted.curve[1:]))
    for found in together:
        assert numbers(found["taken up"]) == pytest.approx(numbers(wanted), rel=TOLERANCE)
    assert numbers(read_result(folder / "taken up", wanted.config)) == numbers(found["taken up"])


def test_a_run_that_fails_ends_a_sweep(together: list[dict[str, Any]], folder: Path) -> None:
    for found in together:
        assert found["failures"] == [(f"{__name__}:Raises", "ArithmeticError: no such luck")]
    assert read_result(folder / "sweep 0", CONFIGS["rest nBRC"]).status == "done"
    assert not (folder / "sweep 2").exists()
