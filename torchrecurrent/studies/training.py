"""One run: one cell on one task from one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from .models import SequenceModel
from .streams import stream_seed
from .task import Batch, Task

__all__ = ["RunConfig", "RunResult", "run"]


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run's outcome depends on.

    Attributes:
        task: the data, the loss and the score.
        cell: a name, as :func:`~torchrecurrent.studies.models.build_layer` takes it.
        seed: of the data and of the initial weights, each a stream of its own.
        hidden_size: H.
        num_layers: L.
        steps: number of gradient steps; fixed beforehand, no run is stopped early.
        batch_size: sequences in a step.
        learning_rate: of Adam.
        evaluate_every: steps between two points of the validation curve.
    """

    task: Task
    cell: str
    seed: int
    hidden_size: int
    num_layers: int
    steps: int
    batch_size: int
    learning_rate: float
    evaluate_every: int

    def __post_init__(self) -> None:
        for field in ("hidden_size", "num_layers", "steps", "batch_size", "evaluate_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: expected at least 1, got {getattr(self, field)}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate: expected a positive one, got {self.learning_rate}")

    @property
    def work(self) -> int:
        """Cell updates in the run, a measure of how long it takes."""
        return self.steps * self.work_per_step

    @property
    def work_per_step(self) -> int:
        return self.task.length * self.num_layers

    def to_dict(self) -> dict[str, object]:
        """Plain values, the task's among them."""
        return asdict(self) | {"task": {"name": self.task.name, **asdict(self.task)}}  # type: ignore[call-overload]


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Attributes:
        config: what was run.
        status: ``"diverged"`` if the loss or a score ceased to be finite, which ends a run.
        parameters: number of trained values.
        steps_done: gradient steps taken.
        train_seconds: time in them after the first, which may compile; evaluation left out.
        curve: step and validation score.
        test_score: on the test set, after the last step; ``None`` if diverged.
    """

    config: RunConfig
    status: Literal["done", "diverged"]
    parameters: int
    steps_done: int
    train_seconds: float
    curve: tuple[tuple[int, float], ...]
    test_score: float | None

    @property
    def steps_per_second(self) -> float | None:
        """Gradient steps a second after the first, ``None`` if there was none."""
        return (self.steps_done - 1) / self.train_seconds if self.steps_done > 1 else None

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "config": self.config.to_dict(),
            "status": self.status,
            "parameters": self.parameters,
            "steps_done": self.steps_done,
            "train_seconds": self.train_seconds,
            "steps_per_second": self.steps_per_second,
            "validation_curve": [list(point) for point in self.curve],
            "test_score": self.test_score,
        }


def run(config: RunConfig, on_step: Callable[[], None] = lambda: None) -> RunResult:
    """Train and test; the same configuration gives the same result on the same machine.

    Args:
        config: what to run.
        on_step: called after every gradient step.

    Raises:
        ValueError: there is no such cell, or the task refuses the batch size.
    """
    task = config.task
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed("weights", config.seed))
        model = SequenceModel(
            config.cell, task.input_size, config.hidden_size, config.num_layers, task.output_size
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    batches = task.training(config.seed, config.batch_size)
    validation = task.validation(config.seed)
    curve = [(0, _score(model, task, validation))]
    seconds = 0.0
    step = 0
    finite = True
    while finite and step < config.steps:
        batch = next(batches)
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = task.loss(model(batch.inputs), batch.target)
        finite = math.isfinite(loss.item())
        if finite:
            loss.backward()
            optimizer.step()
            step += 1
        if step > 1:
            seconds += time.perf_counter() - start
        on_step()
        if finite and (step % config.evaluate_every == 0 or step == config.steps):
            score = _score(model, task, validation)
            finite = math.isfinite(score)
            if finite:
                curve.append((step, score))
    test_score = _score(model, task, task.test(config.seed)) if finite else math.nan
    finite = math.isfinite(test_score)
    return RunResult(
        config=config,
        status="done" if finite else "diverged",
        parameters=model.parameter_count(),
        steps_done=step,
        train_seconds=seconds,
        curve=tuple(curve),
        test_score=test_score if finite else None,
    )


def _score(model: SequenceModel, task: Task, batch: Batch) -> float:
    model.eval()
    with torch.no_grad():
        score = task.score(model(batch.inputs), batch.target)
    model.train()
    return score
