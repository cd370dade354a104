"""Signatures as a reader wants them: aliases by their names, functions without addresses."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from sphinx.util.inspect import stringify_signature

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.activations import Activation
from torchrecurrent.declaration.options import constructor_signature
from torchrecurrent.engine.run.reference import EffectiveParameters
from torchrecurrent.init import Initializer
from torchrecurrent.layers.building import CellLike, CellOption

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ALIASES: list[tuple[object, str]] = [
    (Activation, "~torchrecurrent.activations.Activation"),
    (CellLike, "~torchrecurrent.layers.building.CellLike"),
    (CellOption, "~torchrecurrent.layers.building.CellOption"),
    (Initializer, "~torchrecurrent.init.Initializer"),
    (EffectiveParameters, "~torchrecurrent.engine.run.reference.EffectiveParameters"),
    (torch.nn.Module, "torch.nn.Module"),
]


class _Named:
    """Prints a function as its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def readable(signature: inspect.Signature) -> inspect.Signature:
    """``signature`` with the package's type aliases unexpanded."""
    return signature.replace(
        parameters=[
            parameter.replace(
                annotation=_alias(parameter.annotation), default=_default(parameter.default)
            )
            for parameter in signature.parameters.values()
        ],
        return_annotation=_alias(signature.return_annotation),
    )


def _alias(annotation: Any) -> Any:
    return next((name for alias, name in _ALIASES if annotation == alias), annotation)


def _default(value: Any) -> Any:
    return _Named(value.__name__) if inspect.isfunction(value) else value


def _process_signature(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: object,
    signature: str | None,
    return_annotation: str | None,
) -> tuple[str, str | None] | None:
    if signature is None or what not in ("class", "function", "method"):
        return None
    try:
        found = inspect.signature(obj, eval_str=True)
    except (NameError, TypeError, ValueError):  # annotations that only checkers can read
        return None
    if isinstance(obj, type) and issubclass(obj, BaseRecurrentCell):
        found = constructor_signature(obj, BaseRecurrentCell)
    if what == "method":
        found = found.replace(parameters=list(found.parameters.values())[1:])
    text = stringify_signature(
        readable(found),
        show_return_annotation=what != "class",
        unqualified_typehints=True,
        short_literals=True,
    )
    arguments, arrow, returned = text.partition(" -> ")
    return arguments, returned if arrow else None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", _process_signature)
    return {"parallel_read_safe": True}
