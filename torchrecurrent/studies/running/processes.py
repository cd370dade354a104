"""Processes that train one model together, each on its share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..tasks.task import Batch

__all__ = ["ALONE", "Group", "Processes"]

T = TypeVar("T")
#: The batch dimension of a layer's states: ``(L, N, H)``, or ``(N, H)`` for each cell.
SEQUENCES = -2


class Processes:
    """A single process, which has nothing to share; :class:`Group` is several.

    Attributes:
        rank: this process's number; process 0 reads and writes files.
        size: number of processes.
    """

    rank = 0
    size = 1

    def share(self, batch: Batch) -> Batch:
        """Return this process's sequences of a batch."""
        return batch

    def mean(self, loss: Tensor) -> float:
        """Return the mean of a scalar over the processes."""
        return loss.item()

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that ``backward()`` gives the gradients of the whole batch."""
        return model

    def gather(self, state: Any) -> Any:
        """Return a layer's state of all sequences from each process's share, in any nesting."""
        return state

    def scatter(self, state: Any, device: torch.device) -> Any:
        """Return this process's share of the result of :meth:`gather`, on a device."""
        return _each(state, lambda whole: whole.to(device))

    def decided(self, value: float) -> float:
        """Return the value of process 0 on all processes."""
        return value

    def first(self, make: Callable[[], T]) -> T:
        """Call ``make`` on process 0 alone; all processes return or raise the same."""
        return make()


class Group(Processes):
    """All processes of torch's default group; each method except ``share`` waits for all.

    If the processes cannot share a batch equally, such as the rest at the end of a pass, each
    trains on the whole batch: the mean of equal gradients is that gradient.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._undivided = False  # whether the last batch, and so the state, is whole on each

    def share(self, batch: Batch) -> Batch:
        self._undivided = len(batch) % self.size > 0
        if self._undivided:
            return batch
        count = len(batch) // self.size
        return batch.select(slice(self.rank * count, (self.rank + 1) * count))

    def mean(self, loss: Tensor) -> float:
        total = loss.detach().clone()
        dist.all_reduce(total)
        return total.item() / self.size

    def wrap(self, model: nn.Module) -> nn.Module:
        return DistributedDataParallel(model)

    def gather(self, state: Any) -> Any:
        def whole(share: Tensor) -> Tensor:
            shares = [torch.empty_like(share) for _ in range(self.size)]
            dist.all_gather(shares, share.contiguous())
            return torch.cat(shares, SEQUENCES)

        return state if self._undivided else _each(state, whole)

    def scatter(self, state: Any, device: torch.device) -> Any:
        def share(whole: Tensor) -> Tensor:
            self._undivided = whole.size(SEQUENCES) % self.size > 0
            if self._undivided:
                return whole.to(device)
            return whole.chunk(self.size, SEQUENCES)[self.rank].contiguous().to(device)

        return _each(state, share)

    def decided(self, value: float) -> float:
        # On the CPU, so as not to wait for a GPU.
        told = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(told, src=0)
        return told.item()

    def first(self, make: Callable[[], T]) -> T:
        told: list[Any] = [None, None]
        if self.rank == 0:
            try:
                told[0] = make()
            except Exception as error:  # the others would wait for ever
                told[1] = error
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        made, raised = told
        if raised is not None:
            raise raised
        found: T = made
        return found


#: The one process of an ordinary run.
ALONE = Processes()


def _each(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the same nesting of tuples and lists with each tensor changed; ``None`` stays."""
    if state is None or isinstance(state, Tensor):
        return None if state is None else change(state)
    items: Sequence[Any] = state
    return type(state)(_each(item, change) for item in items)
