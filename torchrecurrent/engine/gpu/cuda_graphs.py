"""Replays a loop of launches as one CUDA graph, so that the CPU does not have to keep up.

Graphs are captured on a stream that is not the caller's. cuBLAS keeps a workspace for each stream,
which a graph refers to by its address, and torch frees it when any graph that was captured on the
stream is destroyed. So none is destroyed before the process ends: those that would take more memory
than there is for them are not captured, and their loops run as they are. And graphs share a stream,
and so a workspace, only if they are replayed on the same one, one after the other.

torch's context manager for captures is not used: it synchronises the device and empties torch's
cache of memory each time, and its stream is shared by all captures of the process.
"""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

from ..program.batch import Batch

__all__ = ["Graphs", "replays", "settings", "trying_graphs", "without_graphs"]

Run = Callable[[Mapping[str, Tensor]], None]

_FEWEST_STEPS = 8
#: Kinds of calls that a kernel remembers while it waits for a second one.
_REMEMBERED = 64
#: torch gives out so many streams of a device before it gives out the first one again.
_STREAMS = 32
#: All graphs of a device may have this part of its memory for their copies.
_SHARE = 1 / 8

_allowed: ContextVar[bool] = ContextVar("torchrecurrent_graphs", default=True)


@contextmanager
def without_graphs() -> Iterator[None]:
    """Capture and replay nothing in a ``with`` block.

    That is for calls by torch's operators: what calls these may be recorded by inductor, whose
    memory nothing that lasts may lie in, and then a graph within its graph saves nothing.
    """
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


#: While kernels are tried out: for each loop the graphs that are forgotten afterwards.
_tried: ContextVar[dict[Graphs, Graphs] | None] = ContextVar(
    "torchrecurrent_tried_graphs", default=None
)
#: For each device the stream of all such graphs. None of them is replayed once another one, of a
#: later trial, is captured there, so that they may share its workspace.
_trial_streams: dict[torch.device, torch.cuda.Stream] = {}


@contextmanager
def trying_graphs() -> Iterator[None]:
    """Capture and replay graphs of their own in a ``with`` block, which take no lasting room."""
    token = _tried.set({})
    try:
        yield
    finally:
        _tried.reset(token)


@dataclass
class _Room:
    """The streams and the memory that the graphs of one device take."""

    #: By the handle of the caller's stream: where the graphs are captured that are replayed on it.
    streams: dict[int, torch.cuda.Stream] = field(default_factory=dict)
    bytes: int = 0
    is_full: bool = False


_rooms: dict[torch.device, _Room] = {}
_lock = Lock()
#: All graphs, also those whose capture failed: they live as long as the process.
_kept: list[torch.cuda.CUDAGraph] = []
#: One capture at a time: threads share streams to capture on.
_capturing = Lock()


