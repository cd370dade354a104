"""For each check of torchrecurrent.testing a cell that fails it, and no other."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, sigmoid, tanh

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.init import resolve_initializer
from torchrecurrent.roles import Gap, Gate, State

from .making import tensors

__all__ = ["BROKEN", "SoundCell"]


class SoundCell(BaseRecurrentCell):
    """A user's cell with nothing wrong."""

    @staticmethod
    def step(h: State, z: Gate, n: Gate) -> Tensor:
        z = sigmoid(z)
        return z * h + (1 - z) * tanh(n)


class Shapes(SoundCell):
    """Makes a row up where a batch has none."""

    def forward(self, input: Tensor, hx: Any = None, **_: Any) -> Any:
        if input.dim() == 2 and input.size(0) == 0:
            return input.new_zeros(1, self.hidden_size)
        return super().forward(input, hx)


class InitialState(SoundCell):
    """Says that it starts from ones; it starts from zeros."""

    def init_hidden(self, batch_size: int | None = None) -> Any:
        return torch.ones_like(next(tensors(super().init_hidden(batch_size))))


class Unbatched(SoundCell):
    """Treats a large batch in its own way."""

    def forward(self, input: Tensor, hx: Any = None, **_: Any) -> Any:
        result = super().forward(input, hx)
        return result / 2 if input.dim() == 2 and input.size(0) > 4 else result


class Dtype(SoundCell):
    """Brings in a constant of float64."""

    @staticmethod
    def step(h: State, z: Gate, n: Gate) -> Tensor:
        return SoundCell.step(h, z, n) * torch.ones(1, dtype=torch.float64)


class Gradients(SoundCell):
    """Passes half a gradient on to the input of a step by itself."""

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        halved = (input + input.detach()) / 2
        return super().project(input if input.dim() == 3 else halved)


class FunctionalCall(SoundCell):
    """Keeps a parameter in a place where torch does not look for it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kept = [self.get_parameter("weight_hh")]

    def recurrent_kernel(self) -> Tensor:
        return self.kept[0]


class NoBias(SoundCell):
    """Has a bias that no option switches off."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.my_bias = torch.nn.Parameter(torch.zeros_like(self.get_parameter("weight_hh")[:, 0]))

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if hasattr(self, "my_bias"):
            torch.nn.init.zeros_(self.my_bias)


class Initialisers(SoundCell):
    """Calls an initialiser with both gates at once."""

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        whole = self.get_parameter("weight_ih")
        resolve_initializer("kernel_init", self.kernel_init)(whole)


class ResetParameters(SoundCell):
    """Changes in the constructor what resetting does not."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        torch.nn.init.ones_(self.get_parameter("weight_hh"))


class StateDict(SoundCell):
    """Saves to fewer digits than it computes with."""

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight_ih"] = destination[f"{prefix}weight_ih"].half()


class PickleAndDeepcopy(SoundCell):
    """Holds a function that has no name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.log = lambda: None


class ExtraRepr(SoundCell):
    """Does not tell one from another."""

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class OneStep(SoundCell):
    """Does with a pair of sequences by itself what it does not do in a layer."""

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        parts = super().project(input)
        is_pair = input.dim() == 2 and input.size(0) == 2
        return tuple(part * 1.001 for part in parts) if is_pair else parts


class TwoHalves(SoundCell):
    """Counts the steps of a sequence, and forgets the count between two pieces."""

    count = 0

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        self.count = 0
        return super().project(input)

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        self.count += 1
        output, _ = super().update(inputs, states, kernels)
        return output / self.count, (output / self.count,)


class Padding(SoundCell):
    """Takes it for a new sequence when one ends."""

    rows = 0

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        self.rows = 0
        return super().project(input)

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        rows = inputs[0].shape[:-1].numel()
        if self.rows not in (0, rows):
            states = (torch.zeros_like(states[0]),)
        self.rows = rows
        return super().update(inputs, states, kernels)


class BatchOrder(SoundCell):
    """Treats the last sequence of a large batch in its own way."""

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        output, _ = super().update(inputs, states, kernels)
        if output.dim() == 2 and output.size(0) > 5:
            output = torch.cat([output[:5], output[5:] / 2])
        return output, (output,)


class Bidirectional(SoundCell):
    """Shares its kernel with all others of its size that are alive."""

    alive: ClassVar[WeakValueDictionary[object, torch.nn.Parameter]] = WeakValueDictionary()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        kernel = self.get_parameter("weight_ih")
        self.weight_ih = self.alive.setdefault((kernel.dtype, kernel.shape), kernel)


class GradientsThroughTime(SoundCell):
    """Cuts its state off from its history at every step."""

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        return super().update(
            inputs, tuple(s if s.is_leaf else s.detach() for s in states or ()), kernels
        )


class Kernel(SoundCell):
    """Asks in its step whether that is being traced."""

    @staticmethod
    def step(h: State, z: Gate, n: Gate) -> Tensor:
        return SoundCell.step(h, z, n) * (1.0 if isinstance(h, Tensor) else 1.001)


class Noise(SoundCell):
    """Has no zoneout, whatever the option says."""

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        rates, self.zoneout = self.zoneout, 0.0
        try:
            return super().update(inputs, states, kernels)
        finally:
            self.zoneout = rates


class Gaps(SoundCell):
    """Drops the time since the step before."""

    dt: float = 1.0

    @staticmethod
    def step(h: State, z: Gate, n: Gate, dt: Gap) -> Tensor:  # type: ignore[override]
        return h + dt * (SoundCell.step(h, z, n) - h)

    def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
        return super().update(inputs[:1], states, kernels)


#: By the name of the check that each fails.
BROKEN: dict[str, type[BaseRecurrentCell]] = {
    "shapes": Shapes,
    "initial_state": InitialState,
    "unbatched": Unbatched,
    "dtype": Dtype,
    "gradients": Gradients,
    "functional_call": FunctionalCall,
    "no_bias": NoBias,
    "initialisers": Initialisers,
    "reset_parameters": ResetParameters,
    "state_dict": StateDict,
    "pickle_and_deepcopy": PickleAndDeepcopy,
    "extra_repr": ExtraRepr,
    "one_step": OneStep,
    "two_halves": TwoHalves,
    "padding": Padding,
    "batch_order": BatchOrder,
    "bidirectional": Bidirectional,
    "gradients_through_time": GradientsThroughTime,
    "kernel": Kernel,
    "noise": Noise,
    "gaps": Gaps,
}
