"""How each cell of a layer runs over a batch of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..cell import BaseRecurrentCell, is_own
from ..engine import Given, join_gaps, run_sequence, sees_to
from ..foreign import ForeignCell
from .between import Merge
from .building import hidden_sizes
from .checkpoints import run_in_pieces
from .initial import InitialStates
from .pieces import Pieces
from .sequence import Steps
from .states import Stateful

__all__ = ["Running"]


class Running(InitialStates):
    """Base of a layer: its cells, each with the states of a sequence before and after."""

    cells: nn.ModuleList
    #: A number, or one for each layer.
    hidden_size: Any
    num_layers: int
    checkpoint_every: int
    input_size: int
    merge: Merge

    def _steppers(self) -> list[Any]:
        return [
            cell if is_own(cell) else ForeignCell(cell, self._width(k))
            for k, cell in enumerate(self.cells)
        ]

    def _width(self, k: int) -> int:
        """The hidden size of cell k."""
        sizes = hidden_sizes(self.hidden_size, self.num_layers)
        return sizes[k * self.num_layers // len(self.cells)]

    def _reads(self, k: int) -> int:
        """The width of what cell k reads."""
        directions = len(self.cells) // self.num_layers
        layer = k // directions
        if not layer:
            return self.input_size
        before = self._steppers()[(layer - 1) * directions : layer * directions]
        widths = [int(cell.output_size) for cell in before]
        return sum(widths) if self.merge == "concat" else widths[0]

    def _sees_to(self, given: Given, input: Tensor) -> bool:
        """Whether whatever runs the cells sees to marks, which sets states to zeros at resets."""
        if self.checkpoint_every or (given.resets and not self._begin_with_zeros()):
            return False
        return all(
            is_own(cell)
            and not (cell.per_sample is not None and cell.per_sample.active(cell))
            and sees_to(cell, given, input.dtype, input.device)
            for cell in self.cells
        )

    def _begin_with_zeros(self) -> bool:
        """Whether all states are zeros at first, where the caller gives none."""
        zeros = BaseRecurrentCell.initial_states
        return not self._initial_names and all(
            getattr(type(cell), "initial_states", None) is zeros for cell in self.cells
        )

    def _begin(
        self, k: int, cell: Stateful, steps: Steps, states: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, ...] | None:
        """The first states of a cell, from those of the caller's sequences."""
        if states is None:
            return None
        if not isinstance(steps, Pieces):
            return tuple(steps.begin(state, None) for state in states)
        initial = self._initial_states(k, cell, (1,), steps.data)
        if initial is None and steps.anew:
            raise ValueError(
                "resets: expected None, since a cell doesn't tell with which state a sequence "
                "begins anew; pass hx=None, or cut the sequences"
            )
        return tuple(map(steps.begin, states, initial or states))

    def _run_cell(
        self,
        k: int,
        steps: Steps,
        states: tuple[Tensor, ...] | None,
        gaps: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One cell over all sequences, through its ``__call__``, so that its hooks run.

        A hook sees the input ``(T, N, *)``, and ``(output, state)``.

        Args:
            k: its number.
            steps: the input.
            states: the first ones; ``None``: the cell's own.
            gaps: the time before each step; ``None``: the cell's own.
        """
        if steps.empty:
            return self._run_some(k, steps, states, gaps)
        every, cell = self.checkpoint_every, self.cells[k]
        own: Any = cell
        watched = own.per_sample if is_own(cell) else None
        if watched is not None and watched.active(own):
            self._check_samples(own, steps)
        with nullcontext() if watched is None else watched.sorted_by(steps.sorted_indices):
            again = every and torch.is_grad_enabled() and not torch.compiler.is_compiling()
            if not again or len(steps) <= every:
                data, sizes = steps.data, steps.sizes
                return self._run_whole(k, data, sizes, states, steps.lengths, gaps, steps.flags)
            first = states or self._initial_states(
                k, self._steppers()[k], (steps.running,), steps.data
            )
            if first is None:
                raise ValueError(
                    f"checkpoint_every: {type(cell).__name__} doesn't tell its first state; pass hx"
                )
            run, data = partial(self._run_whole, k), steps.data
            if gaps is not None:
                run, data = partial(self._run_joined, k), join_gaps(data, gaps)
            return run_in_pieces(run, cell, every, data, steps.sizes, first)

    def _check_samples(self, cell: Any, steps: Steps) -> None:
        """Raise RuntimeError if opacus would not get the gradients of each sample."""
        what = (
            ("mask, resets: the pieces of a sequence would be samples", isinstance(steps, Pieces)),
            ("weight_dropout: all samples share a mask", cell.weight_dropout),
            ("recurrent_dropout: no masks are drawn sample by sample", cell.recurrent_dropout),
            ("zoneout: no masks are drawn sample by sample", cell.zoneout),
        )
        for reason, holds in what:
            if holds:
                raise RuntimeError(f"{reason}; there are no gradients of each sample for opacus")

    def _run_whole(
        self,
        k: int,
        data: Tensor,
        sizes: Tensor | None,
        states: tuple[Tensor, ...] | None,
        lengths: Tensor | None = None,
        gaps: Tensor | None = None,
        flags: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        cell = self.cells[k]
        if not is_own(cell):
            stepper = ForeignCell(cell, self._width(k)).fit(data, states)
            rows = data.size(1) if sizes is None else int(sizes[0])
            first = stepper.begin(states, rows, data)
            return run_sequence(stepper, data, sizes, first, lengths)
        hx: Any = states  # left out, the cell's own zeros
        if states is not None and len(states) == 1:
            hx = states[0]
        options = {**flags} if gaps is None else {**flags, "dt": gaps}
        output, state = cell(
            data, hx=hx, sequence=True, batch_sizes=sizes, lengths=lengths, **options
        )
        return output, (state,) if isinstance(state, Tensor) else tuple(state)

    def _run_joined(
        self, k: int, data: Tensor, sizes: Tensor | None, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same with the time before each step in the last column of the input."""
        return self._run_whole(k, data[..., :-1], sizes, states, None, data[..., -1])

    def _run_some(
        self,
        k: int,
        steps: Steps,
        states: tuple[Tensor, ...] | None,
        gaps: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run a cell where some sequences have no step: their last state is their first."""
        cell, running = self.cells[k], steps.running
        if states is None and is_own(cell):
            states = cell.initial_states((steps.batch_size,), steps.data)
        if states is None:
            wanted = "lengths: expected numbers from 1"
            if isinstance(steps, Pieces):
                wanted = "resets: expected a step in each piece"
            raise ValueError(
                f"{wanted}, since {type(cell).__name__} doesn't tell the state of a sequence "
                "without steps; pass hx"
            )
        if not running:
            width = self._steppers()[k].output_size
            return steps.data.new_zeros((0, width)), states
        some = tuple(state[:running] for state in states)
        output, last = self._run_cell(k, replace(steps, empty=0), some, gaps)
        return output, tuple(
            torch.cat([row, state[running:].to(row.dtype)])
            for row, state in zip(last, states, strict=True)
        )
