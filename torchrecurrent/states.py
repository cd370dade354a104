"""The state of a stack: stacked as :mod:`torch.nn` does, unstacked for each cell.

A stack of L layers in D directions has L * D cells. Where all of them have the same
states, state k is one tensor ``(L * D, N, width)``, or a list of L * D tensors
``(N, width)`` if their widths differ. Cells with different states make a list with one
entry a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from .checks import check_placement

__all__ = ["detach_hidden", "stack_states", "unstack_states"]

T = TypeVar("T")
States = tuple[Tensor, ...]


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


def stack_states(cells: Sequence[States]) -> Any:
    """One state for the stack from the states of its cells, each ``(N, width)``."""
    if len({len(states) for states in cells}) > 1:
        return [states[0] if len(states) == 1 else states for states in cells]
    columns = [
        torch.stack(column)
        if all(state.shape == column[0].shape for state in column)
        else list(column)
        for column in zip(*cells, strict=True)
    ]
    return columns[0] if len(columns) == 1 else tuple(columns)


def unstack_states(
    hx: Any,
    names: Sequence[Sequence[str] | None],
    widths: Sequence[Sequence[int] | None],
    batch_size: int | None,
    like: Tensor | None,
) -> list[States]:
    """The states of each cell from the state of the stack, checked.

    Args:
        hx: what the caller gave.
        names: of the states of each cell; ``None``: unknown.
        widths: of the states of each cell; ``None``: unknown.
        batch_size: N; ``None``: the input is unbatched, as ``hx`` must be.
        like: a weight; dtype and device must agree with it.

    Returns:
        For each cell its states ``(N, width)``, N = 1 if unbatched.

    Raises:
        TypeError: a tensor where a tuple is due, or the reverse.
        ValueError: a wrong dtype or device.
        RuntimeError: a wrong shape.
    """
    cells = len(names)
    if len({len(cell) for cell in names if cell is not None}) > 1:
        if not isinstance(hx, list) or len(hx) != cells:
            raise _wrong(f"a list with the state of each of the {cells} cells", hx)
        rows = []
        for item, cell, width in zip(hx, names, widths, strict=True):
            columns = _columns(item, cell)
            labels = _labels(len(columns))
            sizes: Sequence[int | None] = width if width is not None else [None] * len(columns)
            rows.append(
                tuple(
                    _row(label, column, size, batch_size, like)
                    for label, column, size in zip(labels, columns, sizes, strict=True)
                )
            )
        return rows
    columns = _columns(hx, names[0])
    labels = _labels(len(columns))
    per_state = [
        _column(
            label,
            column,
            [None if width is None else width[k] for width in widths],
            batch_size,
            like,
        )
        for k, (label, column) in enumerate(zip(labels, columns, strict=True))
    ]
    return list(zip(*per_state, strict=True))


def _columns(hx: Any, names: Sequence[str] | None) -> list[Any]:
    """The separate states in ``hx``."""
    count = len(names) if names else len(hx) if isinstance(hx, tuple) else 1
    if count == 1 and not isinstance(hx, tuple):
        return [hx]
    if count > 1 and isinstance(hx, tuple | list) and len(hx) == count:
        return list(hx)
    named = f" ({', '.join(names)})" if names else ""
    raise _wrong(f"{'a Tensor' if count == 1 else f'a tuple of {count} Tensors'}{named}", hx)


def _labels(count: int) -> list[str]:
    return ["hx"] if count == 1 else [f"hx[{k}]" for k in range(count)]


def _column(
    label: str,
    column: Any,
    widths: Sequence[int | None],
    batch_size: int | None,
    like: Tensor | None,
) -> list[Tensor]:
    """One state of all cells, as one tensor or a list of them."""
    if isinstance(column, list) and len(column) == len(widths):
        return [
            _row(f"{label}[{k}]", row, width, batch_size, like)
            for k, (row, width) in enumerate(zip(column, widths, strict=True))
        ]
    if not isinstance(column, Tensor) or len(set(widths)) > 1:
        wanted = "a Tensor" if len(set(widths)) == 1 else f"a list of {len(widths)} Tensors"
        raise _wrong(wanted, column, label)
    dims, batched = (2, "unbatched 2-D") if batch_size is None else (3, "batched 3-D")
    if column.dim() != dims:
        raise RuntimeError(
            f"For {batched} input, {label} should also be {dims}-D but got {column.dim()}-D tensor"
        )
    if batch_size is None:
        column = column.unsqueeze(1)
    width = widths[0] if widths[0] is not None else column.size(-1)
    expected = (len(widths), 1 if batch_size is None else batch_size, width)
    if column.shape != expected:
        name = label.replace("hx", "hidden")  # as torch says it
        raise RuntimeError(f"hx: Expected {name} size {expected}, got {list(column.shape)}")
    check_placement(label, column, like)
    return list(column.unbind(0))


def _row(
    label: str, row: Any, width: int | None, batch_size: int | None, like: Tensor | None
) -> Tensor:
    """One state of one cell, ``(N, width)``, or ``(width,)`` unbatched."""
    if not isinstance(row, Tensor):
        raise _wrong("a Tensor", row, label)
    batch = () if batch_size is None else (batch_size,)
    expected = (*batch, row.size(-1) if width is None and row.dim() else width)
    if row.shape != expected:
        raise RuntimeError(f"{label}: Expected hidden size {expected}, got {list(row.shape)}")
    check_placement(label, row, like)
    return row.unsqueeze(0) if batch_size is None else row


def _wrong(wanted: str, given: object, label: str = "hx") -> TypeError:
    kind = type(given).__name__
    length = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    return TypeError(f"{label} should be {wanted}, got: {kind}{length}")
