"""What the user has chosen: a path by name, or the one that is the fastest where it can run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, cast

import torch

__all__ = ["Backend", "backend", "current", "kind_for", "proves_itself", "takes_twins"]

Backend = Literal["auto", "reference", "c", "triton", "newton"]
_CHOICES = ("auto", "reference", "c", "triton", "newton")
_chosen: ContextVar[Backend | None] = ContextVar("torchrecurrent_backend", default=None)


def current() -> Backend:
    """Return the choice that is in effect."""
    return _checked(_chosen.get() or os.environ.get("TORCHRECURRENT_BACKEND", "auto"))


def _checked(name: str) -> Backend:
    if name not in _CHOICES:
        raise ValueError(f"backend should be one of {_CHOICES}, got {name!r}")
    return cast("Backend", name)


@contextmanager
def backend(name: Backend) -> Iterator[None]:
    """Choose the path within a ``with`` block, by the names below.

    ``"c"`` is the kernel on the CPU, ``"triton"`` the one on the GPU; either raises RuntimeError
    where it can't run. ``"auto"`` runs the C kernel on the CPU. On a CUDA device it runs
    ``torch.nn``'s own kernel (cuDNN) where a cell has one, and else Triton's, once that has proved
    itself there; see :ref:`gpus`. Elsewhere it runs the reference.
    If ``TRITON_INTERPRET=1`` was in the environment before Triton was imported, ``"triton"``
    also runs on the CPU, slowly. ``"reference"`` is the loop over the steps. ``"newton"`` finds the
    states of all steps at once, for cells whose units see themselves alone, and raises RuntimeError
    for others; see :ref:`newton`. Outside any block the environment variable
    ``TORCHRECURRENT_BACKEND`` decides. :func:`torch.compile` and :func:`torch.export.export` keep
    the choice that was in effect while they traced.

    Raises:
        ValueError: for an unknown name.
    """
    token = _chosen.set(_checked(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def kind_for(chosen: Backend, device: torch.device) -> Backend:
    """Return the kernels that a choice means on a device."""
    if chosen == "auto":
        return "triton" if proves_itself(device) else "c"
    return chosen


def takes_twins(device: torch.device) -> bool:
    """Whether the layer of ``torch.nn`` that a cell declares runs on a device by default."""
    return device.type == "cuda" and torch.backends.cudnn.enabled


def proves_itself(device: torch.device) -> bool:
    """Whether kernels run on a device by default, once they have proved themselves there."""
    return device.type == "cuda"
