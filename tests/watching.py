"""Watches what programs of Triton's interpreter load and store, for what a GPU would race on.

The interpreter runs programs one after the other and lane by lane at once, so that a race has no
effect there. But it sees every address. Within one launch nothing orders two programs, nor the
lanes of one. So no address may be stored by two programs or two lanes, none that one program
stores may be loaded by another, none may be loaded after it was stored (by a lane that may be
another), and all must lie in the memory of an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from triton.runtime import interpreter

__all__ = ["watched"]


class _Launch:
    """The loads and stores of one launch."""

    def __init__(self, name: str, arguments: Iterator[Any], found: set[str]) -> None:
        self.name, self._found, self._program = name, found, 0
        tensors = [each for each in arguments if hasattr(each, "data_ptr") and each.numel()]
        pairs = [(each.data_ptr(), each.data_ptr() + _extent(each)) for each in tensors]
        self._begin, self._end = np.array(pairs, dtype=np.int64).reshape(-1, 2, 1).swapaxes(0, 1)
        #: Of each program: the addresses, as arrays.
        self._loads: dict[int, list[Any]] = {}
        self._stores: dict[int, list[Any]] = {}

    def enter(self, program: int) -> None:
        self._program = program

    def load(self, pointers: Any, mask: Any) -> Any:
        """The mask, without what lies outside."""
        at, mask = self._addresses(pointers, mask, "load")
        stored = self._stores.get(self._program)
        if stored and len(at) and np.isin(at, np.concatenate(stored)).any():
            self._say("a program loads what it has stored")
        self._loads.setdefault(self._program, []).append(at)
        return mask

    def store(self, pointers: Any, mask: Any) -> Any:
        """The mask, without what lies outside."""
        at, mask = self._addresses(pointers, mask, "store")
        if len(np.unique(at)) != len(at):
            self._say("two lanes store to one address")
        self._stores.setdefault(self._program, []).append(at)
        return mask

    def finish(self) -> None:
        """Compare the programs with each other."""
        stores = {each: np.unique(np.concatenate(at)) for each, at in self._stores.items()}
        written = np.concatenate([*stores.values(), np.empty(0, np.int64)])
        owners = np.repeat(list(stores), [len(at) for at in stores.values()])
        order = np.argsort(written, kind="stable")
        written, owners = written[order], owners[order]
        if (written[1:] == written[:-1]).any():
            self._say("two programs store to one address")
        for program, parts in self._loads.items():
            at = np.unique(np.concatenate(parts))
            place = np.searchsorted(written, at)
            inside = place < len(written)
            at, place = at[inside], place[inside]
            if ((written[place] == at) & (owners[place] != program)).any():
                self._say("a program loads what another stores")

    def _addresses(self, pointers: Any, mask: Any, what: str) -> Any:
        """Those that are not masked out, and a mask of those that lie in an argument."""
        at = np.atleast_1d(pointers.data).astype(np.int64)
        wanted = np.broadcast_to(mask.data, at.shape).astype(bool)
        size = np.dtype(interpreter._get_np_dtype(pointers.get_element_ty())).itemsize
        flat = at.reshape(-1)
        inside = ((self._begin <= flat) & (flat + size <= self._end)).any(0).reshape(at.shape)
        if (wanted & ~inside).any():
            # Nothing is read or written there: it would be memory of the process.
            self._say(f"a {what} outside every argument")
            data = (wanted & inside).reshape(np.shape(pointers.data))
            mask = interpreter.TensorHandle(data, mask.dtype)
        return at[wanted & inside], mask

    def _say(self, fault: str) -> None:
        self._found.add(f"{self.name}: {fault}")


def _extent(tensor: Any) -> int:
    """The bytes from a tensor's first number to the end of its last."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    last: int = sum((size - 1) * stride for size, stride in pairs)
    return (last + 1) * int(tensor.element_size())


@contextmanager
def watched() -> Iterator[set[str]]:
    """The faults of all launches within a ``with`` block, a sentence each."""
    found: set[str] = set()
    running: list[_Launch] = []
    builder, executor = interpreter.InterpreterBuilder, interpreter.GridExecutor
    load, store = builder.create_masked_load, builder.create_masked_store
    enter, call = builder.set_grid_idx, executor.__call__

    def watched_load(self: Any, pointers: Any, mask: Any, *others: Any) -> Any:
        return load(self, pointers, running[-1].load(pointers, mask), *others)

    def watched_store(self: Any, pointers: Any, value: Any, mask: Any, *others: Any) -> Any:
        return store(self, pointers, value, running[-1].store(pointers, mask), *others)

    def watched_enter(self: Any, x: int, y: int, z: int) -> None:
        running[-1].enter((z << 40) + (y << 20) + x)
        enter(self, x, y, z)

    def watched_call(self: Any, *arguments: Any, **named: Any) -> Any:
        running.append(_Launch(self.fn.__name__, iter((*arguments, *named.values())), found))
        try:
            return call(self, *arguments, **named)
        finally:
            running.pop().finish()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "create_masked_load", watched_load)
        patch.setattr(builder, "create_masked_store", watched_store)
        patch.setattr(builder, "set_grid_idx", watched_enter)
        patch.setattr(executor, "__call__", watched_call)
        yield found
