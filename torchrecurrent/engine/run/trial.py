"""Tries a kernel out: on drawn numbers it has to be as near to float64 as the reference loop is.

Nothing here is a user's: parameters, inputs, first states and gradients are drawn, by generators of
their own. They are few, since what a wrong kernel does shows at small sizes: thirteen steps, which
are more than those whose loads run ahead, three sequences, and one more than a program has.
The widths are the kernel's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ...declaration.noise import noise_of
from ..gpu.emit import NARROW
from ..gpu.memory import Guards
from ..program.batch import Batch
from ..program.form import Form
from . import reference
from .autograd import join_delay, split_delay
from .gaps import join_gaps
from .kernels import Fused
from .passes import backward_pass, forward_pass, outputs, owned

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["Trial", "Tried", "fault"]

STEPS, FEW = 13, 3
#: Kernels may be so many times as far from float64 as the loop, as tests/test_accuracy.py asks.
LIMIT = 3.0
#: Roundings of a value that are allowed in any case. Beside a loop that is exact by chance the
#: kernels of float32 come to ten (LipschitzRNN, gradients of first states); those that keep
#: bfloat16 in memory are nearer to float64 than their loop.
_ROUNDINGS, _NARROW_ROUNDINGS = 16.0, 4.0
#: The same in float64, where nothing tells the loop's error: of the largest of all results, sums of
#: many terms in another order.
_DOUBLE_ROUNDINGS = 1000.0
#: Where one draw is beyond the limit the median of so many decides: an error of the loop may be
#: small by chance. tests/test_accuracy.py says what medians were seen.
_DRAWS = 9
#: The root mean square of what a large input brings to gates: arguments of both signs come to 30
#: and beyond, where every approximation of a sigmoid has ended, and exp overflows nowhere yet.
_FAR = 15.0
#: Of recurrent kernels, over the root of their columns: below 1, or roundings grow with each step.
_SPREAD = 0.5

#: Around the tensors of those calls that have no NaN there; of all dtypes.
_NUMBER = -1024.0

Numbers = Sequence[Tensor]


class Tried(Protocol):
    """What a trial needs of a kernel, whatever language it is written in."""

    @property
    def tallest(self) -> int: ...

    #: All that decides what it computes, but for the device and torch.
    @property
    def made_of(self) -> Mapping[str, str]: ...

    def tried(self, form: Form, guards: Guards) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class _Case:
    """The numbers of one call, in float64 on the CPU."""

    data: Tensor
    sizes: Tensor | None
    weights: Numbers
    states: Numbers
    grad_output: Tensor
    grad_states: Numbers
    #: Masks; those that are bytes stay so.
    noise: Mapping[str, Tensor]

    def map(self, change: Callable[[Tensor], Tensor]) -> _Case:
        data = change(self.data)
        return _Case(
            data,
            self.sizes,
            list(map(change, self.weights)),
            list(map(change, self.states)),
            change(self.grad_output),
            list(map(change, self.grad_states)),
            {
                name: change(mask) if mask.is_floating_point() else mask.to(data.device)
                for name, mask in self.noise.items()
            },
        )


@dataclass(frozen=True)
class Trial:
    """One kernel, in one form, on one device."""

    cell: BaseRecurrentCell
    fused: Fused
    kernel: Tried
    dtype: torch.dtype
    device: torch.device
    form: Form

    @property
    def constants(self) -> list[float]:
        return list(self.cell.numbers.values())

    def names(self) -> list[str]:
        """What a run gives, in order."""
        states = [f"state {name}" for name in self.fused.buffers.first]
        made = ["the output", *(f"the last {state}" for state in states)]
        if not self.form.training:
            return made
        leaves = ["the input", *self.fused.weights, *(f"the first {state}" for state in states)]
        return made + [f"the gradient of {leaf}" for leaf in leaves]

    def draw(self, seed: int, count: int, far: bool) -> _Case:
        """Draw a case of some sequences.

        Args:
            seed: of the generator.
            count: how many sequences there are.
            far: whether the input is large.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        weights = [
            normal(*shape) * (_SPREAD / math.sqrt(shape[-1]) if len(shape) > 1 else 0.4)
            for shape in self.fused.shapes
        ]
        sizes: Tensor | None = None
        lead: tuple[int, ...] = (STEPS, count)
        if self.form.ragged:  # from all to one, and at some steps several end
            falling = [max(1, count - count * step // STEPS) for step in range(STEPS)]
            sizes, lead = torch.tensor(falling), (sum(falling),)
        data = normal(*lead, self.cell.input_size)
        weights = [each.to(self.dtype).double() for each in weights]
        stepper = reference.replayed(self.cell, self._named(weights))
        with torch.no_grad():
            if far:
                data = data * (_FAR / float(stepper.project(data)[0].square().mean().sqrt()))
            if self.fused.plan.gaps:
                gaps = torch.rand(lead, generator=generator, dtype=torch.float64) + 0.1
                data = join_gaps(data, gaps)
            like = torch.zeros(1, dtype=torch.float64)
            first = self.cell.initial_states((count,), like)
            first = tuple(each.cpu().double() for each in first)
            before = normal(5, count, self.cell.input_size)
            # what this cell's states may be, and not zero
            states = self._loop(
                before, None, weights, split_delay(self.cell, first),
                self._noise(before, count, generator),
            )[1:]  # fmt: skip
        b = self.fused.buffers
        case = _Case(
            data, sizes, weights, states, normal(*lead, b.output.units),
            [normal(count, each.units) for each in b.states.values()],
            self._noise(data, count, generator),
        )  # fmt: skip
        return case.map(lambda each: each.to(self.dtype).double())

    def _noise(self, data: Tensor, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        cell = self.cell
        widths = dict(zip(cell.state_names, cell.state_widths, strict=True))
        return noise_of(cell).draw(widths, data.shape[:-1], data, (count,), generator)

    def _named(self, weights: Numbers) -> dict[str, Tensor | None]:
        found: dict[str, Tensor | None] = dict.fromkeys(self.cell.parameter_shapes)
        return found | dict(zip(self.fused.weights, weights, strict=True))

    def _loop(
        self,
        data: Tensor,
        sizes: Tensor | None,
        weights: Numbers,
        states: Numbers,
        noise: Mapping[str, Tensor],
    ) -> list[Tensor]:
        named = self._named(weights)
        stepper, joined = reference.replayed(self.cell, named), join_delay(self.cell, tuple(states))
        output, last = reference.run(stepper, data, sizes, joined, named, noise)
        return [output, *split_delay(self.cell, last)]

    def by_loop(self, case: _Case) -> list[Tensor]:
        """Run a case by the reference loop, in the dtype of its tensors."""
        leaves = [each.detach() for each in (case.data, *case.weights, *case.states)]
        with torch.set_grad_enabled(self.form.training):
            leaves = [each.requires_grad_(self.form.training) for each in leaves]
            count = 1 + len(case.weights)
            made = self._loop(leaves[0], case.sizes, leaves[1:count], leaves[count:], case.noise)
            if not self.form.training:
                return made
            weighted = zip(made, (case.grad_output, *case.grad_states), strict=True)
            pairs = [(each, grad) for each, grad in weighted if each.requires_grad]
            grads = torch.autograd.grad(
                [each for each, _ in pairs], leaves, [grad for _, grad in pairs],
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
        return [*(each.detach() for each in made), *grads]

    def by_kernel(self, case: _Case, guards: Guards, shift: int) -> list[Tensor]:
        """Run a case by the kernel, from memory with guards around it.

        Args:
            case: on the device.
            guards: of the memory.
            shift: by so many elements the input begins later than a tensor of torch's own.
        """
        fused, keep = self.fused, self.form.training
        case = case.map(guards.put)
        masks = fused.named(list(case.noise.values()))
        batch = Batch(guards.put(case.data, shift), case.states[0].size(0), case.sizes, masks)
        given = (fused, batch, case.weights, case.states, self.constants)
        with torch.no_grad():
            tensors = forward_pass(*given, keep)
            made = outputs(fused, batch, tensors, keep)
            if not keep:
                return made
            kept = [tensors[each.name] for each in fused.buffers.kept]
            results = [each.clone() for each in made]  # the backward pass may overwrite them
            last = [owned(grad) for grad in case.grad_states]
            grads = backward_pass(*given, (made[0], kept), case.grad_output, last, True, not shift)
        return [*results, *grads]

    def ratios(self, case: _Case, guards: Guards, shift: int) -> list[float]:
        """Return, of each result, the kernel's error over the loop's."""

        def here(dtype: torch.dtype) -> _Case:
            return case.map(lambda each: each.to(self.device, dtype))

        truth, loop = self.by_loop(here(torch.float64)), self.by_loop(here(self.dtype))
        ours = self.by_kernel(here(self.dtype), guards, shift)
        sizes = [float(each.norm()) for each in truth]
        roundings = _NARROW_ROUNDINGS if self.dtype in NARROW else _ROUNDINGS
        allowed = [roundings * size for size in sizes]
        if self.dtype is torch.float64:
            allowed = [_DOUBLE_ROUNDINGS * max(1.0, *sizes)] * len(sizes)
        return [_ratio(*four) for four in zip(ours, loop, truth, allowed, strict=True)]


def fault(trial: Trial) -> str:
    """Return what is wrong with a kernel in one form, on one device; empty if nothing is.

    The thread should have no modes of torch: :mod:`.trust` makes one.
    """
    kernel, form, guards = trial.kernel, trial.form, Guards()
    with kernel.tried(form, guards):
        for number, (count, far, shift) in enumerate(_calls(kernel, form)):
            guards.value = torch.nan if count == FEW else _NUMBER
            if reason := _difference(trial, guards, number, count, far, shift):
                return reason
            if guards.broken:
                return "it writes outside of its memory"
    return ""


def _calls(kernel: Tried, form: Form) -> Iterator[tuple[int, bool, int]]:
    """Yield numbers of sequences, whether the input is large, and by how much it is shifted."""
    yield FEW, False, 0
    if form.replay:  # captured at the second call, and replayed with other numbers at the third
        yield FEW, False, 0
        yield FEW, False, 0
    else:
        yield kernel.tallest + 1, False, 0
        yield FEW, True, 1


def _difference(
    trial: Trial, guards: Guards, number: int, count: int, far: bool, shift: int
) -> str:
    """Return which result of a call is too far from float64; empty if none is."""
    draws: list[list[float]] = []
    while not draws or (LIMIT < max(draws[0]) < math.inf and len(draws) < _DRAWS):
        case = trial.draw(100 * number + len(draws), count, far)
        draws.append(trial.ratios(case, guards, shift))
    medians = [median(each) for each in zip(*draws, strict=True)]
    name, worst = max(zip(trial.names(), medians, strict=True), key=lambda pair: pair[1])
    if worst <= LIMIT:
        return ""
    where = f"{STEPS} steps of {count} sequences{' and a large input' if far else ''}"
    if worst == math.inf:
        return f"{name} of {where} is not finite, as it is in the reference loop"
    return f"{name} of {where} is {worst:.3g} times as far from float64 as the reference loop's"


def _ratio(ours: Tensor, loop: Tensor, truth: Tensor, allowed: float) -> float:
    """Our error over the loop's, or over that which is allowed anyway, in roundings of one."""
    eps, loop, ours = torch.finfo(ours.dtype).eps, loop.double(), ours.double()
    if not (loop.isfinite().all() and truth.isfinite().all()):
        return 0.0  # the loop's error has no size
    if not ours.isfinite().all():
        return math.inf
    error, theirs = (float((each - truth).norm()) for each in (ours, loop))
    return error / max(theirs, allowed * eps / LIMIT) if error else 0.0
