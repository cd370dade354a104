"""Denoising: the marked values are the targets, and none of them is marked too late."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent.studies.tasks.denoising import Denoising

from .running import inputs_of


def marked(values: Tensor, marks: Tensor) -> list[list[float]]:
    """The marked values of each sequence, in order."""
    return [v[m].tolist() for v, m in zip(values.T, marks.T, strict=True)]


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_stepwise(delay: int) -> None:
    task = Denoising(12, 3, delay)
    batch = task.test(0)
    values, marks = inputs_of(batch).unbind(2)
    assert values.shape == (12 + 3 - 1, task.test_size)
    assert batch.target.shape == (task.test_size, 3, 1)
    assert task.answers == 3  # steps, from the cue's on
    assert marked(values, marks == 1) == batch.target[:, :, 0].tolist()
    at = (marks == 1).any(1).nonzero().squeeze(1).tolist()
    assert at == list(range(12 - max(delay, 1)))  # each possible step is marked somewhere
    assert (marks[11] == -1).all()
    assert (marks[12:] == 0).all()
    assert (values[11:] == 0).all()
    assert (marks[:11].sum(0) == 3).all()


@pytest.mark.parametrize("delay", [0, 5])
def test_all_at_once(delay: int) -> None:
    task = Denoising(12, 3, delay, "last")
    batch = task.test(0)
    values, marks = inputs_of(batch).unbind(2)
    assert values.shape == (12 + 1, task.test_size)
    assert batch.target.shape == (task.test_size, 3)
    assert (task.answers, task.output_size) == ("last", 3)
    assert marked(values, marks == 0) == batch.target.tolist()
    at = (marks == 0).any(1).nonzero().squeeze(1).tolist()
    assert at == list(range(12 - delay))
    assert set(marks[:-1].unique().tolist()) == {-1.0, 0.0}
    assert (inputs_of(batch)[-1] == torch.tensor([0.0, 1.0])).all()


@pytest.mark.parametrize("form", ["stepwise", "last"])
def test_always_answering_0_scores_the_baseline(form: Any) -> None:
    task = Denoising(9, 2, 0, form, test_size=20_000)
    target = task.test(0).target
    score = task.score(torch.zeros_like(target), target)
    # The square of a standard normal value has the variance 2.
    assert abs(score - task.baseline) < 3 * math.sqrt(2 / target.numel())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Denoising(5, delay=-1), "delay: expected at least 0, got -1"),
        (lambda: Denoising(5, 0), "values: expected at least 1, got 0"),
        (lambda: Denoising(5, 5), "delay: expected 5 steps or more before it, of length=5, got de"),
        (lambda: Denoising(5, 3, 3, "last"), "delay: expected 3 steps or more before it"),
    ],
)
def test_a_setting_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
