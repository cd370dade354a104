"""Memory for what kernels write; while they are tried out, with bands around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

__all__ = ["Guards", "fresh"]

#: Elements before and after a tensor: whole lines of any cache, so that it begins as others do.
_BAND = 64

Fresh = Callable[[Tensor, Sequence[int], torch.dtype], Tensor]


def _plain(like: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return like.new_empty(shape, dtype=dtype)


_fresh: ContextVar[Fresh] = ContextVar("torchrecurrent_fresh_memory", default=_plain)


def fresh(like: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor that a kernel is to fill, beside ``like``."""
    return _fresh.get()(like, shape, dtype or like.dtype)


class Guards:
    """Tensors that lie between bands of one number, which they are full of at first.

    If it is NaN, what a kernel reads outside of them, or before it is written, comes out as NaN. If
    it is another one, whatever is written outside of them is seen by :attr:`broken`, NaN too.
    """

    def __init__(self) -> None:
        #: The number in tensors that are made from now on.
        self.value = torch.nan
        self._bands: list[tuple[Tensor, float]] = []

    @contextmanager
    def around_all(self) -> Iterator[None]:
        """Make all memory of kernels such tensors, within a ``with`` block of this thread."""
        token = _fresh.set(self._empty)
        try:
            yield
        finally:
            _fresh.reset(token)

    def put(self, value: Tensor, shift: int = 0) -> Tensor:
        """Return a copy between bands.

        Args:
            value: what is copied.
            shift: by so many elements it begins later than torch's own tensors do.
        """
        return self._make(value, value.shape, value.dtype, shift).copy_(value)

    @property
    def broken(self) -> bool:
        """Whether something was written to a band."""
        return not all(
            bool((band.isnan() if math.isnan(value) else band == value).all())
            for band, value in self._bands
        )

    def _empty(self, like: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return self._make(like, shape, dtype, 0)

    def _make(self, like: Tensor, shape: Sequence[int], dtype: torch.dtype, shift: int) -> Tensor:
        begin, count = _BAND + shift, math.prod(shape)
        block = like.new_full((begin + count + _BAND,), self.value, dtype=dtype)
        self._bands += [(block[:begin], self.value), (block[begin + count :], self.value)]
        return block[begin : begin + count].view(shape)
