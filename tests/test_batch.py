"""Where the rows of sequences lie, and that the CPU does not wait for a GPU to be told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from torchrecurrent.engine.program.batch import Batch


def ragged() -> Batch:
    """Sequences of 4, 2 and 1 steps."""
    sequences = [torch.arange(k, k + n).view(-1, 1) for k, n in ((0, 4), (10, 2), (20, 1))]
    packed = pack_sequence(sequences)
    return Batch(packed.data, 3, packed.batch_sizes)


def test_rows_of_ragged_sequences() -> None:
    batch = ragged()
    values = batch.data.flatten()
    assert values[batch.last_rows].tolist() == [3, 11, 20]
    assert values[3:].tolist() == [1, 11, 2, 3]
    assert values[batch.previous_rows].tolist() == [0, 10, 1, 2]
    assert batch.table is not None
    assert batch.table.tolist() == [[3, 2, 1, 1], [0, 3, 5, 6]]


def test_rows_of_equally_long_sequences() -> None:
    batch = Batch(torch.zeros(4, 3, 1), 3)
    assert (batch.last_rows, batch.previous_rows) == (slice(9, 12), slice(0, 9))
    assert batch.table is None


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> tuple[Batch, list[object]]:
    """A batch on a device that says it is a GPU, and the copies to it; its numbers go nowhere."""
    sizes, to = ragged().sizes, Tensor.to
    copies: list[object] = []
    pinned: set[int] = set()

    def copied(self: Tensor, *where: Any, **how: Any) -> Tensor:
        copies.append((id(self) in pinned, how))
        return to(self, *where, **how)

    def pin(self: Tensor) -> Tensor:
        pinned.add(id(self))
        return self

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", copied)
    data: Any = SimpleNamespace(
        is_cuda=True, device=torch.device("meta"), numel=lambda: 7, size=lambda dim: 1
    )
    return Batch(data, 3, sizes), copies


def test_numbers_are_copied_without_waiting(
    on_a_gpu: tuple[Batch, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    batch, copies = on_a_gpu
    for _ in range(2):
        for found in (batch.table, batch.last_rows, batch.previous_rows):
            assert isinstance(found, Tensor)
            assert found.is_meta
    assert copies == [(True, {"non_blocking": True})] * 3


def test_ragged_sequences_are_not_captured(
    on_a_gpu: tuple[Batch, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    batch, copies = on_a_gpu
    with pytest.raises(RuntimeError, match="different lengths can't run while a CUDA graph"):
        _ = batch.table
    assert not copies
