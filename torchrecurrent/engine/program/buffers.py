"""The buffers that a plan's passes read and write, declared once for every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from torch import Tensor

from ...across import Copies
from .batch import Batch
from .names import INPUT, ONE, Width
from .plan import Plan

#: Makes an uninitialised tensor of a given shape, like another tensor.
Empty = Callable[[Tensor, Sequence[int]], Tensor]

__all__ = ["Before", "Buffer", "Buffers", "Life", "Rows", "Type", "View", "named_widths"]


class Rows(Enum):
    """The rows of a buffer; a time step works on those of its sequences.

    T·N rows are all steps of all sequences; without gradients, KEPT has N rows only.
    """

    STEP = "T·N"
    KEPT = "T·N, or N"
    BATCH = "N"
    #: One for each slice of the batch; a thread has one slice.
    SLICE = "a slice each"
    #: The same numbers for all sequences.
    SHARED = "one for all"


class Life(Enum):
    """How long the contents of a buffer are needed."""

    CALLER = "the caller's"
    BACKWARD = "to the backward pass"
    PASS = "a pass"


class Type(Enum):
    """The type of the numbers in a buffer."""

    DATA = "the input's"
    #: Numbers carried from step to step or summed over steps: float32 at least.
    SUM = "that of sums"
    #: A byte, which is 0 or 1.
    BYTE = "byte"


@dataclass(frozen=True)
class Buffer:
    """Named memory of a kernel."""

    name: str
    columns: Width | tuple[Width, ...]  # of one value, or of parts side by side
    rows: Rows
    life: Life = Life.PASS
    type: Type = Type.DATA

    @property
    def parts(self) -> tuple[Width, ...]:
        return (self.columns,) if isinstance(self.columns, Width) else self.columns

    @cached_property
    def units(self) -> int:
        """The number of columns of a row."""
        return sum(width.units for width in self.parts)

    def shape(self, batch: Batch, keep: bool) -> tuple[int, int]:
        """Return its rows and columns in a call with or without a backward pass."""
        return batch.rows if self.is_long(keep) else batch.size, self.units

    def is_long(self, keep: bool) -> bool:
        """Whether it has a row for every step of each sequence."""
        return self.rows is Rows.STEP or (self.rows is Rows.KEPT and keep)

    def part(self, k: int) -> View:
        """Return one of its parts, or all of it if it is one value."""
        return View(self) if isinstance(self.columns, Width) else View(self, k, k + 1)


@dataclass(frozen=True, kw_only=True)
class Before(Buffer):
    """A state before the step. It has no memory of its own."""

    first: Buffer  # where it is at the first step
    after: Buffer  # where it is later: in the rows of the step before


@dataclass(frozen=True)
class View:
    """Adjacent parts of a buffer, or all of it.

    With ``copies`` a wider value is read, each of whose units is one of these.
    """

    buffer: Buffer
    start: int | None = None
    stop: int | None = None
    copies: Copies | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is one number for a whole row."""
        return self.buffer.parts[self.start : self.stop] == (ONE,)

    @property
    def before(self) -> tuple[Width, ...]:
        """The parts to the left of it."""
        return self.buffer.parts[: self.start or 0]

    @property
    def columns(self) -> Width | tuple[Width, ...]:
        if self.start is None and self.stop is None:
            return self.buffer.columns
        return self.buffer.parts[self.start : self.stop]

    @cached_property
    def units(self) -> int:
        return sum(width.units for width in self.buffer.parts[self.start : self.stop])

    def of(self, tensor: Tensor) -> Tensor:
        """Return the view in some rows of its buffer."""
        if self.start is None and self.stop is None:
            return tensor
        left = sum(width.units for width in self.before)
        stop = left + self.units
        # From the other end where the input, whose width a buffer does not know, is to the left.
        return tensor[:, left : stop if stop or left >= 0 else None]


def named_widths(plan: Plan) -> list[Width]:
    """Return the widths of a plan's values with their names, in the plan's order."""
    return [Width(f"w{k}", units) for k, units in enumerate(plan.widths)]


