"""The common parts of the checks: the cell, its inputs and states, comparisons, the error."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..cell import BaseRecurrentCell
from ..engine import backend
from ..layers.building import CellOption
from ..layers.given_cell import refuse_layer
from ..layers.wrappers import CellFactory

__all__ = [
    "CellCheckError",
    "Check",
    "Subject",
    "check",
    "require",
    "require_same",
    "step",
    "tensors",
]

#: Float64 rounds at 1e-16; no reasonable cell amplifies that a million times within a few steps,
#: and a fault of a cell is larger.
TOLERANCE = 1e-9
M = TypeVar("M", bound=nn.Module)


class CellCheckError(AssertionError):
    """Raised for a cell that fails one or more checks.

    Attributes:
        check: name of the first check that fails.
        cell: the cell's name.
        finding: what is wrong.
        failures: an error for each check that fails; this error itself if there is only one.
    """

    def __init__(self, check: str, cell: str, finding: str) -> None:
        super().__init__(check, cell, finding)
        self.check = check
        self.cell = cell
        self.finding = finding
        self.failures: tuple[CellCheckError, ...] = (self,)

    @classmethod
    def of(cls, failures: Sequence[CellCheckError]) -> CellCheckError:
        """Return the error for a cell that fails several checks."""
        first = failures[0]
        error = cls(first.check, first.cell, first.finding)
        error.failures = tuple(failures)
        return error

    def __str__(self) -> str:
        found: dict[str, list[str]] = {}  # a finding of several checks is reported once
        for failure in self.failures:
            found.setdefault(failure.finding, []).append(repr(failure.check))
        if len(self.failures) == 1:
            return f"{self.cell} fails the check {self.check!r}: {self.finding}"
        lines = (f"- {', '.join(names)}: {finding}" for finding, names in found.items())
        return "\n".join([f"{self.cell} fails {len(self.failures)} checks:", *lines])


class Check(Protocol):
    """One check; arguments and errors are those of :func:`check_cell`."""

    __name__: str

    def __call__(
        self, cell: CellFactory, *, input_size: int | None = None, hidden_size: int = 4
    ) -> None: ...


class FaultError(Exception):
    """A fault, before it is known which cell has it."""


@dataclass(frozen=True)
class Subject:
    """The cell under test, and the sizes at which it is tested."""

    factory: CellFactory
    input_size: int
    hidden_size: int

    @classmethod
    def of(cls, cell: CellFactory, input_size: int | None, hidden_size: int) -> Subject:
        """Return a subject with the given sizes, or sizes that the cell accepts."""
        if input_size is None:
            try:
                cls(cell, 3, hidden_size).initialised()
                input_size = 3
            except ValueError:  # some cells must be as wide as their input
                input_size = hidden_size
        return cls(cell, input_size, hidden_size)

    def initialised(self, **options: CellOption) -> BaseRecurrentCell:
        """Return a newly constructed cell."""
        options = {"dtype": torch.float64, **options}
        cell = self.factory(self.input_size, self.hidden_size, **options)
        kind = type(cell).__name__
        require(
            isinstance(cell, BaseRecurrentCell),
            f"what it makes should have BaseRecurrentCell as its base, got: {kind}",
        )
        return cell.eval()

    def make(self, **options: CellOption) -> BaseRecurrentCell:
        """Return a cell with jittered parameters: zeros left by initialisers would hide faults."""
        return jitter(self.initialised(**options))

    def input(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """A random input ``(*shape, I)``."""
        return torch.randn(*shape, self.input_size, dtype=dtype)

    def states(self, cell: BaseRecurrentCell, *shape: int) -> tuple[Tensor, ...]:
        """Return states ``(*shape, width)`` that the cell itself reached, and so may have.

        The sequence is run unbatched, so that faults of batches have no effect.
        """
        with torch.no_grad():
            rows = []
            for _ in range(torch.Size(shape).numel()):
                states = cell.initial_states((), cell_like(cell))
                for _ in range(3):
                    _, states = cell.update(
                        cell.project(self.input()), states, cell.effective_parameters()
                    )
                rows.append([state + 0.05 * torch.rand_like(state) for state in states])
            if not rows:
                return cell.initial_states(shape, cell_like(cell))
            return tuple(torch.stack(one).reshape(*shape, -1) for one in zip(*rows, strict=True))


def jitter(module: M) -> M:
    """Add N(0, 0.09) to every parameter in place: one that must be positive mostly stays so.

    Those that are frozen have gradients afterwards, which are checked too.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.requires_grad_().add_(0.3 * torch.randn_like(parameter))
    return module


def cell_like(cell: BaseRecurrentCell) -> Tensor:
    """Return a tensor with the dtype of the cell."""
    return next(cell.parameters(), torch.empty(0, dtype=torch.float64))


def check(function: Callable[[Subject], None]) -> Check:
    """Turn a function into a check: it sets the seed and the reference loop, and names faults."""

    @functools.wraps(function)
    def run(cell: CellFactory, *, input_size: int | None = None, hidden_size: int = 4) -> None:
        label = _label(cell)
        with torch.random.fork_rng(devices=[]), backend("reference"):
            torch.manual_seed(0)
            try:
                function(Subject.of(cell, input_size, hidden_size))
            except FaultError as fault:
                raise CellCheckError(function.__name__, label, str(fault)) from None
            except Exception as error:
                text = f"it raised {type(error).__name__}: {error}"
                raise CellCheckError(function.__name__, label, text) from error

    return run


def _label(cell: Any) -> str:
    """Return the cell's name.

    Raises:
        TypeError: if it is neither a function nor a class of cells.
    """
    made = getattr(cell, "func", cell)  # of a partial
    refuse_layer("cell", made)
    if not callable(cell) or isinstance(cell, nn.Module):
        raise TypeError(
            "cell should be a class of cells or a function that makes one, "
            f"got: {'an instance of ' if isinstance(cell, nn.Module) else ''}{type(cell).__name__}"
        )
    if isinstance(made, type) and not issubclass(made, BaseRecurrentCell):
        raise TypeError(f"cell should have BaseRecurrentCell as its base, got: {made.__name__}")
    return str(getattr(made, "__name__", type(made).__name__))


def require(condition: bool, finding: str) -> None:
    """Raise FaultError unless ``condition`` holds."""
    if not condition:
        raise FaultError(finding)


def require_same(what: str, found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Raise FaultError unless all tensors in both nestings agree within the tolerance.

    Args:
        what: begins the sentence, such as "the state".
        found: a tensor or a nesting of tuples and lists of them.
        expected: the same.
        tolerance: absolute for values up to one, relative above.
    """
    ones, others = list(tensors(found)), list(tensors(expected))
    require(len(ones) == len(others), f"{what}: {len(ones)} tensors instead of {len(others)}")
    for one, other in zip(ones, others, strict=True):
        require(
            one.shape == other.shape,
            f"{what}: the shape {tuple(one.shape)} instead of {tuple(other.shape)}",
        )
        off = (one - other).detach().abs()
        # Written so that not-a-number is a fault.
        if not (off <= tolerance * other.detach().abs().clamp(min=1)).all():
            raise FaultError(f"{what}: a difference of {float(off.max()):.2g}")


def step(
    cell: BaseRecurrentCell, input: Tensor, states: Sequence[Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the output and the states after one call of the cell."""
    hx = None if states is None else states[0] if len(states) == 1 else tuple(states)
    result = cell(input, hx)
    output, state = result if cell.signature.has_output else (None, result)
    found = tuple(tensors(state))
    return found[0] if output is None else output, found


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield all tensors in a nesting of tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value:
            yield from tensors(item)
