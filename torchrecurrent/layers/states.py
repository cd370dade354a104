"""The state of a stack: stacked as :mod:`torch.nn` does, unstacked for each cell.

A stack of L layers in D directions has L * D cells. Where all of them have the same
states, state k is one tensor ``(L * D, N, width)``. It is a tuple of L * D tensors
``(N, width)`` if their widths differ, or if it is as wide as the input of its cell, which is
another one in the first layer. Cells with different states make a list with one entry a
cell. A state that is given may have a list where a tuple is due, or the reverse, and
``None`` in place of a tensor of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from ..checks import check_placement
from .sequence import Steps

__all__ = ["detach_hidden", "first_states", "is_apart", "stack_states"]

T = TypeVar("T")
States = tuple[Tensor, ...]


class Stateful(Protocol):
    """A cell; its states are ``None`` where they are not known before it has run."""

    @property
    def state_names(self) -> tuple[str, ...] | None: ...

    @property
    def state_widths(self) -> tuple[int, ...] | None: ...

    def initial_states(self, shape: Sequence[int], like: Tensor) -> States | None: ...


def detach_hidden(state: T) -> T:
    """The same state, cut off from the graph that made it.

    For truncated backpropagation through time: carry the state into the next piece of a
    sequence without its history.

    Args:
        state: a tensor, or any nesting of tuples and lists of tensors.

    Raises:
        TypeError: something else in it.
    """
    detached: Any
    if isinstance(state, Tensor):
        detached = state.detach()
    elif isinstance(state, tuple | list):
        detached = type(state)(detach_hidden(item) for item in state)
    else:
        raise TypeError(
            f"state should be a Tensor or a tuple or list of them, got: {type(state).__name__}"
        )
    return cast("T", detached)


def stack_states(cells: Sequence[Stateful], rows: Sequence[States]) -> Any:
    """One state for the stack from the states of its cells, each ``(N, width)``."""
    if len({len(states) for states in rows}) > 1:
        return [states[0] if len(states) == 1 else states for states in rows]
    columns = [
        column
        if is_apart(cells, k) or any(state.shape != column[0].shape for state in column)
        else torch.stack(column)
        for k, column in enumerate(zip(*rows, strict=True))
    ]
    return columns[0] if len(columns) == 1 else tuple(columns)


def is_apart(cells: Sequence[Stateful], k: int) -> bool:
    """Whether state k is as wide as the input of its cell."""
    return any(
        getattr(cell.signature.states[k].role, "width", None) == "input_size"
        for cell in cells
        if hasattr(cell, "signature")
    )


def first_states(
    hx: Any,
    cells: Sequence[Stateful],
    steps: Steps,
    batch_size: int | None,
    weight: Tensor | None,
) -> list[States | None]:
    """The first states of each cell, from the state of the stack, checked.

    Args:
        hx: what the caller gave.
        cells: whose states they are.
        steps: the input.
        batch_size: N; ``None``: the input is unbatched, as ``hx`` must be.
        weight: dtype and device must agree with it.

    Returns:
        For each cell its states ``(N, width)``, N = 1 if unbatched; ``None`` for a cell that makes
        its own.

    Raises:
        TypeError: a tensor where a tuple is due, or the reverse.
        ValueError: a wrong dtype or device.
        RuntimeError: a wrong shape.
    """
    call = _Call(batch_size, steps.data, weight)
    rows = [None] * len(cells) if hx is None else _unstacked(hx, cells, call)
    return [
        cell.initial_states((steps.sequences,), steps.data) if states is None else states
        for cell, states in zip(cells, rows, strict=True)
    ]


def _unstacked(hx: Any, cells: Sequence[Stateful], call: _Call) -> Sequence[States | None]:
    """The states of each cell; ``None`` for one of several different cells that got ``None``."""
    if not _is_mixed(hx, cells):
        return _of_like_cells(hx, cells, call)
    if not isinstance(hx, list | tuple) or len(hx) != len(cells):
        raise _wrong(f"a list with the state of each of the {len(cells)} cells", hx)
    return [
        None if state is None else _of_one_cell(f"hx[{k}]", state, cell, call)
        for k, (state, cell) in enumerate(zip(hx, cells, strict=True))
    ]


@dataclass(frozen=True)
class _Call:
    """The call that a state has to fit: N, ``None`` if unbatched, and the tensors' dtype."""

    batch_size: int | None
    input: Tensor
    weight: Tensor | None

    @property
    def batch(self) -> tuple[int, ...]:
        return () if self.batch_size is None else (self.batch_size,)


def _is_mixed(hx: object, cells: Sequence[Stateful]) -> bool:
    """Whether ``hx`` has an entry a cell: the cells have different states, or unknown ones."""
    counts = {None if cell.state_names is None else len(cell.state_names) for cell in cells}
    return len(counts - {None}) > 1 or (None in counts and isinstance(hx, list))