class Graphs:
    """The captured loops of one kernel, by all that their launches depend on.

    A graph reads and writes fixed addresses. So each has tensors of its own: a call copies to
    them what the loop reads, replays, and copies from them what it writes.

    Args:
        passing: whether they are destroyed after a trial; others live as long as the process.
    """

    def __init__(self, passing: bool = False) -> None:
        self._passing = passing
        self._seen: OrderedDict[object, None] = OrderedDict()
        #: ``None``: it can't be captured.
        self._captured: dict[object, _Captured | None] = {}
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
        captured. On other devices than GPUs, during a capture, for few steps and for sequences
        of different lengths it always runs as it is: a graph would hold for these lengths only,
        and shuffled batches hardly ever have the same ones again. So too within
        :func:`without_graphs`, and with ``TORCHRECURRENT_CUDA_GRAPHS=0``.

        Args:
            name: of the loop, with all that its launches depend on besides the tensors' shapes.
            batch: the sequences.
            tensors: all that it reads and writes.
            read: the names of those whose contents it starts from.
            written: of those whose contents are used afterwards.
            run: the loop.
        """
        if not replays(batch):
            run(tensors)
            return
        tried = _tried.get()
        if tried is not None and not self._passing:
            own = tried.setdefault(self, Graphs(passing=True))
            own.run(name, batch, tensors, read, written, run)
            return
        stream = torch.cuda.current_stream(batch.data.device)
        shapes = ((key, value.shape, value.dtype) for key, value in tensors.items())
        place = (stream.device, stream.cuda_stream)
        key = (name, batch.size, batch.steps, place, settings(), *shapes)
        with self._lock:  # two threads on one stream would share a graph's tensors
            if key in self._seen and key not in self._captured:
                self._capture(key, stream, tensors, read, run)
            captured = self._captured.get(key)
            if captured is not None:
                captured.replay(tensors, read, written)
                return
            self._seen[key] = None
            self._seen.move_to_end(key)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        run(tensors)

    def _capture(
        self,
        key: object,
        current: torch.cuda.Stream,
        tensors: Mapping[str, Tensor],
        read: Sequence[str],
        run: Run,
    ) -> None:
        """Capture the loop, if there is room for one more graph on the device."""
        size = sum(each.numel() * each.element_size() for each in tensors.values())
        stream = _trial_stream(current) if self._passing else _reserve(current, size)
        if stream is None:
            return
        graph = torch.cuda.CUDAGraph()
        if not self._passing:
            _kept.append(graph)
        try:
            with _capturing:
                self._captured[key] = _Captured(graph, tensors, read, run, current, stream)
        except Exception as error:
            if self._passing:
                raise
            with _lock:
                _rooms[current.device].bytes -= size
            self._captured[key] = None
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"torchrecurrent runs without a CUDA graph: {reason}", stacklevel=2)


class _Captured:
    """A graph with tensors of its own."""

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        tensors: Mapping[str, Tensor],
        read: Sequence[str],
        run: Run,
        current: torch.cuda.Stream,
        stream: torch.cuda.Stream,
    ) -> None:
        self._own = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
        for name in read:
            self._own[name].copy_(tensors[name])
        self._graph = graph
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            # What is loaded or chosen when it first runs must not be so during a capture; and
            # cuBLAS's workspace on this stream is not to lie in the memory of one graph.
            run(self._own)
            # Other threads, NCCL's for instance, may do meanwhile what a capture forbids.
            self._graph.capture_begin(capture_error_mode="thread_local")
            try:
                run(self._own)
            finally:
                self._graph.capture_end()
        current.wait_stream(stream)

    def replay(
        self, tensors: Mapping[str, Tensor], read: Sequence[str], written: Sequence[str]
    ) -> None:
        for name in read:
            self._own[name].copy_(tensors[name])
        self._graph.replay()
        for name in written:
            tensors[name].copy_(self._own[name])


def _reserve(current: torch.cuda.Stream, size: int) -> torch.cuda.Stream | None:
    """Return where to capture one more graph with copies of some size; ``None``: there is no room.

    Args:
        current: the stream on which it will be replayed.
        size: bytes.
    """
    device = current.device
    with _lock:
        room = _rooms.setdefault(device, _Room())
        if room.bytes + size > _SHARE * torch.cuda.get_device_properties(device).total_memory:
            _warn_of(room, device)
            return None
        stream = room.streams.get(current.cuda_stream) or _unused(current, room)
        if stream is not None:
            room.streams[current.cuda_stream] = stream
            room.bytes += size
        return stream


def _warn_of(room: _Room, device: torch.device) -> None:
    """Say once that loops run slower from now on."""
    if not room.is_full:
        room.is_full = True
        warnings.warn(
            f"torchrecurrent: the copies of its CUDA graphs take {room.bytes / 1e9:.1f} GB on "
            f"{device}, and more than an eighth of the memory is not for them. Layers of further "
            "shapes run without a graph, which takes ten times as long for some cells; inputs of "
            "fewer shapes need fewer graphs",
            stacklevel=2,
        )


def _unused(current: torch.cuda.Stream, room: _Room) -> torch.cuda.Stream | None:
    """Return a stream on which no graph is captured or replayed; ``None``: there is none left."""
    captured = (each.cuda_stream for each in room.streams.values())
    taken = {current.cuda_stream, *room.streams, *captured}
    for _ in range(_STREAMS):
        stream = torch.cuda.Stream(current.device)
        if stream.cuda_stream not in taken:
            return stream
    return None


def _trial_stream(current: torch.cuda.Stream) -> torch.cuda.Stream:
    """Return the stream on which graphs are tried out; it belongs to no other graph."""
    device = current.device
    with _lock:
        if device not in _trial_streams:
            # A stream of torch's other pool: those of _reserve have the default priority.
            _trial_streams[device] = torch.cuda.Stream(device, priority=-1)
        return _trial_streams[device]


def settings() -> tuple[object, ...]:
    """Return what torch was told about its products, which a graph keeps as it was captured."""
    backend = torch.backends.cuda.matmul
    return (
        torch.backends.fp32_precision,  # type: ignore[attr-defined]
        backend.fp32_precision,
        backend.allow_fp16_reduced_precision_reduction,
        backend.allow_bf16_reduced_precision_reduction,
        backend.allow_fp16_accumulation,
        torch.backends.cuda.preferred_blas_library(),
        torch.get_deterministic_debug_mode(),
    )


def replays(batch: Batch) -> bool:
    """Whether a call's loop is to be replayed, as soon as it has been captured."""
    return (
        batch.data.is_cuda
        and _allowed.get()
        and batch.sizes is None
        and batch.steps >= _FEWEST_STEPS
        and os.environ.get("TORCHRECURRENT_CUDA_GRAPHS", "1") != "0"
        and not torch.cuda.is_current_stream_capturing()
    )
