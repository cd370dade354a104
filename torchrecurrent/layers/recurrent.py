"""Any cell over a sequence, as :class:`torch.nn.LSTM` is for its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..cell import check_takes_gaps, is_own
from ..checks import check_gaps
from ..engine import (
    Given,
    compile_kernels,
    explain,
    exporting_to_onnx,
    join_gaps,
    kernel_source,
    prepare,
)
from ..foreign import ForeignCell
from ..interop.own_code import OwnForward
from ..interop.tracing import as_leaf, is_symbolic, refuse_scripting
from ..published import LayerNames
from ..saved import LoadsPeers, rename_torch_keys
from .again import call_again, remember_call
from .between import (
    Merge,
    add_input,
    add_input_apart,
    dropped_out,
    merged,
    norms,
    read_by_next,
)
from .building import CellLike, CellOption, build_cells, check_layer_options, options_by_name
from .gaps import Gaps
from .initial import InitialState
from .pieces import Marks
from .reading import Sequences, check_row, forward_in_time, read, write
from .running import Running
from .sequence import Steps
from .states import first_states, stack_states

__all__ = ["Recurrent"]


class Recurrent(Running, LoadsPeers, LayerNames, OwnForward):
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
        hidden_size: width H of the state; a list has one for each layer.
        num_layers: L; each layer reads the outputs of the one before.
        bias: if ``False`` the cells have no bias.
        batch_first: input and output are ``(N, T, *)`` instead of ``(T, N, *)``.
        dropout: probability of an element of every layer's output but the last's to be
            zeroed in training.
        input_dropout: the same for the layer's input.
        variational: what dropout zeroes at one step of a sequence it zeroes at all
            [gal2016theoretically]_, instead of drawing anew at each step; also where the
            sequence begins anew.
        bidirectional: a second cell a layer reads each sequence from its end; D is 2.
        proj_size: width of the projected output, for cells that have one (:class:`LSTMCell`).
        return_sequences: if ``False`` the output is that of the last step only, for each
            direction the last that it computed.
        merge: what becomes of the outputs of two directions, in every layer: ``"concat"`` puts
            them side by side, ``"sum"`` and ``"mean"`` add them.
        residual: every layer but the first adds what it reads to its output.
        layer_norm: what every layer but the first reads is normalised first
            (``torch.nn.LayerNorm``, in ``norms``), but for what ``residual`` adds.
        initial_state: with ``"learned"`` a sequence without ``hx`` begins with parameters of the
            layer, zero at first, one for each state, layer and direction.
        checkpoint_every: in training only the states of every so many steps are kept, and the
            steps between them are computed again in the backward pass; 0: all is kept. Such a
            layer has no second derivatives; under ``torch.compile`` all is kept.
        device: where the parameters are.
        dtype: what the parameters are.
        cell_options: passed on to the cells.

    Inputs: input, hx, lengths, mask, resets, dt
        - **input**: ``(T, N, I)``, ``(N, T, I)`` with ``batch_first``, ``(T, I)`` unbatched,
          or a :class:`~torch.nn.utils.rnn.PackedSequence`.
        - **hx**: the first state, shaped as the one returned. Default: zeros, as is ``None``
          in the place of a tensor.
        - **lengths**: the number of valid steps of each sequence of a padded input, a
          tensor or list of N integers from 0 to T, in any order. A sequence of length 0 has
          an output of zeros, and keeps its first state.
        - **mask**: true where a step counts, of torch.bool, ``(T, N)`` or laid out as the input. A
          masked step changes no state in any layer, and its output is that of the step before
          it (backwards: after it), or zero where there is none.
        - **resets**: likewise, true where a sequence begins anew before the step, in all layers,
          with the state that ``init_hidden`` gives; ``hx`` is for its first piece. It is as if
          the sequence was cut there, also for the backward direction.
        - **dt**: the time since the step before, of each step, ``(T, N)`` or laid out as the
          input; or ``(N,)``, the same for all steps of a sequence. For cells whose step depends
          on it. Default: the cell's option.

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

    @options_by_name
    def __init__(
        self,
        cell: CellLike,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        variational: bool = False,
        bidirectional: bool = False,
        proj_size: int = 0,
        return_sequences: bool = True,
        merge: Merge = "concat",
        residual: bool = False,
        layer_norm: bool = False,
        initial_state: InitialState = "zeros",
        checkpoint_every: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **cell_options: CellOption,
    ) -> None:
        super().__init__()
        for each in (cell, hidden_size):
            if isinstance(each, list | tuple) and num_layers == 1:
                num_layers = len(each)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.variational = variational
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.return_sequences = return_sequences
        self.merge = merge
        self.residual = residual
        self.layer_norm = layer_norm
        self.initial_state = initial_state
        self.checkpoint_every = checkpoint_every
        self._cell_options = cell_options
        check_layer_options(self)
        options: dict[str, object] = {"bias": bias, "device": device, "dtype": dtype}
        if proj_size:
            options["proj_size"] = proj_size
        cells, widths = build_cells(self, cell, options | cell_options)
        self.cells = nn.ModuleList(cells)
        #: The width of the output's last dimension, over all directions.
        self.output_size = widths[-1]
        self.norms = norms(self, widths, device, dtype)
        if initial_state == "learned":
            self._learn_initial_states(self._steppers(), self.num_directions, device, dtype)
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

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        dt: Tensor | PackedSequence | None = None,
    ) -> Any:
        """The outputs at all time steps, and the last states."""
        if is_symbolic(input):
            return as_leaf(self, input, hx, lengths=lengths, mask=mask, resets=resets, dt=dt)
        marks = self._marks(input, hx, lengths, mask, resets, dt)
        ragged = marks.any or isinstance(input, PackedSequence)
        if torch.compiler.is_compiling():
            run = self._run_traced if ragged else self._run
            return run(input, hx, marks, dt)
        if ragged or dt is not None:
            return self._run(input, hx, marks, dt)
        result = call_again(self, input, hx)
        if result is None:
            result = self._run(input, hx, marks, dt)
            remember_call(self, input)
        return result

    def _marks(
        self,
        input: Any,
        hx: Any,
        lengths: Tensor | Sequence[int] | None,
        mask: Tensor | None,
        resets: Tensor | None,
        dt: object,
    ) -> Marks:
        marks = Marks(lengths, mask, resets)
        if (mask is None) is (resets is None) or dt is not None or torch.compiler.is_compiling():
            return marks
        if mask is not None and self.residual:  # would add what a masked step reads to its output
            return marks
        given = Given(resets=resets is not None, masks=mask is not None)
        within = isinstance(input, Tensor) and self._sees_to(given, input)
        return replace(marks, within=within, zeros=hx is None and self._begin_with_zeros())

    def _run(self, input: Sequences, hx: Any, marks: Marks, dt: Any) -> tuple[Any, Any]:
        steps, batch_size = read(self, input, marks)
        gaps = None if dt is None else self._gaps(dt, input, marks, steps)
        cells = self._steppers()
        if len(cells) > 1 and not torch.compiler.is_compiling():
            prepare(self, self.cells, steps.data, is_own, _given(steps))
        states = self._first_states(hx, cells, steps, batch_size)
        final: list[tuple[Tensor, ...]] = []
        outputs: list[Steps] = []
        passed = steps.data
        if self.input_dropout:
            passed = dropped_out(self, self.input_dropout, steps, passed)
            steps = steps.with_data(passed)
        for layer in range(self.num_layers):
            if layer:
                output = merged(self.merge, forward_in_time(outputs))
                passed = add_input(self, layer - 1, passed, output)
                steps = steps.with_data(read_by_next(self, layer - 1, steps, passed))
            outputs = []
            for direction in range(self.num_directions):
                k = layer * self.num_directions + direction
                source = steps.reversed() if direction else steps
                first = self._begin(k, cells[k], source, states[k])
                before = None if gaps is None else gaps.rows(cells[k], bool(direction))
                data, last = self._run_cell(k, source, first, before)
                outputs.append(source.with_data(data))
                final.append(tuple(map(source.end, last)))
        outputs = add_input_apart(self, steps.with_data(passed), outputs)
        unbatched = batch_size is None
        h_n = stack_states(
            cells,
            [tuple(row.squeeze(0) if unbatched else row for row in rows) for rows in final],
        )
        if self.return_sequences:
            return write(self, input, steps, outputs), h_n
        output = merged(self.merge, [each.last() for each in outputs])
        return (output.squeeze(0) if unbatched else output), h_n

    def _gaps(self, dt: Any, input: Sequences, marks: Marks, steps: Steps) -> Gaps:
        return Gaps.of(dt, self.cells, input, self.batch_first, marks, steps, self._weight())

    def step(
        self, input: Tensor, hx: Any = None, *, dt: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """One time step of the whole stack, for data that come one after the other.

        In training dropout draws anew at each step, also where it is ``variational``.

        Args:
            input: ``(N, I)``, or ``(I,)`` unbatched.
            hx: the state before, as ``forward`` takes and returns it; default: as there.
            dt: the time since the step before, ``(N,)``, or ``()`` unbatched; default: as there.

        Returns:
            The output ``(N, output_size)``, and the state.

        Raises:
            TypeError: a state of the wrong kind, or a time for cells that don't depend on it.
            ValueError: two directions, of which the second would need the end of the sequence;
                a wrong rank, dtype or device.
            RuntimeError: a wrong width or batch size.
        """
        if self.bidirectional:
            raise ValueError(
                "step: a bidirectional layer reads each sequence from its end too; it has no step"
            )
        alike = dt is None and not torch.compiler.is_compiling()
        again = call_again(self, input, hx, one=True) if alike else None
        if again is not None:
            return again
        check_row(self, input)
        options = {} if dt is None else {"dt": self._row_of_gaps(dt, input)}
        rows = input if input.dim() == 2 else input.unsqueeze(0)
        cells, steps = self._steppers(), Steps(rows.unsqueeze(0))
        states = self._first_states(hx, cells, steps, None if input.dim() == 1 else input.size(0))
        passed, final = dropped_out(self, self.input_dropout, steps, rows), []
        for layer, (cell, first) in enumerate(zip(cells, states, strict=True)):
            read = read_by_next(self, layer - 1, steps, passed) if layer else passed
            if isinstance(cell, ForeignCell):
                output, last = cell.step(read, first)
            else:
                state = first if first is None or len(first) > 1 else first[0]
                result = cell(read, state, **options)
                shown, state = result if cell.signature.has_output else (None, result)
                last = (state,) if isinstance(state, Tensor) else state
                output = last[0] if shown is None else shown
            passed = add_input(self, layer, passed, output)
            final.append(last if input.dim() == 2 else tuple(row.squeeze(0) for row in last))
        if alike:
            remember_call(self, input)
        return (passed if input.dim() == 2 else passed.squeeze(0)), stack_states(cells, final)

    def _row_of_gaps(self, dt: Tensor, input: Tensor) -> Tensor:
        """The time since the step before, ``(N,)``, checked but for its values."""
        for cell in self.cells:
            check_takes_gaps(cell)
        check_gaps(dt, [("each sequence", input.shape[:-1])], self._weight())
        return dt.reshape(-1)

    def _run_traced(self, input: Sequences, hx: Any, marks: Marks, dt: Any) -> tuple[Any, Any]:
        """Run sequences whose packed sizes depend on data, which is beyond a tracer."""
        if exporting_to_onnx() and isinstance(input, Tensor) and marks.only_lengths:
            return self._run(input, hx, marks, dt)
        if torch.compiler.is_exporting():
            raise TypeError(
                f"{type(self).__name__}: a program that is exported can't have sequences of "
                "different lengths, masks or resets, since the sizes of packed steps depend on "
                "data; an export to ONNX can have a padded Tensor with lengths"
            )
        return torch.compiler.disable(self._run)(input, hx, marks, dt)  # type: ignore[no-any-return]

    def _weight(self) -> Tensor | None:
        """A parameter beside which inputs have to lie; those that are sharded wait for a hook."""
        first = next(iter(self.cells[0]._parameters.values()), None)  # faster than parameters()
        weight = next(self.parameters(), None) if first is None else first
        return weight if type(weight) is nn.Parameter else None

    def _first_states(
        self, hx: Any, cells: Sequence[Any], steps: Steps, batch_size: int | None
    ) -> list[tuple[Tensor, ...] | None]:
        if hx is None:
            return [
                None
                if is_own(cell) and not self._initial_names
                else self._initial_states(k, cell, (steps.sequences,), steps.data)
                for k, cell in enumerate(cells)
            ]
        return first_states(hx, cells, steps, batch_size, self._weight())

    def explain(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        dt: Tensor | PackedSequence | None = None,
    ) -> str:
        """Which path would run on this call, and why: one sentence for each cell."""
        marks = self._marks(input, hx, lengths, mask, resets, dt)
        steps, batch_size = read(self, input, marks)
        data, cells = steps.data, self._steppers()
        if dt is not None:
            data = join_gaps(data, self._gaps(dt, input, marks, steps).rows(cells[0], False))
        read_by, more = [data] * len(cells), data.size(-1) - self.input_size
        for k, cell in enumerate(self.cells):  # further up, inputs of the cells' own widths
            if k >= self.num_directions and is_own(cell):
                read_by[k] = data.new_zeros((*data.shape[:-1], cell.input_size + more))
        begun = self._first_states(hx, cells, steps, batch_size)
        states = [
            self._begin(k, cell, steps, each)
            for k, (cell, each) in enumerate(zip(cells, begun, strict=True))
        ]
        given = _given(steps)
        for k, (cell, state) in enumerate(zip(cells, states, strict=True)):
            if isinstance(cell, ForeignCell):
                cell.fit(steps.data[..., :1].expand(*steps.data.shape[:-1], self._reads(k)), state)
        return "\n".join(
            f"cells.{k} ({type(cell).__name__}): "
            + explain(stepper, each, state, steps.sizes, given)
            for k, (cell, stepper, each, state) in enumerate(
                zip(self.cells, cells, read_by, states, strict=True)
            )
        )

    def kernel_source(self, dtype: torch.dtype = torch.float32, device: str = "cpu") -> str:
        """The code that runs the first cell: C for ``"cpu"``, Triton for ``"cuda"``.

        Raises:
            TypeError: the cell has no kernel; the message says why.
        """
        return kernel_source(self._steppers()[0], dtype, device)

    def compile_kernels(self, dtype: torch.dtype | None = None) -> str:
        """Compile the kernels of all cells now, side by side, and keep them in the cache.

        The first call would compile them otherwise. One kernel runs forward and backward, for all
        lengths, batch sizes and, but for the one question whether the input is as wide as the
        state, all widths.

        Args:
            dtype: of the input; left out, that of the parameters.

        Returns:
            A sentence for each cell, that it has its kernel or why it can have none.

        Raises:
            RuntimeError: there is no compiler, or it failed.
        """
        if dtype is None:
            weight = next(self.parameters(), None)
            dtype = torch.get_default_dtype() if weight is None else weight.dtype
        own = [cell for cell in self.cells if is_own(cell)]
        found: dict[nn.Module, str] = dict(zip(own, compile_kernels(own, dtype), strict=True))
        reasons = [
            found.get(cell) if is_own(cell) else stepper.no_kernel
            for cell, stepper in zip(self.cells, self._steppers(), strict=True)
        ]
        return "\n".join(
            f"cells.{k} ({type(cell).__name__}): "
            + (f"reference: {reason}" if reason else f"c: it has a kernel for {dtype}")
            for k, (cell, reason) in enumerate(zip(self.cells, reasons, strict=True))
        )

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
        states = [self._initial_states(k, cell, shape, like) for k, cell in enumerate(cells)]
        known = [state for state in states if state is not None]
        if len(known) < len(states):
            raise TypeError("init_hidden: the cell's states are not known; pass hx=None instead")
        return stack_states(cells, known)

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
                ("input_dropout", 0.0),
                ("variational", False),
                ("bidirectional", False),
                ("return_sequences", True),
                ("merge", "concat"),
                ("residual", False),
                ("layer_norm", False),
                ("initial_state", "zeros"),
                ("checkpoint_every", 0),
            )
            if (value := getattr(self, name)) != default
        ]
        parts += [
            f"{name}={getattr(value, '__name__', value)}"
            for name, value in self._cell_options.items()
        ]
        return ", ".join(parts)


def _given(steps: Steps) -> Given:
    """What is said of steps to whatever runs a cell."""
    return Given(resets="resets" in steps.flags, masks="masked" in steps.flags)
