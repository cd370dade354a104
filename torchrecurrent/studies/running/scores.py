"""Losses and scores of several tasks; all refuse a prediction that would broadcast."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["accuracy", "check_shapes", "cross_entropy", "squared_error"]


def check_shapes(what: str, given: Tensor, expected: tuple[int, ...]) -> None:
    """Check the shape of a tensor, which a loss might silently broadcast.

    Raises:
        ValueError: for another shape than expected.
    """
    if tuple(given.shape) != expected:
        raise ValueError(f"{what}: expected shape {expected}, got {tuple(given.shape)}")


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of two tensors of one shape.

    Raises:
        ValueError: if their shapes differ.
    """
    check_shapes("prediction", prediction, tuple(target.shape))
    return functional.mse_loss(prediction, target)


def cross_entropy(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """Return the mean cross-entropy, in nats, of scores ``(..., classes)`` for classes ``(...)``.

    Raises:
        ValueError: the prediction has another shape.
    """
    check_shapes("prediction", prediction, (*target.shape, classes))
    return functional.cross_entropy(prediction.flatten(0, -2), target.flatten())


def accuracy(prediction: Tensor, target: Tensor, classes: int) -> float:
    """Return the share of classes ``(...)`` with the highest of the scores ``(..., classes)``.

    It is NaN if a score is not finite.

    Raises:
        ValueError: the prediction has another shape.
    """
    check_shapes("prediction", prediction, (*target.shape, classes))
    if not prediction.isfinite().all():
        return float("nan")
    return (prediction.argmax(-1) == target).double().mean().item()
