"""Replays a loop of launches as one CUDA graph, so that the CPU does not have to keep up."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import torch
from torch import Tensor

from ..program.batch import Batch

__all__ = ["Graphs"]

Run = Callable[[Mapping[str, Tensor]], None]

#: Loops kept for each plan and dtype; each has copies of its tensors.
_KEPT = 4
_FEWEST_STEPS = 8


class Graphs:
    """The captured loops of one kernel, by all that their launches depend on.

    A graph reads and writes fixed addresses. So each has tensors of its own: a call copies into
    them what the loop reads, replays, and copies out what it writes.
    """

    def __init__(self) -> None:
        self._captured: OrderedDict[object, _Captured | None] = OrderedDict()
        self._lock = Lock()

    def run(
        self,
        name: tuple[object, ...],
        batch: Batch,
        tensors: Mapping[str, Tensor],
        read: Sequence[str],
        written: Sequence[str],
        run: Run,
    ) -> None:
        """Call ``run(tensors)``, or replay what it launched at an earlier call.

        The first call of a kind runs as it is, which also compiles its kernels; the second is
        captured. Off the GPU, during a capture, for few steps or sequences of different lengths
        it always runs as it is; so too with ``TORCHRECURRENT_CUDA_GRAPHS=0``.

        Args:
            name: of the loop, with all that its launches depend on besides the tensors' shapes.
            batch: the sequences.
            tensors: all that it reads and writes.
            read: the names of those whose contents it starts from.
            written: of those whose contents are used afterwards.
            run: the loop.
        """
        if not _worth_it(batch):
            run(tensors)
            return
        stream = torch.cuda.current_stream(batch.data.device)
        shapes = ((key, value.shape, value.dtype) for key, value in tensors.items())
        key = (name, batch.size, batch.steps, stream.device, stream.cuda_stream, *shapes)
        with self._lock:  # two threads on one stream would share a graph's tensors
            captured = self._captured.get(key)
            if captured is None and key in self._captured:
                captured = self._captured[key] = _Captured(tensors, read, written, run)
            self._captured.setdefault(key, None)
            self._captured.move_to_end(key)
            while len(self._captured) > _KEPT:
                self._captured.popitem(last=False)
            if captured is not None:
                captured.replay(tensors)
                return
        run(tensors)


class _Captured:
    def __init__(
        self, tensors: Mapping[str, Tensor], read: Sequence[str], written: Sequence[str], run: Run
    ) -> None:
        self._own = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
        self._read, self._written = tuple(read), tuple(written)
        for name in self._read:
            self._own[name].copy_(tensors[name])
        # Addresses may be aligned otherwise than the caller's, and then kernels are compiled
        # anew, which must not happen during a capture.
        run(self._own)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            run(self._own)

    def replay(self, tensors: Mapping[str, Tensor]) -> None:
        for name in self._read:
            self._own[name].copy_(tensors[name])
        self._graph.replay()
        for name in self._written:
            tensors[name].copy_(self._own[name])


def _worth_it(batch: Batch) -> bool:
    return (
        batch.data.is_cuda
        and batch.sizes is None
        and batch.steps >= _FEWEST_STEPS
        and os.environ.get("TORCHRECURRENT_CUDA_GRAPHS", "1") != "0"
        and not torch.cuda.is_current_stream_capturing()
    )
