"""Cells made of cells. Each is a module with ``forward(input, state)``, as every cell is.

They have no step of their own that could be declared, so a layer runs them by the reference loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import roles
from ..cell import BaseRecurrentCell
from ..checks import check_cell_states, check_input, check_width
from ..init import Initializer, resolve_initializer
from ..published import CellNames
from .building import CellOption
from .given_cell import given_cell, refuse_layer

__all__ = ["CellFactory", "FastSlow", "Multiplicative"]

#: A class of cells, or a function of ``(input_size, hidden_size, *, bias, device, dtype)``.
CellFactory: TypeAlias = Callable[..., BaseRecurrentCell]
#: The same, or the name of a cell of this package.
Cell: TypeAlias = CellFactory | str
States = tuple[Tensor, ...]
Device: TypeAlias = torch.device | str | int | None


class Multiplicative(nn.Module, CellNames):
    r"""Any cell, with the product of input and state in its state's place.

    A multiplicative network [sutskever2011generating]_ chooses its transition by the input. Of
    an :class:`LSTMCell` it makes a multiplicative LSTM [krause2016multiplicative]_, which
    :class:`MultiplicativeLSTMCell` is as one declared step.

    .. math::
        m_t &= (W_{mx} x_t) \odot (W_{mh} h_{t-1}) \\
        h_t &= \mathrm{cell}(x_t, m_t)

    h is the first state of the cell. Its others are what they are without the wrapper.
    In a layer: ``Recurrent(partial(Multiplicative, GRUCell), 3, 5)``.

    Args:
        cell: a class or factory of cells of this package, or the name of one, all of whose
            recurrent products read its first state.
        input_size: width of the input.
        hidden_size: width of the cell's state.
        bias: if ``False`` the cell has no bias.
        multiplicative_kernel_init: initialiser of :math:`W_{mx}`, ``weight_mx``.
        multiplicative_recurrent_kernel_init: initialiser of :math:`W_{mh}`, ``weight_mh``.
        device: where the parameters are.
        dtype: what the parameters are.
        cell_options: passed on to the cell.

    Inputs: input, hx
        As the cell's.

    Outputs:
        As the cell's; where its output is not its state, ``(output, states)``, with a tuple
        of all states.

    Initialisation: both kernels Xavier-uniform; the cell's own is its own.

    Sources: the paper's equations as :class:`MultiplicativeLSTMCell` cites them; the paper
    itself could not be read.

    Raises:
        TypeError: ``cell`` makes something else than a cell of this package.
        ValueError: the cell has recurrent products that do not read its first state.
    """

    papers: ClassVar[tuple[str, ...]] = ("sutskever2011generating",)

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        multiplicative_kernel_init: Initializer = "xavier_uniform",
        multiplicative_recurrent_kernel_init: Initializer = "xavier_uniform",
        device: Device = None,
        dtype: torch.dtype | None = None,
        **cell_options: CellOption,
    ) -> None:
        super().__init__()
        options = {"bias": bias, "device": device, "dtype": dtype, **cell_options}
        self.cell = _make("cell", cell, input_size, hidden_size, options)
        read = sorted({run.of for run in self.cell.layout.runs})
        if read != [self.cell.state_names[0]] or any(self.cell.signature.having(roles.DelayedRole)):
            raise ValueError(
                "cell: expected one whose recurrent products all read its first state, "
                f"{self.cell.state_names[0]!r}; those of {type(self.cell).__name__} read {read}"
            )
        self.multiplicative_kernel_init = multiplicative_kernel_init
        self.multiplicative_recurrent_kernel_init = multiplicative_recurrent_kernel_init
        self.state_names, self.state_widths = self.cell.state_names, self.cell.state_widths
        width = self.state_widths[0]
        self.weight_mx = nn.Parameter(torch.empty(width, input_size, device=device, dtype=dtype))
        self.weight_mh = nn.Parameter(torch.empty(width, width, device=device, dtype=dtype))
        self._reset_own()

    @property
    def input_size(self) -> int:
        return self.cell.input_size

    @property
    def hidden_size(self) -> int:
        return self.cell.hidden_size

    @property
    def output_size(self) -> int:
        return self.cell.output_size

    def reset_parameters(self) -> None:
        """Initialise every parameter anew."""
        self.cell.reset_parameters()
        self._reset_own()

    @torch.no_grad()
    def _reset_own(self) -> None:
        for parameter, option in (
            (self.weight_mx, "multiplicative_kernel_init"),
            (self.weight_mh, "multiplicative_recurrent_kernel_init"),
        ):
            resolve_initializer(option, getattr(self, option))(parameter)

    def init_hidden(self, batch_size: int | None = None) -> Tensor | States:
        """The state before the first step, as the cell's."""
        return self.cell.init_hidden(batch_size)

    def forward(
        self, input: Tensor, hx: Tensor | States | None = None
    ) -> Tensor | States | tuple[Tensor, States]:
        """One step."""
        check_input(type(self).__name__, input, (1, 2))
        check_width(input, self.input_size)
        hx = self.init_hidden(*input.shape[:-1]) if hx is None else hx
        rows = tuple(input.shape[:-1])
        h, *rest = check_cell_states(
            self.state_names, self.state_widths, input, rows, hx, self.weight_mx
        )
        m = functional.linear(input, self.weight_mx) * functional.linear(h, self.weight_mh)
        output, states = _step(self.cell, input, (m, *rest))
        if self.cell.signature.has_output:
            return output, states
        return states if len(states) > 1 else states[0]


