"""The kernels of this process, each under a key from which any process can make it.

An operator takes strings, numbers and tensors only, and an exported program may run elsewhere.
So the key names the class of the cell and its options.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...declaration.noise import DROPPED, ZONED, Noise, noise_of
from ...roles import RECURRENT, NonlinearityRole
from ..cpu.compiler import CompilerError
from ..cpu.kernel import Kernel
from ..cpu.straight import Straight
from ..cpu.training import Training
from ..gpu.kernel import TritonKernel
from ..ir.trace import UntraceableError
from ..program.buffers import Buffers
from ..program.build import make_plan
from ..program.given import NOTHING, Given
from ..program.outside import Outside
from ..program.plan import Plan
from .dry_run import dry_run

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["Fused", "fused", "fused_by_key", "outside_of", "registered"]


#: The prefix of a key whose kernels are Triton's on any device; then, those of what is given.
_TRITON, _GIVEN = "triton ", tuple(f"{name} " for name in Given._fields)


class Fused:
    """A cell's plan, and its kernels by dtype and device: C on the CPU, Triton on the GPU."""

    def __init__(
        self,
        key: str,
        plan: Plan,
        input_size: int,
        weights: Mapping[str, tuple[int, ...]],
        holds: tuple[Any, ...],
        reads_values: bool,
    ) -> None:
        self.key = key
        self.plan = plan
        #: The width of the data: the input's, and one more for the time between steps.
        self.input_size = input_size
        #: The class, its step and functions among the options: while they live, no other object
        #: gets their identities.
        self.holds = holds
        #: Whether the plan has numbers in it that the step reads from outside.
        self.reads_values = reads_values
        #: The parameters that the kernel takes, in this order, and their shapes.
        self.weights = tuple(weights)
        self.shapes = tuple(weights.values())
        self.buffers = Buffers(plan)
        self._straight: dict[torch.dtype, Straight] = {}
        self._training: dict[torch.dtype, Training] = {}
        self._kernels: dict[torch.dtype, Kernel | CompilerError] = {}
        self._triton: dict[torch.dtype, TritonKernel] = {}

    def kernel(self, dtype: torch.dtype, device_type: str) -> Kernel | TritonKernel:
        """Return the kernel for tensors of a dtype on a kind of device, made at the first request.

        Raises:
            CompilerError: if there is no working compiler.
        """
        if not self.is_triton(device_type):
            return self._c_kernel(dtype)
        if dtype not in self._triton:
            self._triton[dtype] = TritonKernel(self.plan, dtype)
        return self._triton[dtype]

    @property
    def name(self) -> str:
        """The class of the cell, for profilers."""
        return str(self.holds[0].__name__)

    def named(self, noise: Sequence[Tensor]) -> dict[str, Tensor]:
        """Masks by the names of their buffers."""
        return dict(zip((each.name for each in self.buffers.noise), noise, strict=True))

    def masks(self, noise: Sequence[Tensor]) -> dict[str, Tensor]:
        """Masks by the names that the reference loop has for them."""
        names = [DROPPED + name for name in self.buffers.factors]
        names += [ZONED + name for name in self.buffers.zoned]
        names += self.buffers.flags
        return dict(zip(names, noise, strict=True))

    def is_triton(self, device_type: str) -> bool:
        """Whether Triton's kernels run on a kind of device."""
        return device_type != "cpu" or self.key.startswith(_TRITON)

    def by_triton(self) -> Fused:
        """The same cell with Triton's kernels on the CPU too, where they are interpreted."""
        key = _TRITON + self.key
        weights = dict(zip(self.weights, self.shapes, strict=True))
        twin = Fused(key, self.plan, self.input_size, weights, self.holds, self.reads_values)
        return _by_key.setdefault(key, twin)

    def _c_kernel(self, dtype: torch.dtype) -> Kernel:
        if dtype not in self._kernels:
            try:
                self._kernels[dtype] = Kernel(self.plan, dtype)
            except CompilerError as error:
                self._kernels[dtype] = error
        found = self._kernels[dtype]
        if isinstance(found, CompilerError):
            raise found
        return found

    def straight(self, dtype: torch.dtype) -> Straight:
        """The forward pass of the C kernel without gradients."""
        if dtype not in self._straight:
            shapes = dict(zip(self.weights, self.shapes, strict=True))
            self._straight[dtype] = Straight(self._c_kernel(dtype), shapes)
        return self._straight[dtype]

    def training(self, dtype: torch.dtype) -> Training:
        """The passes of the C kernel over sequences of one length, without masks."""
        if dtype not in self._training:
            shapes = dict(zip(self.weights, self.shapes, strict=True))
            self._training[dtype] = Training(self._c_kernel(dtype), shapes)
        return self._training[dtype]


#: For each cell, all that its plan depends on, and the plan or why there is none; by what is given.
_known: defaultdict[Given, WeakKeyDictionary[Any, tuple[object, Outside, Fused | str]]] = (
    defaultdict(WeakKeyDictionary)
)
_by_key: dict[str, Fused] = {}
#: For each key without the values that a step reads from outside: the values it has had.
_values: dict[str, set[str]] = {}
#: Each of them is another kernel to compile.
_MOST_VALUES = 16


def fused(cell: BaseRecurrentCell, given: Given = NOTHING) -> Fused | str:
    """Return the plan and kernels of a cell, or the reason why it has none.

    Args:
        cell: whose step they run.
        given: what a call gives the step besides its input and states.
    """
    if not isinstance(cell, nn.Module):  # it lets a module from outside run, traced already
        return cell.fused
    fingerprint = _fingerprint(cell)
    known = _known[given].get(cell)
    if known is None or known[0] != fingerprint or not known[1].unchanged():
        outside = Outside(_functions(cell))
        known = (fingerprint, outside, outside.refusal or _make(cell, outside, given))
        _known[given][cell] = known
    return known[2]


