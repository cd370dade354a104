"""Small configurations and results of studies."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchrecurrent.studies.running.records import RunConfig, RunResult
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.task import Batch, Task

CELLS = ["LSTM", "GRU", "BRC", "nBRC"]


def config(
    cell: str = "LSTM", seed: int = 0, task: Task | None = None, **options: Any
) -> RunConfig:
    small = {"hidden_size": 4, "num_layers": 1, "steps": 3, "batch_size": 5}
    rest = {"learning_rate": 0.01, "evaluate_every": 2}
    return RunConfig(task or CopyFirst(3, 10, 10), cell, seed, **{**small, **rest, **options})


def result(cell: str, seed: int, score: float | None, task: Task | None = None) -> RunResult:
    """A run as if it had been made."""
    status = "done" if score is not None else "diverged"
    curve = ((0, 1.0), (2, 0.5))
    return RunResult(config(cell, seed, task), status, 1234, 3, 0.5, curve, score)  # type: ignore[arg-type]


def inputs_of(batch: Batch) -> Tensor:
    """The inputs of a batch of sequences of one length."""
    assert isinstance(batch.inputs, Tensor)
    return batch.inputs