class Buffers:
    """All buffers of a plan.

    Args:
        plan: of the step.
        apart: products are computed outside the emitted code: the input's for all steps at once,
            so that Z always has a row for each, and an operation across units like any other
            map, with a number for each unit. If not, an average is one number a row, and what
            such an operation reads is not kept after the step.
    """

    def __init__(self, plan: Plan, apart: bool = False) -> None:
        widths = named_widths(plan)
        columns = tuple(widths[place] for place in plan.columns.values())
        each_step = Rows.STEP if apart else Rows.KEPT
        output = widths[plan.output_width]
        given = (INPUT, ONE) if plan.gaps else INPUT
        self.data = Buffer("X", given, Rows.STEP, Life.CALLER)
        self.d_data = Buffer("dX", given, Rows.STEP, Life.CALLER)
        self.affine = Buffer("Z", columns, each_step, Life.BACKWARD)
        self.d_affine = Buffer("dZ", columns, each_step)
        self.d_output = Buffer("dY", output, Rows.STEP, Life.CALLER)

        states = {name: widths[place] for name, place in plan.states.items()}
        # A state that is the output always has a row for each step.
        shown = next(iter(states)) if plan.output is None else None
        rows = {name: Rows.STEP if name == shown else Rows.KEPT for name in states}

        def of_each(letter: str, life: Life, type: Type) -> dict[str, Buffer]:
            return {
                name: Buffer(f"{letter}.{name}", width, Rows.BATCH, life, type)
                for name, width in states.items()
            }

        self.first = of_each("S0", Life.CALLER, Type.DATA)
        self.states = {
            name: Buffer(f"S.{name}", width, rows[name], Life.BACKWARD)
            for name, width in states.items()
        }
        self.before = {
            name: Before(f"B.{name}", width, rows[name], first=first, after=self.states[name])
            for (name, width), first in zip(states.items(), self.first.values(), strict=True)
        }
        self.output = self.states[shown] if shown else Buffer("Y", output, Rows.STEP, Life.CALLER)
        self.d_states = of_each("G", Life.PASS, Type.SUM)
        #: Gradients of the first states, where those of the last ones are still read.
        self.d_first = of_each("G0", Life.PASS, Type.SUM)
        #: Where the tensors have fewer bits than sums: the states, to be read by the next step;
        #: and what each product passes on to its state, not added to the gradient yet.
        self.carried = of_each("F", Life.PASS, Type.SUM)
        self.pending = {
            str(k): Buffer(f"P.{k}", states[product.state], Rows.BATCH)
            for k, product in enumerate(plan.products)
        }

        #: Masks: factors of what recurrent weights multiply, and whether states stay.
        self.factors = {
            name: Buffer(f"D.{name}", widths[place], Rows.BATCH, Life.CALLER)
            for name, place in plan.factors.items()
        }
        self.zoned = {
            name: Buffer(f"K.{name}", widths[place], Rows.STEP, Life.CALLER, Type.BYTE)
            for name, place in plan.zoned.items()
        }
        self.flags = {
            name: Buffer(f"flag.{name}", ONE, Rows.STEP, Life.CALLER, Type.BYTE)
            for name in plan.flags
        }
        #: States as products read them, where sequences may begin anew; what these pass on.
        self.cleared = {
            name: Buffer(f"C.{name}", states[name], Rows.KEPT, Life.BACKWARD)
            for name in plan.cleared
        }
        self.d_cleared = {
            name: Buffer(f"dC.{name}", states[name], Rows.BATCH) for name in plan.cleared
        }
        #: By the factors' buffers: a state times its factors, which a product reads, or what it
        #: passes on in the backward pass, which they are yet to multiply.
        self.masked = {
            self.factors[product.factor].name: Buffer(
                f"R.{product.factor}", states[product.state], Rows.BATCH
            )
            for product in plan.products
            if product.factor is not None and not apart
        }

        self.arguments: dict[str, Buffer] = {}
        self.results: dict[str, Buffer] = {}
        self.d_arguments: dict[str, Buffer] = {}
        self.d_results: dict[str, Buffer] = {}
        for each in plan.maps:
            name, argument = each.name, widths[plan.node_widths[each.argument]]
            parts = tuple(widths[plan.mapped[part]] for part in each.names)
            across = each.across
            brief = across is not None and not apart  # only a weight's gradient needs the argument
            # A copy has no memory: both passes read the value that is copied, in its place.
            copied = across is not None and across.copies is not None
            self.arguments[name] = Buffer(
                f"V.{name}",
                argument,
                Rows.BATCH if brief and not copied else Rows.KEPT,
                Life.BACKWARD if across is None or copied else Life.PASS,
            )
            if not copied:
                result = ONE if across and brief and across.is_number else parts
                self.results[name] = Buffer(f"M.{name}", result, Rows.KEPT, Life.BACKWARD)
            if not each.passes:
                continue
            passed = ONE if across and brief and across.passes_number else argument
            self.d_results[name] = Buffer(f"dM.{name}", parts, Rows.BATCH if brief else each_step)
            if across is None or across.passes_copies is None:
                self.d_arguments[name] = Buffer(f"dV.{name}", passed, Rows.BATCH)

        #: What each unit passes on to the gradient of the time since the step before.
        self.d_gaps = [
            Buffer("dT", widths[plan.node_widths[node]], Rows.STEP if apart else Rows.BATCH)
            for node in [plan.gradient("x", "gap")][: plan.gaps]
        ]

        #: For each learned vector, the rows of parameters that it is the sum of.
        self.vectors = {
            name: [
                Buffer(f"v.{name}.{k}", ONE if vector.scalar else width, Rows.SHARED, Life.CALLER)
                for k in range(len(vector.sources))
            ]
            for name, vector in plan.vectors.items()
            for width in [widths[plan.vector_width(name)]]
        }

        #: Their gradients, summed over steps, and the rounding errors of the sums: each by itself
        #: or, with a row for each slice, all side by side with the sums of one step.
        learned = {name: widths[plan.vector_width(name)] for name in plan.learned}
        self.sums, self.lost = (
            {
                name: Buffer(f"{word}.{name}", width, Rows.BATCH, type=Type.SUM)
                for name, width in learned.items()
            }
            for word in ("sum", "lost")
        )
        widest = Width("widest", max(plan.widths))
        self.totals = [
            Buffer(word, (widest,) * len(learned), Rows.SLICE, type=Type.SUM)
            for word in ("step", "sum", "lost")
        ]

    @property
    def noise(self) -> list[Buffer]:
        """The masks, in the order in which a cell draws them, and the flags."""
        return [*self.factors.values(), *self.zoned.values(), *self.flags.values()]

    @cached_property
    def scratch(self) -> list[Buffer]:
        """The buffers of a step's own values: Z, arguments of products, and results of maps."""
        maps = (
            found[name]
            for name in self.arguments
            for found in (self.arguments, self.results)
            if name in found
        )
        return [self.affine, *self.cleared.values(), *maps]

    @cached_property
    def d_maps(self) -> list[Buffer]:
        """The gradients of the maps' results and arguments, and of what products read."""
        return [
            *self.d_results.values(),
            *self.d_arguments.values(),
            *self.d_cleared.values(),
        ]

    @cached_property
    def kept(self) -> list[Buffer]:
        """The buffers that the backward pass reads besides input, first states and output."""
        made = [*self.states.values(), *self.scratch]
        return [each for each in made if each.life is Life.BACKWARD and each is not self.output]

    def allocate(
        self,
        batch: Batch,
        states: Sequence[Tensor],
        keep: bool,
        empty: Empty,
        whole: bool = False,
    ) -> dict[str, Tensor]:
        """Return the tensors that a forward pass reads and writes, by name, except parameters.

        ``output`` is the tensor for the caller: the output's rows, laid out as the data.

        Args:
            batch: the sequences.
            states: the first ones.
            keep: whether a backward pass follows. If not, a state that is not the output starts
                with its value before the first step.
            empty: makes tensors.
            whole: a step's own values always have a row for each step.
        """
        data, made = batch.data, {**batch.noise}
        for each in self.scratch:
            made[each.name] = empty(data, each.shape(batch, keep or whole))
        for each in self.masked.values():
            made[each.name] = empty(data, each.shape(batch, keep))
        for each, state in zip(self.before.values(), states, strict=True):
            made[each.first.name] = state
            if each.after is not self.output:
                after = empty(data, each.shape(batch, keep)) if keep else state.clone()
                made[each.after.name] = after
        output = empty(data, (*data.shape[:-1], self.output.units))
        made |= {self.data.name: data, "output": output}
        made[self.output.name] = output.view(batch.rows, output.size(-1))
        return made

    def allocate_gradients(
        self,
        batch: Batch,
        z: Tensor,
        grad_output: Tensor,
        grad_states: Sequence[Tensor],
        empty: Empty,
        overwrites: bool,
    ) -> dict[str, Tensor]:
        """Return the other tensors of a backward pass by name, except the input's gradient.

        Args:
            batch: the sequences.
            z: of the forward pass.
            grad_output: the gradient of the output.
            grad_states: those of the last states, which become those of the first.
            empty: makes tensors.
            overwrites: the gradient of Z takes the place of Z.
        """
        made = {**batch.noise}
        for each in (*self.d_maps, *self.d_gaps, *self.masked.values()):
            made[each.name] = empty(batch.data, each.shape(batch, True))
        made[self.d_affine.name] = z if overwrites else empty(z, z.shape)
        made[self.d_output.name] = grad_output
        states = zip(self.d_states.values(), grad_states, strict=True)
        return made | {each.name: gradient for each, gradient in states}