def _of_one_cell(label: str, hx: Any, cell: Stateful, call: _Call) -> States:
    """The states of one of several different cells, each ``(N, width)``."""
    names, widths = cell.state_names, cell.state_widths
    count = len(names) if names else len(hx) if isinstance(hx, list | tuple) else 1
    columns = hx if isinstance(hx, list | tuple) else [hx]
    if len(columns) != count:
        raise _wrong(_wanted(count, names), hx, label)
    sizes: Sequence[int | None] = widths or [None] * count
    labels = _labels(label, count)
    return tuple(
        _row(each, column, width, call)
        for each, column, width in zip(labels, columns, sizes, strict=True)
    )


def _of_like_cells(hx: Any, cells: Sequence[Stateful], call: _Call) -> Sequence[States]:
    """The states of cells that all have the same number of them; each holds that of every cell."""
    names = next((cell.state_names for cell in cells if cell.state_names), None)
    if names:
        count = len(names)
    else:  # only the ranks tell one state of every cell from several of each
        one = not isinstance(hx, tuple) or (len(hx) == len(cells) and _are_rows(hx, call))
        count = 1 if one else len(hx)
    columns = [hx] if count == 1 else hx
    if not isinstance(columns, list | tuple) or len(columns) != count:
        raise _wrong(_wanted(count, names), hx)
    per_state = []
    for k, (label, column) in enumerate(zip(_labels("hx", count), columns, strict=True)):
        widths = [None if cell.state_widths is None else cell.state_widths[k] for cell in cells]
        apart = len(set(widths)) > 1 or is_apart(cells, k)
        if apart and len(cells) == 1 and _are_rows([column], call):
            column = (column,)  # as a flat list of all states has it
        # Elsewhere a tuple among several may well be a layer's (h, c), and is refused.
        in_rows = apart or count == 1 or None in widths
        found = _column(label, column, widths, in_rows, call)
        if found is None:
            wanted = _wanted(len(cells) if apart else 1, names if count == 1 else None)
            raise _wrong(wanted, column, label)
        per_state.append(found)
    return list(zip(*per_state, strict=True))


def _labels(label: str, count: int) -> list[str]:
    return [label] if count == 1 else [f"{label}[{k}]" for k in range(count)]


def _wanted(count: int, names: Sequence[str] | None) -> str:
    named = f" ({', '.join(names)})" if names else ""
    return f"{'a Tensor' if count == 1 else f'a tuple of {count} Tensors'}{named}"


def _are_rows(column: Sequence[Any], call: _Call) -> bool:
    """Whether all there is has the rank of ``(N, width)``."""
    rank = len(call.batch) + 1
    return all(row is None or (isinstance(row, Tensor) and row.dim() == rank) for row in column)


def _column(
    label: str, column: Any, widths: Sequence[int | None], in_rows: bool, call: _Call
) -> list[Tensor] | None:
    """One state of all cells, from one tensor or, if ``in_rows``, one for each of them.

    ``None``: it is of another kind.
    """
    cells, even = len(widths), len(set(widths)) == 1
    if column is None:
        column, in_rows = [None] * cells, True
    several = in_rows and isinstance(column, list | tuple) and len(column) == cells
    if several and (not even or _are_rows(column, call)):
        return [
            _row(f"{label}[{k}]", row, width, call)
            for k, (row, width) in enumerate(zip(column, widths, strict=True))
        ]
    if not even or not isinstance(column, Tensor):
        return None
    dims, known = len(call.batch) + 2, widths[0] is not None
    if column.dim() != dims and (known or column.dim() < dims):
        batched = "batched 3-D" if call.batch else "unbatched 2-D"
        raise RuntimeError(
            f"For {batched} input, {label} should also be {dims}-D but got {column.dim()}-D tensor"
        )
    if not call.batch:
        column = column.unsqueeze(1)
    # A module that does not say how wide its state is may have one of any shape.
    row = widths[:1] if known else column.shape[2:]
    expected = (cells, *(call.batch or (1,)), *row)
    if column.shape != expected:
        name = label.replace("hx", "hidden")  # as torch says it
        raise RuntimeError(f"hx: Expected {name} size {expected}, got {list(column.shape)}")
    check_placement(label, column, call.weight)
    return list(column.unbind(0))


def _row(label: str, row: Any, width: int | None, call: _Call) -> Tensor:
    """One state of one cell, ``(N, width)``, from that or, unbatched, from ``(width,)``."""
    if row is None and width is not None:
        return call.input.new_zeros((*(call.batch or (1,)), width))
    if not isinstance(row, Tensor):
        unknown = " (how wide zeros would be is not known)" if row is None else ""
        raise _wrong(f"a Tensor{unknown}", row, label)
    expected = (*call.batch, row.size(-1) if width is None and row.dim() else width)
    if row.shape != expected:
        raise RuntimeError(f"{label}: Expected hidden size {expected}, got {list(row.shape)}")
    check_placement(label, row, call.weight)
    return row if call.batch else row.unsqueeze(0)


def _wrong(wanted: str, given: object, label: str = "hx") -> TypeError:
    kind = type(given).__name__
    length = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    return TypeError(f"{label} should be {wanted}, got: {kind}{length}")
