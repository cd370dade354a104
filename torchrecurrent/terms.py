"""Prints the functions and operators of a step."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from .engine import Operation

__all__ = ["OPERATORS", "printed", "torch_name"]

#: Python's operators as functions.
OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.USub: "neg",
    ast.UAdd: "positive",
    ast.BitAnd: "logical_and",
    ast.BitOr: "logical_or",
    ast.Invert: "logical_not",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.Gt: "gt",
    ast.LtE: "le",
    ast.GtE: "ge",
}


def torch_name(function: object) -> str | None:
    """Return the name of a function of torch or Python; None for any other."""
    module = getattr(function, "__module__", None) or "builtins"
    found = getattr(function, "__name__", None)
    return found if module.partition(".")[0] in ("builtins", "torch") else None


def printed(row: Operation, values: Mapping[str, Any]) -> str:
    """Print a call, with the options up to the last that is not at torch's default."""
    if callable(row.latex):
        return row.latex(*values.values())
    defaults = {name: each.default for name, each in row.signature.parameters.items()}
    texts = {name: _text(value) for name, value in values.items()}
    required = [name for name in texts if defaults[name] is Parameter.empty]
    options = [name for name in texts if name not in required]
    while options and texts[options[-1]] == _text(defaults[options[-1]]):
        options.pop()
    name = row.latex or rf"\mathrm{{{row.name}}}".replace("_", r"\_")
    index = f"_{{{', '.join(texts[each] for each in options)}}}" if options else ""
    return f"{name}{index}({', '.join(texts[each] for each in required)})"


def _text(value: object) -> str:
    """Print a term, or a number or word that is an option of a function."""
    match value:
        case str():
            return rf"\mathrm{{{value}}}"
        case int() | float():
            return f"{value:g}"
    return f"{value}"
