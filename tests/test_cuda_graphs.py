"""What is captured, on which stream, and what is replayed, with a GPU that only keeps records.

Its launches run on the CPU at once or, during a capture, when the graph is replayed. That a real
GPU captures the same has not been shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import LSTM, LSTMCell
from torchrecurrent.engine.gpu import cuda_graphs
from torchrecurrent.engine.gpu.cuda_graphs import Graphs, without_graphs
from torchrecurrent.engine.program.batch import Batch
from torchrecurrent.engine.run import passes
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.engine.run.library import sequence_operator

STREAMS = 32


@dataclass
class Gpu:
    """Two devices, each with as many streams as torch gives out."""

    memory: int = 1 << 20
    given: dict[int, int] = field(default_factory=dict)
    current: Any = None
    capturing: Any = None
    graphs: list[Any] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    fails: bool = False

    def stream(self, device: torch.device, priority: int = 0) -> Any:
        number = self.given[device.index] = self.given.get(device.index, 0) + 1
        handle = 100 * (1 + device.index - 10 * priority) + (number - 1) % STREAMS
        return SimpleNamespace(device=device, cuda_stream=handle, wait_stream=lambda other: None)

    @contextmanager
    def within(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def launch(self, work: Callable[[], object]) -> None:
        if self.capturing is None:
            work()
        elif self.fails:
            raise RuntimeError("operation not permitted")
        else:
            self.capturing.works.append(work)

    def make_graph(self) -> Any:
        return Graph(self)


class Graph:
    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.works, self.stream = gpu, list[Callable[[], object]](), None
        gpu.graphs.append(self)

    def capture_begin(self, capture_error_mode: str) -> None:
        assert capture_error_mode == "thread_local"
        self.gpu.capturing, self.stream = self, self.gpu.current

    def capture_end(self) -> None:
        self.gpu.capturing = None

    def replay(self) -> None:
        self.gpu.events.append("replay")
        for work in self.works:
            work()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made = Gpu()
    cuda = {
        "CUDAGraph": made.make_graph,
        "Stream": made.stream,
        "stream": made.within,
        "current_stream": lambda device: made.current,
        "is_current_stream_capturing": lambda: made.capturing is not None,
        "get_device_properties": lambda device: SimpleNamespace(total_memory=made.memory),
    }
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("synchronize", "empty_cache", "graph"):
        monkeypatch.setattr(torch.cuda, name, None)  # whoever calls it fails
    monkeypatch.setattr(cuda_graphs, "_rooms", {})
    monkeypatch.setattr(cuda_graphs, "_kept", [])
    monkeypatch.setattr(cuda_graphs, "_trial_streams", {})
    made.current = stream_of(0, 1)
    return made


def stream_of(device: int, handle: int) -> Any:
    where = torch.device("cuda", device)
    return SimpleNamespace(device=where, cuda_stream=handle, wait_stream=lambda other: None)


def batch(steps: int = 8, sizes: Tensor | None = None, device: int = 0) -> Any:
    data: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", device))
    return SimpleNamespace(data=data, size=2, steps=steps, sizes=sizes)


def double(gpu: Gpu, graphs: Graphs, value: float, like: Any = None, name: str = "loop") -> float:
    """What a loop makes of a number, which it doubles and adds to a state."""
    tensors = {
        "x": torch.full((4,), float(value)),
        "y": torch.full((4,), torch.nan),
        "h": torch.ones(4),
    }

    def run(known: Mapping[str, Tensor]) -> None:
        gpu.events.append("run")
        x, y, h = known["x"], known["y"], known["h"]
        gpu.launch(lambda: y.copy_(2 * x))
        gpu.launch(lambda: h.add_(y))

    graphs.run((name,), like or batch(), tensors, ["x", "h"], ["y", "h"], run)
    assert torch.equal(tensors["h"], tensors["y"] + 1)
    return float(tensors["y"][0])


def test_the_second_call_is_captured_and_later_ones_replayed(gpu: Gpu) -> None:
    graphs = Graphs()
    assert [double(gpu, graphs, value) for value in (1, 2, 3, 4)] == [2, 4, 6, 8]
    # as it is; before the capture and within it; and replays
    assert gpu.events == ["run", "run", "run", "replay", "replay", "replay"]


def test_graphs_share_a_stream_if_they_are_replayed_on_one(gpu: Gpu) -> None:
    """However many there are; and none is destroyed for another."""
    graphs = [Graphs(), Graphs()]
    for current in (103, 7, 0):  # the first is one of those that torch gives out
        gpu.current = stream_of(0, current)
        for k in range(40):
            for _ in range(3):
                assert double(gpu, graphs[k % 2], k, name=str(k)) == 2 * k
    used = [graph.stream.cuda_stream for graph in gpu.graphs]
    assert len(used) == len(cuda_graphs._kept) == 3 * 40
    assert [len(set(used[k : k + 40])) for k in (0, 40, 80)] == [1, 1, 1]
    assert len(set(used)) == 3
    assert not set(used) & {103, 7, 0}


def test_callers_streams_without_end_get_no_graphs(gpu: Gpu) -> None:
    for current in range(200, 200 + 2 * STREAMS):
        gpu.current = stream_of(0, current)
        graphs = Graphs()
        for _ in range(3):
            assert double(gpu, graphs, 1) == 2
    used = [graph.stream.cuda_stream for graph in gpu.graphs]
    assert len(used) == len(set(used)) == STREAMS


def test_a_stream_is_of_the_device_of_the_tensors(gpu: Gpu) -> None:
    graphs = Graphs()
    for device in (0, 1):
        gpu.current = stream_of(device, 7)
        for _ in range(2):
            double(gpu, graphs, 1, batch(device=device))
    assert [graph.stream.device.index for graph in gpu.graphs] == [0, 1]
    assert set(cuda_graphs._rooms) == {torch.device("cuda", 0), torch.device("cuda", 1)}


def test_memory_is_bounded(gpu: Gpu) -> None:
    gpu.memory = 8 * 3 * 48 + 8  # an eighth of it has room for three
    graphs = Graphs()

    def calls() -> None:
        for k in range(5):
            for _ in range(3):
                assert double(gpu, graphs, k, name=str(k)) == 2 * k

    with pytest.warns(UserWarning, match="more than an eighth of the memory") as warned:
        calls()
    assert len(warned) == 1
    assert len(gpu.graphs) == 3
    gpu.events.clear()
    assert double(gpu, graphs, 5, name="0") == 10
    assert double(gpu, graphs, 5, name="4") == 10
    assert gpu.events == ["replay", "run"]


@pytest.mark.parametrize("where", ["operator", "capture", "short", "ragged", "off"])
def test_where_nothing_is_captured(where: str, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, like = Graphs(), batch()
    if where == "short":
        like = batch(steps=7)
    elif where == "ragged":
        like = batch(sizes=torch.tensor([2] * 8))
    elif where == "off":
        monkeypatch.setenv("TORCHRECURRENT_CUDA_GRAPHS", "0")
    elif where == "capture":
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    for value in (1, 2, 3):
        if where == "operator":
            with without_graphs():
                assert double(gpu, graphs, value, like) == 2 * value
        else:
            assert double(gpu, graphs, value, like) == 2 * value
    assert not gpu.graphs
    assert gpu.events == ["run"] * 3


SETTINGS: dict[str, Callable[[], object]] = {
    "fp32_precision": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "bfloat16": lambda: setattr(
        torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False
    ),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_another_precision_is_another_graph(name: str, gpu: Gpu) -> None:
    matmul, graphs = torch.backends.cuda.matmul, Graphs()
    before = matmul.fp32_precision, matmul.allow_bf16_reduced_precision_reduction
    try:
        for _ in range(3):
            double(gpu, graphs, 1)
        SETTINGS[name]()
        gpu.events.clear()
        double(gpu, graphs, 1)
        assert gpu.events == ["run"]
    finally:
        matmul.fp32_precision, matmul.allow_bf16_reduced_precision_reduction = before
        torch.use_deterministic_algorithms(False)


def test_a_capture_that_fails_is_tried_once(gpu: Gpu) -> None:
    graphs, gpu.fails = Graphs(), True
    double(gpu, graphs, 1)
    with pytest.warns(UserWarning, match="without a CUDA graph: RuntimeError: operation not"):
        assert double(gpu, graphs, 2) == 4
    assert double(gpu, graphs, 3) == 6
    assert gpu.graphs == cuda_graphs._kept  # to destroy it would free what others refer to
    assert len(gpu.graphs) == 1
    assert cuda_graphs._rooms[torch.device("cuda", 0)].bytes == 0


def test_the_operator_runs_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward; a call that nobody traces may have them."""
    seen = []

    def kernel(found: Fused, of: Batch) -> Any:
        seen.append(cuda_graphs._allowed.get())
        return found.kernel(of.data.dtype, of.data.device.type)

    monkeypatch.setattr(passes, "_kernel", kernel)
    layer, data = LSTM(3, 5), torch.randn(4, 2, 3)
    cell = layer.cells[0]
    assert isinstance(cell, LSTMCell)
    found = fused(cell)
    assert isinstance(found, Fused)
    states = [torch.zeros(2, 5) for _ in range(2)]
    results = sequence_operator(found.key, data, None, list(cell.parameters()), states, [], True)
    results[0].sum().backward()
    assert seen == [False, False]
    layer(data, lengths=[4, 3])[0].sum().backward()  # of one length they are remembered
    assert seen == [False, False, True, True]
