"""Compile kernels ahead: of cells, or of all cells of a model.

For a container's image, or a machine without a compiler or a network. One kernel serves training
and inference, and all widths. The exit status is 1 if a compiler failed, 2 if there is no such cell
or model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from ..by_name import import_by_name, read_option
from ..catalog.listing import cells, find_cell, list_cells
from ..cell import BaseRecurrentCell
from ..engine.cpu import cache
from ..engine.cpu.compiler import CompilerError
from ..engine.run.ahead import compile_kernels
from ..layers.recurrent import Recurrent

__all__ = ["arguments", "run"]

DTYPES = ("float32", "float64", "bfloat16", "float16")
#: The width of the input and of the state, which many numbers of heads divide. Some cells have
#: another kernel if the two are equal, as in the second layer of a stack.
_INPUT, _HIDDEN = 360, 720


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the target, the dtypes and the options."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="cells|module:factory",
        help='names of cells, as "LSTM" or "*gru*", or package.module:factory, which is called '
        "without arguments and returns a model",
    )
    parser.add_argument(
        "--dtype",
        nargs="+",
        default=["float32"],
        choices=DTYPES,
        metavar="DTYPE",
        help=f"any of {', '.join(DTYPES)} (default: float32)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="options",
        help="an option of the cells that are named, such as recurrence=diagonal",
    )


def run(options: argparse.Namespace) -> int:
    """Compile, and print a line for each cell and dtype."""
    try:
        given = dict(map(read_option, options.options))
        found = [cell for target in options.targets for cell in _cells(target, given)]
    except (TypeError, ValueError, RuntimeError) as error:
        return _fail(str(error), 2)
    for name in options.dtype:
        try:
            reasons = compile_kernels(found, getattr(torch, name))
        except CompilerError as error:
            return _fail(str(error), 1)
        lines = [
            f"{type(cell).__name__:<24} {name:<9} {reason or 'compiled'}"
            for cell, reason in zip(found, reasons, strict=True)
        ]
        print("\n".join(dict.fromkeys(lines)), flush=True)
    state = cache.state()
    print(f"{state['kernels']} kernels in {state['directory']}")
    return 0 if state["usable"] else _fail(f"the cache is not usable: {state['reason']}", 1)


def _fail(text: str, status: int) -> int:
    print(f"torchrecurrent compile: error: {text}", file=sys.stderr)
    return status


def _cells(target: str, options: dict[str, Any]) -> list[BaseRecurrentCell]:
    if ":" in target:
        return list(_cells_of(_model(target)))
    names = list_cells(target)
    named = [cells()[name] for name in names] if names else [find_cell("cells", target)]
    return [cell for each in named for cell in _cells_of(_stack(each, options))]


def _stack(cell: type[BaseRecurrentCell], options: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):
        try:
            return Recurrent(cell, _INPUT, _HIDDEN, 2, **options)
        except ValueError:  # some cells must be as wide as their input
            return Recurrent(cell, _HIDDEN, _HIDDEN, 2, **options)


def _model(path: str) -> nn.Module:
    factory = import_by_name(path)
    model = factory if isinstance(factory, nn.Module) else factory()
    if not isinstance(model, nn.Module):
        raise TypeError(f"{path!r} should make a torch.nn.Module, got {type(model).__name__}")
    return model


def _cells_of(model: nn.Module) -> Iterator[BaseRecurrentCell]:
    found: Sequence[nn.Module] = list(model.modules())
    own = [each for each in found if isinstance(each, BaseRecurrentCell)]
    if not own:
        raise ValueError(f"{type(model).__name__} has no cell of torchrecurrent")
    yield from own
