"""Writes the docstring of a layer from those of its cell and of ``Recurrent``.

So ``help(nBR)`` says what the layer computes, and has all arguments, shapes and states.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection

from ..cell import BaseRecurrentCell
from ..declaration.described import section

__all__ = ["layer_docs"]


def layer_docs(
    own: str | None, cell: type[BaseRecurrentCell], arguments: Collection[str], general: str | None
) -> str | None:
    """Return the docstring of a layer.

    Args:
        own: what the class itself says, if it does.
        cell: its cell.
        arguments: the names of the layer's arguments.
        general: the docstring of a layer of any cell.

    Returns:
        What the cell is, and ``own``; then the arguments, inputs, outputs and states. ``None``
        where docstrings are left out, as by ``python -OO``.
    """
    if general is None or cell.__doc__ is None:
        return own
    base, text = inspect.cleandoc(general), f"{_lead(cell)}\n\n{inspect.cleandoc(own or '')}"
    known = _entries(inspect.cleandoc(BaseRecurrentCell.__doc__ or ""))
    known |= _entries(base) | _entries(cell.__doc__) | _entries(text)
    entries = "\n".join(known[name] for name in arguments if name in known)
    text = text.replace(section(text, "Args:"), "").rstrip()
    later = base[base.index("\nInputs:") :].strip()
    return f"{text}\n\n{_states(cell)}\n\nArgs:\n{entries}\n\n{later}"


def _lead(cell: type[BaseRecurrentCell]) -> str:
    title = (cell.__doc__ or "").partition("\n")[0].rstrip(".")
    title = re.sub(r" \[\w+\]_", "", title) or cell.__name__
    return (
        f"{title}, as a layer over a sequence.\n\nIts steps are those of "
        f":class:`{cell.__name__}`, where the equations are.\nIt is called as "
        ":class:`torch.nn.LSTM` is."
    )


def _states(cell: type[BaseRecurrentCell]) -> str:
    names = [f"``{argument.name}``" for argument in cell.signature.states]
    output = "none of them" if cell.signature.has_output else names[0]
    many = "s" if len(names) > 1 else ""
    return f"State{many}: {', '.join(names)}; the output is {output}."


def _entries(text: str) -> dict[str, str]:
    """Return the entries of the arguments by their names."""
    found = re.findall(r"^(    (\w+): .*(?:\n     .*)*)", section(text, "Args:"), re.MULTILINE)
    return {name: entry for entry, name in found}
