"""Any cell over a sequence, as :class:`torch.nn.LSTM` is for its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from ..cell import is_own
from ..checks import check_input, check_placement, check_width
from ..engine.run import call
from ..engine.run import dispatch as backend
from ..engine.run.onnx import exporting_to_onnx
from ..foreign import ForeignCell, output_size
from ..interop.own_code import OwnForward
from ..interop.tracing import as_leaf, is_symbolic, refuse_scripting
from ..published import LayerNames
from ..saved import rename_torch_keys
from .building import CellLike, CellOption, build_cells, check_layer_options, options_by_name
from .sequence import Steps, side_by_side
from .states import first_states, stack_states

__all__ = ["Recurrent"]

Sequences = Tensor | PackedSequence
Lengths = Tensor | Sequence[int] | None


class Recurrent(nn.Module, LayerNames, OwnForward):
    r"""A stack of cells over a sequence.

    Args:
        cell: a class of cells, the name of one (``"nBR"``), or a factory called as
            ``cell(input_size, hidden_size, ...)``, once for each layer and direction; an
            instance, for a single layer; or a list with one of these for each layer (a mixed
            stack). Backwards an instance is a copy of it, initialised anew; a pair of instances
            is one for each direction. A cell is one of this package, one of
            :class:`torch.nn.LSTMCell`, :class:`torch.nn.GRUCell`, :class:`torch.nn.RNNCell`,
            or any module with ``forward(input, state)`` (see :ref:`foreign`).
        input_size: width I of the input.
        hidden_size: width H of the state.
        num_layers: L; each layer reads the outputs of the one before.
        bias: if ``False`` the cells have no bias.
        batch_first: input and output are ``(N, T, *)`` instead of ``(T, N, *)``.
        dropout: probability of an element of every layer's output but the last's to be
            zeroed in training.
        bidirectional: a second cell a layer reads each sequence from its end; D is 2.
        proj_size: width of the projected output, for cells that have one (:class:`LSTMCell`).
        return_sequences: if ``False`` the output is that of the last step only, for each
            direction the last that it computed.
        device: where the parameters are.
        dtype: what the parameters are.
        cell_options: passed on to the cells.

    Inputs: input, hx, lengths
        - **input**: ``(T, N, I)``, ``(N, T, I)`` with ``batch_first``, ``(T, I)`` unbatched,
          or a :class:`~torch.nn.utils.rnn.PackedSequence`.
        - **hx**: the first state, shaped as the one returned. Default: zeros, as is ``None``
          in the place of a tensor.
        - **lengths**: the number of valid steps of each sequence of a padded input, a
          tensor or list of N integers from 0 to T, in any order. A sequence of length 0 has
          an output of zeros, and keeps its first state.

    Outputs: output, h_n
        - **output**: ``(T, N, output_size)``, D * H for most cells, laid out as the input; zero
          after a sequence's end. ``(N, output_size)`` with ``return_sequences=False``.
        - **h_n**: ``(L * D, N, H)``, each sequence's state after its own last step. A tuple
          of them for a cell with several states. A state as wide as its cell's input, and one
          of another width in each layer, is a tuple of L * D tensors ``(N, width)``; a stack of
          cells with different states has a list with the state of each cell.

    Raises:
        TypeError: an unknown option, one of the wrong type, a state of the wrong kind.
        ValueError: an option or a length out of range, a wrong rank, dtype or device.
        RuntimeError: a wrong width or batch size, or a sequence without steps.
    """

    cells: nn.ModuleList

    @options_by_name
    def __init__(
        self,
        cell: CellLike,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        return_sequences: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **cell_options: CellOption,
    ) -> None:
        super().__init__()
        if isinstance(cell, list | tuple) and num_layers == 1:
            num_layers = len(cell)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.return_sequences = return_sequences
        self._cell_options = cell_options
        check_layer_options(self)
        options: dict[str, object] = {"bias": bias, "device": device, "dtype": dtype}
        if proj_size:
            options["proj_size"] = proj_size
        self.cells = nn.ModuleList(build_cells(self, cell, options | cell_options))
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width of the output's last dimension, over all directions."""
        last = self.cells[-self.num_directions :]
        return sum(output_size(cell, self.hidden_size) for cell in last)

    def _steppers(self) -> list[Any]:
        return [
            cell if is_own(cell) else ForeignCell(cell, self.hidden_size) for cell in self.cells
        ]

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> Any:
        """The outputs at all time steps, and the last states."""
        if is_symbolic(input):
            return as_leaf(self, input, hx, lengths=lengths)
        ragged = lengths is not None or isinstance(input, PackedSequence)
        if ragged and torch.compiler.is_compiling():
            return self._run_traced(input, hx, lengths)
        return self._run(input, hx, lengths)

    def _run(self, input: Sequences, hx: Any, lengths: Lengths) -> tuple[Any, Any]:
        steps, batch_size = self._read(input, lengths)
        cells = self._steppers()
        states = self._first_states(hx, cells, steps, batch_size)
        final: list[tuple[Tensor, ...]] = []
        output: Tensor | None = None
        for layer in range(self.num_layers):
            outputs: list[Steps] = []
            for direction in range(self.num_directions):
                k = layer * self.num_directions + direction
                source = steps.reversed() if direction else steps
                data, last = self._run_cell(k, source, states[k])
                outputs.append(source.with_data(data))
                final.append(last)
            if layer + 1 == self.num_layers and not self.return_sequences:
                output = steps.unsort(side_by_side([each.last() for each in outputs]))
            forward_in_time = (
                each.reversed() if direction else each for direction, each in enumerate(outputs)
            )
            steps = steps.with_data(side_by_side([each.data for each in forward_in_time]))
            if layer + 1 < self.num_layers and self.dropout:
                steps = steps.with_data(functional.dropout(steps.data, self.dropout, self.training))
        unbatched = batch_size is None
        h_n = stack_states(
            cells,
            [
                tuple(row.squeeze(0) if unbatched else steps.unsort(row) for row in rows)
                for rows in final
            ],
        )
        if output is not None:
            return (output.squeeze(0) if unbatched else output), h_n
        return self._write(input, steps), h_n

    def _run_traced(self, input: Sequences, hx: Any, lengths: Lengths) -> tuple[Any, Any]:
        """Sequences of different lengths: packed, their sizes depend on data, beyond a tracer."""
        if exporting_to_onnx() and isinstance(input, Tensor):
            return self._run(input, hx, lengths)
        if torch.compiler.is_exporting():
            raise TypeError(
                f"{type(self).__name__}: a program that is exported can't have sequences of "
                "different lengths, since the sizes of packed steps depend on data; an export to "
                "ONNX can, of a padded Tensor with lengths"
            )
        return torch.compiler.disable(self._run)(input, hx, lengths)  # type: ignore[no-any-return]

    def _run_cell(
        self, k: int, steps: Steps, states: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One cell over all sequences, through its ``__call__``, so that its hooks run.

        A hook sees the input ``(T, N, *)``, and ``(output, state)``.
        """
        if steps.empty:
            return self._run_some(k, steps, states)
        cell = self.cells[k]
        if not is_own(cell):
            return call.run(
                ForeignCell(cell, self.hidden_size), steps.data, steps.sizes, states, steps.lengths
            )
        hx: Any = states  # left out, the cell's own zeros
        if states is not None and len(states) == 1:
            hx = states[0]
        watched = cell.per_sample
        with nullcontext() if watched is None else watched.sorted_by(steps.sorted_indices):
            output, state = cell(
                steps.data,
                hx=hx,
                sequence=True,
                batch_sizes=steps.sizes,
                lengths=steps.lengths,
            )
        return output, (state,) if isinstance(state, Tensor) else tuple(state)

    def _run_some(
        self, k: int, steps: Steps, states: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same where some sequences have no step: their last state is their first."""
        cell, running = self.cells[k], steps.running
        if states is None and is_own(cell):
            states = cell.initial_states((steps.batch_size,), steps.data)
        if states is None:
            raise ValueError(
                f"lengths: expected numbers from 1, since {type(cell).__name__} doesn't tell the "
                "state of a sequence without steps; pass hx"
            )
        if not running:
            width = self._steppers()[k].output_size
            return steps.data.new_zeros((0, width)), states
        some = tuple(state[:running] for state in states)
        output, last = self._run_cell(k, replace(steps, empty=0), some)
        return output, tuple(
            torch.cat([row, state[running:].to(row.dtype)])
            for row, state in zip(last, states, strict=True)
        )

    def _read(self, input: Sequences, lengths: Lengths) -> tuple[Steps, int | None]:
        """The input in the loop's form, and the batch size, ``None`` if unbatched."""
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: a PackedSequence has its own, expected None")
            self._check(input.data)
            steps = Steps.of_packed(input)
            return steps, steps.batch_size
        check_input(type(self).__name__, input, (2, 3), "a Tensor or a PackedSequence")
        self._check(input)
        unbatched = input.dim() == 2
        if unbatched and lengths is not None:
            raise ValueError("lengths: an unbatched input is all valid, expected None")
        if unbatched:
            input = input.unsqueeze(1)
        elif self.batch_first:
            input = input.transpose(0, 1)
        if input.size(0) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        if lengths is not None and exporting_to_onnx():
            return Steps.of_masked(input, lengths), input.size(1)
        return Steps.of_padded(input, lengths), None if unbatched else input.size(1)

    def _write(self, input: Tensor | PackedSequence, steps: Steps) -> Tensor | PackedSequence:
        """The output laid out as the input was."""
        if isinstance(input, PackedSequence):
            return steps.to_packed()
        if input.dim() == 2:
            return steps.data.squeeze(1)
        time = 1 if self.batch_first else 0
        padded = steps.to_padded(input.size(time))
        return padded.transpose(0, 1) if self.batch_first else padded

    def _check(self, input: Tensor) -> None:
        check_width(input, self.input_size)
        check_placement("input", input, self._weight())

    def _weight(self) -> Tensor | None:
        """A parameter beside which inputs have to lie; those that are sharded wait for a hook."""
        weight = next(self.parameters(), None)
        return weight if type(weight) is nn.Parameter else None

    def _first_states(
        self, hx: Any, cells: Sequence[Any], steps: Steps, batch_size: int | None
    ) -> list[tuple[Tensor, ...] | None]:
        if hx is None:
            return [
                None if is_own(cell) else cell.initial_states((steps.batch_size,), steps.data)
                for cell in cells
            ]
        return first_states(hx, cells, steps, batch_size, self._weight())

    def explain(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> str:
        """Which path would run on this call, and why: one sentence for each cell."""
        steps, batch_size = self._read(input, lengths)
        cells = self._steppers()
        states = self._first_states(hx, cells, steps, batch_size)
        return "\n".join(
            f"cells.{k} ({type(cell).__name__}): {backend.explain(stepper, steps.data, state)}"
            for k, (cell, stepper, state) in enumerate(zip(self.cells, cells, states, strict=True))
        )

    def kernel_source(self, dtype: torch.dtype = torch.float32, device: str = "cpu") -> str:
        """The code that runs the first cell: C for ``"cpu"``, Triton for ``"cuda"``.

        Raises:
            TypeError: the cell has no kernel; the message says why.
        """
        return backend.kernel_source(self._steppers()[0], dtype, device)

    def init_hidden(self, batch_size: int | None = None) -> Any:
        """The first state, as ``hx`` takes it.

        Args:
            batch_size: N; left out, the state for an unbatched input.

        Raises:
            TypeError: a module whose states are not known before it has run.
        """
        shape = () if batch_size is None else (batch_size,)
        weight = self._weight()
        like = torch.empty(0) if weight is None else weight
        cells = self._steppers()
        states = [cell.initial_states(shape, like) for cell in cells]
        if any(state is None for state in states):
            raise TypeError("init_hidden: the cell's states are not known; pass hx=None instead")
        return stack_states(cells, states)

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_scripting(self)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rename_torch_keys(state_dict, prefix, self.num_directions)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [
            f"{name}={value}"
            for name, default in (
                ("proj_size", 0),
                ("num_layers", 1),
                ("bias", True),
                ("batch_first", False),
                ("dropout", 0.0),
                ("bidirectional", False),
                ("return_sequences", True),
            )
            if (value := getattr(self, name)) != default
        ]
        parts += [
            f"{name}={getattr(value, '__name__', value)}"
            for name, value in self._cell_options.items()
        ]
        return ", ".join(parts)