def outside_of(cell: BaseRecurrentCell) -> Outside:
    """Return what the step of a cell reads from outside, after :func:`fused` was asked for it."""
    return _known[NOTHING][cell][1]


def registered(made: Fused) -> Fused:
    """Return the kernels that are known under the same key, or these from now on."""
    return _by_key.setdefault(made.key, made)


def _functions(cell: BaseRecurrentCell) -> dict[str, object]:
    """The functions that make up a step: its own, and those among the cell's options."""
    names = [argument.name for argument in cell.signature.having(NonlinearityRole)]
    options = {name: getattr(cell, name) for name in names}
    given = {name: value for name, value in options.items() if not isinstance(value, str)}
    return {"step": type(cell).step, **given}


def _fingerprint(cell: BaseRecurrentCell) -> object:
    """Return the attributes of an instance that its plan depends on."""
    # From the dictionary: this runs at every call, and attributes of a module are slow.
    options = tuple(map(cell.__dict__.get, type(cell).option_names))
    parameters = cell._parameters
    absent = [parameters.get(name) is None for name in cell._names]
    noise = noise_of(cell)
    return type(cell).step, options, absent, noise.structure if noise else ()


def _make(cell: BaseRecurrentCell, outside: Outside, given: Given) -> Fused | str:
    weights = tuple(name for name in cell._names if getattr(cell, name) is not None)
    if RECURRENT.name not in weights and cell.recurrent_kernel() is not None:
        weights = (*weights, RECURRENT.name)  # computed from other parameters
    key, holds = _key(cell, weights, outside, given)
    if key not in _by_key:
        if outside.values and _is_one_too_many(cell, weights, outside):
            name = outside.values[0][0]
            return f"numbers that its step reads from outside, such as {name!r}, change too often"
        dry_run(cell)
        try:
            shapes = {name: cell.parameter_shapes[name] for name in weights}
            plan, has_values = make_plan(cell, given), bool(outside.values)
            width = cell.input_size + plan.gaps
            _by_key[key] = Fused(key, plan, width, shapes, holds, has_values)
        except UntraceableError as error:
            return str(error)
    return _by_key[key]


def _is_one_too_many(cell: BaseRecurrentCell, weights: tuple[str, ...], outside: Outside) -> bool:
    """Whether the values that a step reads from outside have changed too many times."""
    had = _values.setdefault(_key(cell, weights, None)[0], set())
    values = str(outside.values)
    if len(had) < _MOST_VALUES:
        had.add(values)
    return values not in had


def _key(
    cell: BaseRecurrentCell,
    weights: tuple[str, ...],
    outside: Outside | None,
    given: Given = NOTHING,
) -> tuple[str, tuple[Any, ...]]:
    """Return all that the plan depends on, and the objects that the key names by identity.

    Initialisers are left out, and so are numbers that are passed to the kernel at each call.
    """
    kind, functions = type(cell), []
    options = {
        name: value
        for name in kind.option_names
        if not name.endswith("_init") and not isinstance(value := getattr(cell, name, None), float)
    }

    noise = noise_of(cell)
    options.pop("zoneout", None)  # its rates are numbers too
    options.pop("frozen", None)  # the kernel is the same
    if noise:  # what another process needs to have the same
        options |= _typical(noise)

    def identity(value: object) -> str:
        functions.append(value)
        return f"@{id(value)}"

    parts = [kind.__module__, kind.__qualname__, options, weights]
    if outside and outside.values:
        parts.append(str(outside.values))
    prefix = "".join(name for name, there in zip(_GIVEN, given, strict=True) if there)
    text = prefix + json.dumps(parts, default=identity)
    known, holds = _by_key.get(text), (kind, *(outside.objects if outside else ()))
    if functions or _named(kind) is not kind or (known and known.holds != holds):
        # The class can't be found by its name, or has changed since the name was first used.
        holds = (*holds, *functions)
        return " ".join([text, *(f"@{id(each)}" for each in holds)]), holds
    return text, holds


def _typical(noise: Noise) -> dict[str, object]:
    """Return options and mode of a cell with the same noise, whatever its rates are."""
    return {
        "recurrent_dropout": 0.5 if noise.dropped else 0.0,
        "zoneout": [0.5 if name in noise.zoned else 0.0 for name in noise.states],
        "training": noise.drawn,
    }


def _named(kind: type) -> object:
    """Return the object that the name of a class refers to."""
    found: object = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def fused_by_key(key: str) -> Fused:
    """Return the plan and kernels for a key, which another process may have written.

    Raises:
        RuntimeError: if they can't be made here; the message says why.
    """
    if key.startswith(_TRITON):
        return _by_key.get(key) or fused_by_key(key.removeprefix(_TRITON)).by_triton()
    if key not in _by_key:
        try:
            prefix = key[: key.index("[")]
            given = Given(*(name in prefix for name in _GIVEN))
            module, name, options, weights, *values = json.loads(key[len(prefix) :])
            kind = importlib.import_module(module)
            for part in name.split("."):
                kind = getattr(kind, part)
            training = options.pop("training", False)
            cell: Any = kind(**options, device="meta").train(training)  # type: ignore[operator]
            made = fused(cell, given)
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise RuntimeError(
                "torchrecurrent::sequence was exported for a cell that can't be made here: "
                f"{key}: {error}"
            ) from error
        if isinstance(made, str) or made.weights != tuple(weights) or (values and made.key != key):
            raise RuntimeError(
                "torchrecurrent::sequence was exported for a cell that is another one here: "
                f"{key}: {made if isinstance(made, str) else made.weights}"
            )
        return made
    return _by_key[key]
