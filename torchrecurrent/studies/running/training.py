"""Trains one cell on one task from one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ...layers.states import detach_hidden
from ..tasks.task import Batch
from .processes import ALONE, Processes
from .records import RunConfig, RunResult
from .streams import stream_seed

__all__ = ["Training", "run"]

#: Evaluation takes as many sequences at a time as have about this many steps in total.
EVALUATED_STEPS = 2**18


class Training:
    """A run in progress; :meth:`state` is all that its continuation depends on.

    Args:
        config: what to run. Draws from torch's global generator, which the caller seeds.
        processes: the processes that train it together. All of them call the same methods in the
            same order, including :meth:`state`.

    Raises:
        ValueError: if there is no such cell, or the task refuses the batch size.
    """

    def __init__(self, config: RunConfig, processes: Processes = ALONE) -> None:
        task = config.task
        self.config = config
        self._processes = processes
        self._device = torch.device(config.device)
        self.model = config.model().to(self._device)
        self._trained = processes.wrap(self.model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.batches = task.training(config.seed, config.batch_size)
        self.step = 0
        self.finite = True
        self.seconds = 0.0
        self.curve: list[tuple[int, float]] = []
        self.losses: list[tuple[int, float]] = []
        self._recent: list[float] = []
        self._carried: Any = None

    @property
    def over(self) -> bool:
        """Whether all steps were taken or the run diverged."""
        return not self.finite or self.step == self.config.steps

    def advance(self) -> None:
        """Take a gradient step on the next batch; none if the loss is not finite."""
        self.learn(next(self.batches))

    def learn(self, batch: Batch) -> None:
        """Take a gradient step on a batch; none if the loss is not finite."""
        batch = self._processes.share(batch).to(self._device)
        start = time.perf_counter()
        self.optimizer.zero_grad()
        state = self._carried if batch.continued else None
        prediction, state = self._trained(batch.inputs, state)
        loss = self.config.task.loss(prediction, batch.target)
        self._carried = detach_hidden(state)
        value = self._processes.mean(loss)
        self.finite = math.isfinite(value)
        if self.finite:
            loss.backward()
            if self.config.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimizer.step()
            self.step += 1
            self._recent.append(value)
        if self.step > 1:
            self.seconds += time.perf_counter() - start

    def validate(self) -> None:
        """Add a point to the curve, unless the run diverged or has this point."""
        if not self.finite or (self.curve and self.curve[-1][0] == self.step):
            return
        score = self._score(self.config.task.validation(self.config.seed))
        self.finite = math.isfinite(score)
        if self.finite:
            self.curve.append((self.step, score))
            if self._recent:
                self.losses.append((self.step, math.fsum(self._recent) / len(self._recent)))
                self._recent = []

    def score(self, batch: Batch) -> float:
        """Return the task's score of the present model."""
        self.model.eval()
        with torch.no_grad():
            parts = [
                (len(part), self.config.task.score(self.model(part.inputs, None)[0], part.target))
                for part in (each.to(self._device) for each in _parts(batch))
            ]
        self.model.train()
        if len(parts) == 1:
            return parts[0][1]
        return math.fsum(count * score for count, score in parts) / len(batch)

    def _score(self, batch: Batch) -> float:
        """Score all sequences, on every process; the last bits may differ among machines."""
        return self._processes.decided(self.score(batch))

    def state(self) -> dict[str, Any]:
        """Return all that the continuation depends on, as plain values and tensors."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state(),
            "random": torch.get_rng_state(),
            "carried": self._processes.gather(self._carried),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "losses": self.losses,
            "recent": self._recent,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from a result of :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.resume(**state["batches"])
        torch.set_rng_state(state["random"])
        self._carried = self._processes.scatter(state["carried"], self._device)
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve = [(at, score) for at, score in state["curve"]]
        self.losses = [(at, loss) for at, loss in state["losses"]]
        self._recent = list(state["recent"])

    def result(self) -> RunResult:
        """Test, and return the result; this ends the run."""
        score: float | None = None
        series: dict[int, float] = {}
        if self.finite:
            task, seed = self.config.task, self.config.seed
            score = self._score(task.test(seed))
            series = {key: self._score(batch) for key, batch in task.series(seed).items()}
            self.finite = all(map(math.isfinite, (score, *series.values())))
        return RunResult(
            config=self.config,
            status="done" if self.finite else "diverged",
            parameters=self.model.parameter_count(),
            steps_done=self.step,
            train_seconds=self.seconds,
            curve=tuple(self.curve),
            test_score=score if self.finite else None,
            losses=tuple(self.losses),
            series=series if self.finite else {},
        )


def _parts(batch: Batch) -> list[Batch]:
    """Split a batch into pieces that fit in memory."""
    inputs = batch.inputs
    steps = len(inputs.batch_sizes) if isinstance(inputs, PackedSequence) else inputs.size(0)
    size = max(1, EVALUATED_STEPS // steps)
    if size >= len(batch):
        return [batch]
    return [batch.select(slice(k, k + size)) for k in range(0, len(batch), size)]


def run(
    config: RunConfig,
    watch: Callable[[Training], None] = lambda training: None,
    saved: Mapping[str, Any] | None = None,
    processes: Processes = ALONE,
) -> RunResult:
    """Train and test; the same configuration gives the same result on the same machine.

    Args:
        config: what to run.
        watch: called after every gradient step, and at the end.
        saved: a state of the same run, to continue from.
        processes: the processes that train it together; each of them calls this.

    Raises:
        ValueError: if there is no such cell, or the task refuses the batch size.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed("weights", config.seed))
            training = Training(config, processes)
            if saved is not None:
                training.resume(saved)
            while not training.over:
                if training.step % config.evaluate_every == 0:
                    training.validate()
                training.advance()
                watch(training)
            training.validate()
            result = training.result()
            watch(training)
            return result
    finally:
        torch.set_num_threads(threads)
