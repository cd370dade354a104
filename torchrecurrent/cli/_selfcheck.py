"""Compares cells of every kind on this machine with the reference loop in float64.

A cell's kind is read from its declaration: any cell of the package may represent its kind.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from .. import roles
from ..catalog.listing import cells
from ..cell import BaseRecurrentCell
from ..engine import Backend, backend
from ..layers.recurrent import Recurrent

__all__ = ["Case", "Outcome", "cases", "check"]

Cell = type[BaseRecurrentCell]

#: Enough work for a second thread, and a width that no vector length divides.
STEPS, BATCH, WIDTH = 50, 8, 65
LENGTHS = [7, 50, 1, 33, 50, 2, 19, 50]
#: The tolerance as a multiple of the loop's error. The tests require three, for the median of
#: several draws; in a single draw a unit may amplify any rounding. A wrong kernel is off by orders
#: of magnitude.
LIMIT = 10
#: The tolerance in roundings of a value, for when the loop's own error is small by chance, as that
#: of a single number summed over all steps can be.
FLOOR = 16


@dataclass(frozen=True)
class Kind:
    """One kind of cell or of call."""

    name: str
    fits: Callable[[Cell], bool]
    options: Mapping[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    packed: bool = False

    def layer(self, cell: Cell) -> Recurrent:
        return Recurrent(cell, WIDTH, WIDTH, **self.options)


@dataclass(frozen=True)
class Case:
    """A kind and the cell that represents it."""

    kind: Kind
    cell: Cell

    @property
    def name(self) -> str:
        return f"{self.kind.name}: {self.cell.__name__}"


@dataclass(frozen=True)
class Outcome:
    """The result of a check.

    Attributes:
        path: "kernel" if one ran all of it, "loop" if not, "-" if neither finished.
        reason: why no kernel ran.
        error: the relative error of the result that is worst relative to its tolerance.
        loop: the error of the reference loop in the same dtype.
        trouble: what is wrong; empty if nothing is.
    """

    path: str
    reason: str = ""
    error: float = math.nan
    loop: float = math.nan
    trouble: str = ""


def _number(cell: Cell, role: type[roles.Role]) -> int:
    return sum(1 for _ in cell.signature.having(role))


def _products(cell: Cell) -> bool:
    """Whether its step multiplies weights only with its states."""
    recurrent = [
        argument.role.recurrent
        for argument in cell.signature.having(roles.ProductRole)
        if isinstance(argument.role, roles.ProductRole)
    ]
    return any(recurrent) and not _number(cell, roles.MapRole)


def _dense(cell: Cell) -> bool:
    return cell.recurrence == "dense"


def _plain(cell: Cell) -> bool:
    """Whether its only state is its output."""
    return _number(cell, roles.StateRole) == 1 and not cell.signature.has_output


KINDS = (
    Kind("elementwise", lambda cell: not _dense(cell)),
    Kind(
        "diagonal by option",
        lambda cell: _dense(cell) and _products(cell),
        {"recurrence": "diagonal"},
    ),
    Kind("dense", lambda cell: _dense(cell) and _products(cell) and _plain(cell)),
    Kind("a map in the step", lambda cell: _number(cell, roles.MapRole) > 0 and _plain(cell)),
    Kind("several states", lambda cell: _number(cell, roles.StateRole) > 1),
    Kind("an output of its own", lambda cell: cell.signature.has_output),
    Kind("bfloat16", _dense, dtype=torch.bfloat16),
    Kind("packed batch", _dense, packed=True),
    Kind("bidirectional", _dense, {"bidirectional": True}),
)


def cases() -> Iterator[Case]:
    """Yield a cell for each kind, with a kernel if possible, preferring one not used before."""
    taken: set[Cell] = set()
    for kind in KINDS:
        fitting = [cell for cell in cells().values() if kind.fits(cell)]
        if fitting:
            cell = min(fitting, key=lambda cell: (not _has_kernel(kind, cell), cell in taken))
            taken.add(cell)
            yield Case(kind, cell)


def _has_kernel(kind: Kind, cell: Cell) -> bool:
    try:
        return bool(kind.layer(cell).kernel_source())
    except (TypeError, ValueError):  # it has none, or does not take the kind's options
        return False


def check(case: Case, device: torch.device) -> Outcome:
    """Run a case and the reference on a device, and compare; nothing is raised."""
    # The report itself mentions a missing compiler or a full cache.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _compare(case, device)
        except Exception as error:  # the other checks still run
            return Outcome("-", trouble=f"{type(error).__name__}: {error}")


def _compare(case: Case, device: torch.device) -> Outcome:
    torch.manual_seed(0)
    kind = case.kind
    layer = kind.layer(case.cell).to(device, kind.dtype)
    with torch.no_grad():  # initialisers leave zeros, where mistakes hide
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5 / math.sqrt(WIDTH))
    exact = copy.deepcopy(layer).double()
    input = torch.randn(STEPS, BATCH, WIDTH).to(device, kind.dtype)
    with torch.no_grad(), backend("reference"):
        states = layer(input)[1]  # states that this cell may have
    given = pack_padded_sequence(input, LENGTHS, enforce_sorted=False) if kind.packed else input
    path, reason = _path(layer.explain(given, states))
    truth = _results(exact, input, states, kind.packed, "reference")
    loop = _results(layer, input, states, kind.packed, "reference")
    ours = _results(layer, input, states, kind.packed, None)
    worst, error, by_loop, part = 0.0, 0.0, 0.0, ""
    for key, true in truth.items():
        size = max(float(true.norm()), torch.finfo(torch.float32).tiny)
        ours_off, loop_off = (float((each[key] - true).norm()) / size for each in (ours, loop))
        allowed = max(LIMIT * loop_off, FLOOR * torch.finfo(kind.dtype).eps)
        share = ours_off / allowed if math.isfinite(ours_off) else math.inf
        if share >= worst:
            worst, error, by_loop, part = share, ours_off, loop_off, key
    trouble = "" if worst <= 1 else f"wrong beyond rounding: {part}"
    return Outcome(path, reason, error, by_loop, trouble)


def _path(explained: str) -> tuple[str, str]:
    """Return the path of a layer, and why the first cell without a kernel has none."""
    for line in explained.splitlines():
        path, _, reason = line.partition("): ")[2].partition(": ")
        if path == "reference":
            return "loop", reason
    return "kernel", ""


def _results(
    layer: Recurrent, input: Tensor, states: Any, packed: bool, path: Backend | None
) -> dict[str, Tensor]:
    """Return output, last states and all gradients in float64, by the default path if not given."""
    dtype = next(layer.parameters()).dtype
    leaf = input.to(dtype, copy=True).requires_grad_()
    first = _copied(states, dtype)
    given: Any = pack_padded_sequence(leaf, LENGTHS, enforce_sorted=False) if packed else leaf
    if path is None:
        output, last = layer(given, first)
    else:
        with backend(path):
            output, last = layer(given, first)
    found = {"the output": output.data if packed else output}
    found |= {f"state {k} after the last step": each for k, each in enumerate(_tensors(last))}
    leaves = {"the input": leaf} | {f"first state {k}": s for k, s in enumerate(_tensors(first))}
    # without those that are not trained
    leaves |= {name: each for name, each in layer.named_parameters() if each.requires_grad}
    generator = torch.Generator().manual_seed(1)
    weighted = [
        (each * torch.randn(each.shape, generator=generator).to(each)).sum()
        for each in found.values()
    ]
    gradients = torch.autograd.grad(torch.stack(weighted).sum(), list(leaves.values()))
    found |= {f"the gradient of {n}": g for n, g in zip(leaves, gradients, strict=True)}
    return {name: each.detach().double() for name, each in found.items()}


def _copied(states: Any, dtype: torch.dtype) -> Any:
    """Return new leaves of the autograd graph, in the same nesting."""
    if isinstance(states, Tensor):
        return states.to(dtype, copy=True).requires_grad_()
    return type(states)(_copied(each, dtype) for each in states)


def _tensors(states: Any) -> Iterator[Tensor]:
    nested: Iterable[Any] = [states] if isinstance(states, Tensor) else states
    for each in nested:
        if isinstance(each, Tensor):
            yield each
        else:
            yield from _tensors(each)
