"""Lets a layer drive any module with ``forward(input, state)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from .checks import is_tensors
from .engine import Calling, EffectiveParameters, Stepper, Traced, calling, traced

__all__ = ["ForeignCell", "output_size", "state_names"]

#: The number of states of torch's cells, so that a given state can be checked.
_TORCH_STATES = {nn.RNNCell: ("h",), nn.GRUCell: ("h",), nn.LSTMCell: ("h", "c")}


def output_size(module: nn.Module, hidden_size: int) -> int:
    """Return the width of the output of any cell in a layer of this ``hidden_size``."""
    return int(getattr(module, "output_size", getattr(module, "hidden_size", hidden_size)))


def state_names(module: nn.Module) -> tuple[str, ...] | None:
    """Return the names of any cell's states; ``None`` if unknown before it has run."""
    declared: Any = getattr(module, "state_names", None)
    if declared is not None and hasattr(module, "state_widths"):
        return tuple(declared)
    return next((names for kind, names in _TORCH_STATES.items() if isinstance(module, kind)), None)


class ForeignCell:
    """Adapts a module that is not one of our cells to the loop, or to a kernel traced from it.

    The module is called as ``module(input, state)``, or with its states as further arguments, as
    :func:`.engine.calling` finds out. At first ``state`` is the result of its
    ``init_hidden(batch_size)``, if it has that method, else ``None``, or zeros where that fails;
    then it is the state that the module returned. It returns the new state, a tensor or several
    whose first is the output; or the output, then the state. A given state is checked against
    its ``state_names`` and ``state_widths``, if it has both.
    """

    #: Numbers that a kernel is passed at each call: a module has none.
    numbers: Mapping[str, float] = MappingProxyType({})
    #: What noise a module has it draws itself.
    recurrent_dropout, zoneout, training = 0.0, 0.0, False

    def __init__(self, module: nn.Module, hidden_size: int) -> None:
        self.module = module
        self.output_size = output_size(module, hidden_size)
        self.state_names = names = state_names(module)
        self.state_widths: tuple[int, ...] | None = None
        if names is not None:
            same = (self.output_size,) * len(names)
            self.state_widths = tuple(getattr(module, "state_widths", same))

        self._calling: Calling | None = None
        self._traced: Traced | str = "a module is traced when it is first called"

    def fit(self, data: Tensor, states: tuple[Tensor, ...] | None) -> ForeignCell:
        """Trace the module for a call, so that a kernel can run it; return the cell itself.

        Args:
            data: the input of all steps.
            states: the first ones; ``None``: the module makes its own.
        """
        form = self._form(data, states)
        if states is None and form.widths is not None:
            states = self.initial_states((1,), data)
        self._traced = self._says_why or traced(self.module, self._one_step, data, states)
        return self

    @property
    def _says_why(self) -> str:
        """Why a declared cell with a ``forward`` of its own has no kernel."""
        why: str = getattr(type(self.module), "no_kernel", "")
        return why

    def _form(self, like: Tensor, states: tuple[Tensor, ...] | None) -> Calling:
        """How the module takes and returns its states."""
        if self._calling is None:
            if isinstance(self.module, tuple(_TORCH_STATES)) or self._says_why:
                self._calling = Calling()
            else:
                width = int(getattr(self.module, "hidden_size", self.output_size))
                self._calling = calling(self.module, like, states, width)
        return self._calling

    def _one_step(
        self, input: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.update((input,), states or None, {})

    @property
    def traced(self) -> Traced | str:
        """The kernel of the latest call, or why the loop runs."""
        return self._traced

    @property
    def no_kernel(self) -> str:
        """Why no kernel can run it; empty if one can."""
        return self._traced if isinstance(self._traced, str) else ""

    @property
    def _kernel(self) -> Traced:
        assert not isinstance(self._traced, str)
        return self._traced

    @property
    def fused(self) -> Any:
        """The kernels of the module."""
        return self._kernel.fused

    @property
    def input_size(self) -> int:
        return self._kernel.fused.input_size

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the kernel's parameters; empty: the loop runs."""
        if self.no_kernel:
            return {}
        return dict(zip(self.fused.weights, self.fused.shapes, strict=True))

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        return (input,)

    def effective_parameters(self) -> EffectiveParameters:
        """The kernel's parameters, made of the module's; empty: the loop runs."""
        return {} if self.no_kernel else self._kernel.parameters(self.module)

    def replayed(self, parameters: EffectiveParameters) -> Stepper:
        """The module with given parameters of its kernel."""
        return self._kernel.replayed(parameters)

    def begin(
        self, states: tuple[Tensor, ...] | None, rows: int, like: Tensor
    ) -> tuple[Tensor, ...] | None:
        """The first states of some sequences, where a kernel needs those that a module makes."""
        if states is not None or (self.no_kernel and self._form(like, None).widths is None):
            return states
        return self.initial_states((rows,), like)

    def draw_noise(self, input: Tensor, states: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """No masks: what a module draws it draws itself."""
        return {}

    def initial_states(self, shape: Sequence[int], like: Tensor) -> tuple[Tensor, ...] | None:
        """The states before the first step; ``None``: the module makes its own."""
        init_hidden = getattr(self.module, "init_hidden", None)
        if init_hidden is not None:
            states = self._states(init_hidden(shape[0] if shape else 1))
            # it can't know of an input in float64
            states = tuple(
                each.to(torch.promote_types(each.dtype, like.dtype))
                if each.is_floating_point()
                else each
                for each in states
            )
            return states if shape else tuple(state.squeeze(0) for state in states)
        widths = self.state_widths
        if widths is None:
            widths = self._form(like, None).widths
        if widths is None and not self.no_kernel:
            widths = self._kernel.widths
        if widths is None:
            return None
        return tuple(like.new_zeros((*shape, width)) for width in widths)

    def update(
        self,
        inputs: Sequence[Tensor],
        states: tuple[Tensor, ...] | None,
        parameters: EffectiveParameters,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        form = self._form(inputs[0], states)
        result = form.call(self.module, inputs[0], states)
        found = form.read(result)
        if found is None:
            raise self._unexpected(result)
        return found

    def step(self, input: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, Any]:
        """One step: the output and the states."""
        return self.update(self.project(input), states, {})

    def _states(self, value: Any) -> tuple[Tensor, ...]:
        if isinstance(value, Tensor):
            return (value,)
        if is_tensors(value) and value:
            return tuple(value)
        raise self._unexpected(value)

    def _unexpected(self, value: object) -> TypeError:
        return TypeError(
            f"{type(self.module).__name__}: expected a state that is a Tensor or a tuple of "
            f"Tensors, or (output, state), got: {type(value).__name__}"
        )
