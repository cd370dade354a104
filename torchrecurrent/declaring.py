"""Writes a module as a cell of this package."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .cell import is_own
from .engine import Declared, Traced, UntraceableError, backend, declared
from .foreign import ForeignCell

__all__ = ["declare", "declared_of"]


def declare(
    module: nn.Module,
    input_size: int | None = None,
    hidden_size: int | None = None,
    state_widths: Sequence[int] | None = None,
) -> str:
    """Return the declared step that a module's ``forward(input, state)`` amounts to, as Python.

    The text is a class to be pasted: its numbers and gradients are the module's once it has its
    parameters. Names of arguments are letters, which you may change.
    :func:`torchrecurrent.equations.latex` prints its equations.

    Args:
        module: a cell as :class:`Recurrent` takes it: ``torch.nn.GRUCell(3, 5)``, or one from a
            paper's repository.
        input_size: the width of its input; left out, the module's attribute of this name.
        hidden_size: the width of its output; left out, the module's attribute of this name.
        state_widths: of its states, if it can't be called without one.

    Raises:
        TypeError: if no step can be declared for it; the message says why, as ``explain`` does.
    """
    found, _ = declared_of(module, input_size, hidden_size, state_widths)
    return found.text


def declared_of(
    module: nn.Module,
    input_size: int | None = None,
    hidden_size: int | None = None,
    state_widths: Sequence[int] | None = None,
) -> tuple[Declared, Traced]:
    """Return the class with what its parameters are made of, and the trace that it comes from."""
    if is_own(module):
        raise TypeError(f"declare: {type(module).__name__} is a declared cell")
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    for name, size in sizes.items():
        sizes[name] = getattr(module, name, None) if size is None else size
        if not isinstance(sizes[name], int):
            owner = type(module).__name__
            raise TypeError(f"declare: {owner} has no attribute {name!r}; give it as an argument")
    like = next(module.parameters(), torch.zeros(()))
    cell = ForeignCell(module, sizes["hidden_size"])  # type: ignore[arg-type]
    data = like.detach().new_zeros(1, 1, sizes["input_size"])  # type: ignore[arg-type]
    states = cell.initial_states((1,), data) if hasattr(module, "init_hidden") else None
    if state_widths is not None:
        states = tuple(data.new_zeros(1, width) for width in state_widths)
    with backend("auto"):
        found = cell.fit(data, states).traced
    kind = type(module).__name__
    name = kind if kind.endswith("Cell") else f"{kind}Cell"
    try:
        if isinstance(found, str):
            raise UntraceableError(found)
        return declared(found.fused.plan, name, f"What {kind} computes."), found
    except UntraceableError as error:
        raise TypeError(f"{kind} can't be declared: {error}") from None
