"""A loop that is replayed is tried out as such, with the GPU of test_cuda_graphs.py.

Its launches run in Triton's interpreter, during a capture when the graph is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import LSTM
from torchrecurrent.engine.gpu import cuda_graphs, run_dense
from torchrecurrent.engine.gpu.cuda_graphs import Graphs
from torchrecurrent.engine.gpu.load import interpreted
from torchrecurrent.engine.program.batch import Batch
from torchrecurrent.engine.program.form import Form

from .test_cuda_graphs import Gpu, Graph, gpu  # noqa: F401
from .test_trust import forms_in
from .trying import cache, fault, x  # noqa: F401

if not interpreted():
    pytest.skip("the GPU is a stand-in", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

REPLAY = Form(training=True, replay=True)


@pytest.fixture(autouse=True)
def _everything_is_on_the_gpu(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    class Recorded(cuda_graphs._Captured):
        """What it runs is recorded as one launch."""

        def __init__(self, graph: Any, tensors: Any, read: Any, run: Any, *streams: Any) -> None:
            def launch(known: Any) -> None:
                gpu.launch(lambda: run(known))

            super().__init__(graph, tensors, read, launch, *streams)

    def replays(batch: Batch) -> bool:
        return cuda_graphs._allowed.get() and batch.sizes is None and batch.steps >= 8

    monkeypatch.setattr(cuda_graphs, "_Captured", Recorded)
    monkeypatch.setattr(cuda_graphs, "replays", replays)
    monkeypatch.setattr(run_dense, "replays", replays)


def test_a_loop_that_is_replayed_passes(gpu: Gpu) -> None:  # noqa: F811
    """Without taking room from the graphs that last."""
    assert fault(LSTM(3, 5), REPLAY) == ""
    assert gpu.events == ["replay"] * 4  # at the second and third call, either pass
    assert len({graph.stream.cuda_stream for graph in gpu.graphs}) == 1
    assert not cuda_graphs._rooms
    assert not cuda_graphs._kept


def test_a_dead_replay_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second call the results of the run before the capture are still there."""
    monkeypatch.setattr(Graph, "replay", lambda self: None)
    assert "times as far from float64" in fault(LSTM(3, 5), REPLAY)
    assert fault(LSTM(3, 5), Form(training=True)) == ""


@pytest.mark.parametrize("stale", ["X", "W.", "Z", "S0", "G."])
def test_a_replay_with_old_numbers_is_found(stale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: list[str] = []
    run = Graphs.run

    def forgetful(
        self: Graphs, name: Any, batch: Any, tensors: Mapping[str, Tensor], read: Any, *others: Any
    ) -> None:
        kept = [each for each in read if not each.startswith(stale)]
        left_out.extend(set(read) - set(kept))
        run(self, name, batch, tensors, kept, *others)

    monkeypatch.setattr(Graphs, "run", forgetful)
    found = fault(LSTM(3, 5), REPLAY)
    assert left_out
    assert bool(found) == (stale != "X")  # of which the loop reads nothing: Z has its products


def test_a_call_that_will_be_replayed_is_checked_so(
    cache: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Graph, "replay", lambda self: None)
    layer = LSTM(3, 5)
    with torch.no_grad(), pytest.warns(UserWarning, match="without gradients, equal lengths, rep"):
        layer(x(layer, 8))
    assert forms_in(cache) == [
        "without gradients, equal lengths",
        "without gradients, equal lengths, replayed",
    ]
    with torch.no_grad():
        sentence = layer.explain(x(layer, 8))
        assert "TORCHRECURRENT_CUDA_GRAPHS=0 runs them without graphs" in sentence
        assert "triton: products" in layer.explain(x(layer, 7))  # too few steps for a graph
