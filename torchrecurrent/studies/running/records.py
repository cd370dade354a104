"""The configuration and the result of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ..tasks.task import Task
from .models import SequenceModel

__all__ = ["RunConfig", "RunResult"]


@dataclass(frozen=True)
class RunConfig:
    """All that the outcome of a run depends on.

    Attributes:
        task: the data, the loss and the score.
        cell: a name for :func:`~torchrecurrent.studies.running.models.build_layer`.
        seed: the seed of the data and of the initial weights, which are separate streams.
        hidden_size: H.
        num_layers: L.
        steps: number of gradient steps; fixed beforehand, no run is stopped early.
        batch_size: sequences in a step.
        learning_rate: learning rate of Adam.
        evaluate_every: steps between two points of the validation curve.
        clip: largest norm of the gradient of all parameters; 0: not clipped.
        threads: torch's threads; the last bits of sums depend on it.
        device: the device that the model is trained on.
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
    clip: float = 0.0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        counts = ("hidden_size", "num_layers", "steps", "batch_size", "evaluate_every", "threads")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate: expected a positive one, got {self.learning_rate}")
        if not 0 <= self.clip < math.inf:
            raise ValueError(f"clip: expected a positive norm, or 0 for none, got {self.clip}")

    @property
    def title(self) -> str:
        """A title that distinguishes it from the other runs of a sweep."""
        return f"{self.task.name}, {self.cell}, seed {self.seed}"

    @property
    def work(self) -> int:
        """Cell updates in the run, a measure of how long it takes."""
        return self.steps * self.work_per_step

    @property
    def work_per_step(self) -> int:
        return self.task.longest * self.num_layers

    def model(self) -> SequenceModel:
        """Return a new model.

        Raises:
            ValueError: if there is no such cell.
        """
        task = self.task
        sizes = (task.input_size, self.hidden_size, self.num_layers, task.output_size)
        return SequenceModel(self.cell, *sizes, task.answers)

    def chosen(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, so that new ones change nothing."""
        run = {key: value for key, value in _chosen(self).items() if key != "task"}
        return {**run, "task": {"type": type(self.task).__name__, **_chosen(self.task)}}

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain values, including the task's."""
        return asdict(self) | {"task": {"name": self.task.name, **asdict(self.task)}}  # type: ignore[call-overload]


def _chosen(instance: Any) -> dict[str, Any]:
    return {
        each.name: getattr(instance, each.name)
        for each in fields(instance)
        if getattr(instance, each.name) != each.default
    }


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        config: the configuration of the run.
        status: ``"diverged"`` if the loss or a score ceased to be finite, which ends a run.
        parameters: number of trained values.
        steps_done: gradient steps taken.
        train_seconds: time of the steps after the first, which may compile; without evaluation.
        curve: step and validation score.
        test_score: score on the test set after the last step; ``None`` if diverged.
        losses: step, and the mean training loss since the previous entry.
        series: scores on the task's further test sets.
    """

    config: RunConfig
    status: Literal["done", "diverged"]
    parameters: int
    steps_done: int
    train_seconds: float
    curve: tuple[tuple[int, float], ...]
    test_score: float | None
    losses: tuple[tuple[int, float], ...] = ()
    series: Mapping[int, float] = field(default_factory=dict)

    @property
    def steps_per_second(self) -> float | None:
        """Gradient steps per second after the first; ``None`` if there were none."""
        return (self.steps_done - 1) / self.train_seconds if self.steps_done > 1 else None

    @property
    def solved_at(self) -> int | None:
        """The first step of the curve that is beyond the task's threshold, if there is one."""
        return next((at for at, score in self.curve if self.config.task.solved(score)), None)

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
            "training_losses": [list(point) for point in self.losses],
            "test_score": self.test_score,
            "test_series": [list(point) for point in self.series.items()],
        }

    @classmethod
    def from_dict(cls, config: RunConfig, stored: Mapping[str, Any]) -> RunResult:
        """Return the result that :meth:`to_dict` stored for the same configuration.

        Raises:
            KeyError, TypeError, ValueError: if ``stored`` is something else.
        """
        if stored["status"] not in ("done", "diverged"):
            raise ValueError(f"status: expected done or diverged, got {stored['status']!r}")
        return cls(
            config=config,
            status=stored["status"],
            parameters=int(stored["parameters"]),
            steps_done=int(stored["steps_done"]),
            train_seconds=float(stored["train_seconds"]),
            curve=tuple((int(at), float(score)) for at, score in stored["validation_curve"]),
            test_score=None if stored["test_score"] is None else float(stored["test_score"]),
            losses=tuple((int(at), float(loss)) for at, loss in stored["training_losses"]),
            series={int(key): float(score) for key, score in stored["test_series"]},
        )