class FastSlow(nn.Module, CellNames):
    r"""Several fast cells and a slow one [mujika2017fast]_.

    The fast cells follow each other within a time step and hand one state on; the slow cell
    acts once, between the first and the second of them, and has a short way through time.
    For sequences with structure on two time scales, such as text read by characters.

    .. math::
        h^{F_1}_t &= f^{F_1}(h^{F_k}_{t-1}, x_t) \\
        h^S_t &= f^S(h^S_{t-1}, h^{F_1}_t) \\
        h^{F_2}_t &= f^{F_2}(h^{F_1}_t, h^S_t) \\
        h^{F_i}_t &= f^{F_i}(h^{F_{i-1}}_t) \quad\text{for } 3 \leq i \leq k

    From the third on a fast cell has no input: it gets a zero, of width 1, as in the authors'
    code. In a layer: ``Recurrent(partial(FastSlow, LSTMCell, LSTMCell), 3, 5)``.

    Args:
        fast: a class or factory of cells of this package, or the name of one; or a sequence of
            these, one for each fast cell. All have the same states.
        slow: a class or factory of cells of this package, or the name of one.
        input_size: width of the input.
        hidden_size: width of the fast cells' state.
        bias: if ``False`` the cells have no bias.
        num_fast: k, at least 2, unless ``fast`` is a sequence.
        slow_size: width of the slow cell's state; 0: as the fast cells'.
        device: where the parameters are.
        dtype: what the parameters are.

    Inputs: input, hx
        - **input**: ``(N, I)``, or ``(I,)`` unbatched.
        - **hx**: a tuple of the states of the fast cells, then those of the slow one, each
          ``(N, width)`` or ``(width,)``; ``None`` stands for zeros. Default: zeros.

    Outputs: ``(output, states)``
        The last fast cell's output, and all states, as ``hx`` has them.

    Initialisation: the cells' own.

    Sources: the authors' repository amujika/Fast-Slow-LSTM, ``FSRNN.py``; its cells, with
    layer normalisation and zoneout, and its dropout between them are not here.

    Raises:
        TypeError: a factory makes something else than a cell of this package.
        ValueError: fewer than two fast cells, or fast cells whose states differ.
    """

    papers: ClassVar[tuple[str, ...]] = ("mujika2017fast",)

    def __init__(
        self,
        fast: Cell | Sequence[Cell],
        slow: Cell,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        num_fast: int = 2,
        slow_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        factories = [fast] * num_fast if isinstance(fast, str) or callable(fast) else list(fast)
        if len(factories) < 2:
            raise ValueError(f"fast: expected at least 2 fast cells, got {len(factories)}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        options: dict[str, CellOption | str] = {"bias": bias, "device": device, "dtype": dtype}
        first = _make("fast", factories[0], input_size, hidden_size, options)
        middle = _make("slow", slow, first.output_size, slow_size or hidden_size, options)
        widths = [middle.output_size] + [1] * (len(factories) - 2)
        rest = [
            _make("fast", factory, width, hidden_size, options)
            for factory, width in zip(factories[1:], widths, strict=True)
        ]
        self.fast = nn.ModuleList([first, *rest])
        self.slow = middle
        self.state_names = (*first.state_names, *(f"slow {name}" for name in middle.state_names))
        self.state_widths = (*first.state_widths, *middle.state_widths)
        for cell in rest:
            if (cell.state_names, cell.state_widths) != (first.state_names, first.state_widths):
                raise ValueError(
                    "fast: expected cells with the same states, as each hands its own to the "
                    f"next, got {type(first).__name__} with {first.state_names} of "
                    f"{first.state_widths} and {type(cell).__name__} with {cell.state_names} of "
                    f"{cell.state_widths}"
                )

    @property
    def fast_cells(self) -> tuple[BaseRecurrentCell, ...]:
        """The fast cells, in their order."""
        return tuple(cell for cell in self.fast if isinstance(cell, BaseRecurrentCell))

    @property
    def output_size(self) -> int:
        return self.fast_cells[-1].output_size

    def reset_parameters(self) -> None:
        """Initialise every parameter anew."""
        for cell in (self.fast_cells[0], self.slow, *self.fast_cells[1:]):
            cell.reset_parameters()

    def init_hidden(self, batch_size: int | None = None) -> States:
        """The states before the first step."""
        return tuple(
            state
            for cell in (self.fast_cells[0], self.slow)
            for state in _as_tuple(cell.init_hidden(batch_size))
        )

    def forward(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """One step."""
        check_input(type(self).__name__, input, (1, 2))
        check_width(input, self.input_size)
        first, second, *further = self.fast_cells
        rows = tuple(input.shape[:-1])
        hx = self.init_hidden(*rows) if hx is None else hx
        weight = next(self.parameters())
        states = check_cell_states(self.state_names, self.state_widths, input, rows, hx, weight)
        fast, slow = states[: len(first.state_names)], states[len(first.state_names) :]
        output, fast = _step(first, input, fast)
        output, slow = _step(self.slow, output, slow)
        output, fast = _step(second, output, fast)
        for cell in further:
            output, fast = _step(cell, input.new_zeros((*input.shape[:-1], 1)), fast)
        return output, (*fast, *slow)


def _make(
    name: str,
    factory: Cell,
    input_size: int,
    hidden_size: int,
    options: dict[str, CellOption | str],
) -> BaseRecurrentCell:
    maker = given_cell(name, factory)
    cell = maker if isinstance(maker, nn.Module) else maker(input_size, hidden_size, **options)
    refuse_layer(name, cell)
    if cell is maker or not isinstance(cell, BaseRecurrentCell):
        given = f"{'an instance of ' if cell is maker else ''}{type(cell).__name__}"
        raise TypeError(f"{name} should make cells of torchrecurrent, got: {given}")
    return cell


def _step(cell: BaseRecurrentCell, input: Tensor, states: States) -> tuple[Tensor, States]:
    """The output and the new states of one step."""
    return cell.update(cell.project(input), states, cell.effective_parameters())


def _as_tuple(state: Tensor | States) -> States:
    return (state,) if isinstance(state, Tensor) else state
