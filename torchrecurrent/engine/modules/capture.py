"""Records the operations of one step of a module, without computing anything."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..ir.trace import UntraceableError
from .scripted import attributes_of, is_scripted, restore

__all__ = [
    "Call",
    "Captured",
    "Step",
    "called",
    "capture",
    "named",
    "results",
    "tensors_of",
    "tried",
    "widths_of",
]

#: Runs one step of a module: from the input and the states to the output and the new states.
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True)
class Call:
    """The sizes of a call: the width of the input, and of each state."""

    input_size: int
    widths: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Captured:
    """A graph of torch.fx. Its placeholders: the module's tensors, the input and the states."""

    graph: torch.fx.GraphModule
    tensors: tuple[str, ...]
    states: int
    batch: int


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module, each once."""
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}
    seen: set[int] = set()
    for path, each in module.named_modules():
        for found, own in ((parameters, each._parameters), (buffers, each._buffers)):
            for name, tensor in own.items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    found[f"{path}.{name}" if path else name] = tensor
    return parameters | buffers


def capture(module: nn.Module, step: Step, call: Call, batch: int) -> Captured:
    """Record one step of a module.

    Args:
        module: whose parameters and buffers become arguments of the graph.
        step: calls the module.
        call: the sizes.
        batch: the number of sequences.

    Raises:
        UntraceableError: the module branches on a value, changes something, or fails.
    """
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    tensors = tensors_of(module)
    with FakeTensorMode(), _as_written():
        given = [torch.empty(each.shape, dtype=each.dtype) for each in tensors.values()]
        data = torch.empty(batch, call.input_size, dtype=call.dtype)
        states = [torch.empty(batch, width, dtype=call.dtype) for width in call.widths]

        def run(*arguments: Tensor) -> list[Tensor]:
            own, (first, *rest) = arguments[: len(tensors)], arguments[len(tensors) :]
            return called(module, step, dict(zip(tensors, own, strict=True)), first, tuple(rest))

        everything = (*given, data, *states)
        try:
            graph = make_fx(torch.func.functionalize(run))(*everything)
            # Again: what torch's own cells do in place inside is seen from outside only.
            graph = make_fx(torch.func.functionalize(graph))(*everything)
        except UntraceableError:
            raise
        except Exception as error:  # whatever a module does
            raise UntraceableError(_reason(error)) from error
    graph.graph.eliminate_dead_code()
    for node in graph.graph.nodes:
        _refuse(node)
    return Captured(graph, tuple(tensors), len(states), batch)


def called(
    module: nn.Module,
    step: Step,
    own: Mapping[str, Tensor],
    data: Tensor,
    states: tuple[Tensor, ...],
) -> list[Tensor]:
    """Return the output and the new states of a step of a module with other tensors of its own.

    Raises:
        UntraceableError: the module changes something of its own.
    """
    named = {f"module.{name}": value for name, value in own.items()}
    return list(torch.func.functional_call(_Holder(module, step), named, (data, states)))


def tried(
    module: nn.Module,
    call: Callable[..., Any],
    dtype: torch.dtype,
    shapes: Sequence[tuple[int, ...]],
) -> Any:
    """Return what a call of a module returns for tensors that have shapes, but no numbers.

    Args:
        module: whose tensors have no numbers meanwhile.
        call: calls the module.
        dtype: of the call's arguments.
        shapes: those of the arguments.

    Raises:
        UntraceableError: the call needs numbers, or changes something of the module.
        Exception: whatever else the module raises.
    """
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True), _as_written(), torch.no_grad():
        own = {
            name: torch.empty(each.shape, dtype=each.dtype)
            for name, each in tensors_of(module).items()
        }
        data, *states = (torch.empty(shape, dtype=dtype) for shape in shapes)

        def step(*arguments: Any) -> Any:
            return call(arguments[0], *arguments[1]), ()

        drawn = random.getstate()  # torch draws nothing where there are no numbers
        try:
            return called(module, step, own, data, tuple(states))[0]
        except Exception as error:  # whatever a module does
            if _needs_numbers(error):
                raise UntraceableError(_reason(error)) from error
            raise
        finally:
            random.setstate(drawn)


def widths_of(module: nn.Module, step: Step, call: Call) -> tuple[int, ...]:
    """Return the widths of the states that a module makes when it is called without any.

    Raises:
        UntraceableError: it can't be called so, or they are no matrices ``(N, width)``.
    """
    captured = capture(module, step, call, batch=11)
    shapes = [node.meta["val"].shape for node in results(captured)[1:]]
    for shape in shapes:
        if len(shape) != 2 or shape[0] != captured.batch:
            raise UntraceableError(
                f"it makes a state of the shape {tuple(shape)} for {captured.batch} sequences"
            )
    return tuple(shape[1] for shape in shapes)


class _Holder(nn.Module):
    """Calls a module as part of another one, and sees what it changes."""

    def __init__(self, module: nn.Module, step: Step) -> None:
        super().__init__()
        self.module, self.step = module, step

    def forward(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with _unchanged(self.module):
            output, new = self.step(input, states)
        return (output, *new)


@contextmanager
def _unchanged(module: nn.Module) -> Iterator[None]:
    """Restore what a call changes of a module's attributes, and refuse the module."""
    each = dict(module.named_modules())
    before = {path: _attributes(value) for path, value in each.items()}
    compiled = {path: attributes_of(value) for path, value in each.items() if is_scripted(value)}
    contents = {
        (path, name): value.copy()
        for path, attributes in before.items()
        for name, value in attributes.items()
        if type(value) in (list, dict, set)
    }
    yield
    changed: list[str] = []
    for (path, name), was in contents.items():
        now = before[path][name]
        if not _same_contents(now, was):
            changed.append(_joined(path, name))
            now.clear()
            now.extend(was) if isinstance(now, list) else now.update(was)
    for path, value in each.items():
        old, new = before[path], _attributes(value)
        for name in {**old, **new}:
            if old.get(name, _ABSENT) is not new.get(name, _ABSENT):
                changed.append(_joined(path, name))
                _restore(value, name, old.get(name, _ABSENT))
    for path, old in compiled.items():
        for name, now in attributes_of(each[path]).items():
            if now != old[name]:
                changed.append(_joined(path, name))
                restore(each[path], name, old[name])
    if changed:
        raise UntraceableError(f"its forward changes {changed[0]!r} of the module")


_ABSENT = object()


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Return all attributes of a module by name, its tensors among them."""
    tables = ("_parameters", "_buffers", "_modules")
    own = {name: value for name, value in vars(module).items() if name not in tables}
    return {**own, **dict(module._parameters.items()), **dict(module._buffers.items())}


def _restore(module: nn.Module, name: str, value: Any) -> None:
    tables: tuple[dict[str, Any], ...] = (module.__dict__, module._parameters, module._buffers)
    for table in tables:
        if name in table and value is _ABSENT:
            del table[name]
        elif name in table:
            table[name] = value


def _same_contents(now: Any, was: Any) -> bool:
    """Whether a list, dictionary or set has the very objects that it had."""
    if isinstance(now, dict):
        now, was = ([part for pair in each.items() for part in pair] for each in (now, was))
    if isinstance(now, set):
        return bool(now == was)
    return len(now) == len(was) and all(a is b for a, b in zip(now, was, strict=True))


@contextmanager
def _as_written() -> Iterator[None]:
    """Let nothing of the caller's settings be part of the graph, and torch log no failure."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    with ExitStack() as stack:
        stack.callback(setattr, log, "disabled", before)
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        # or torch.jit would fit compiled code to the shapes of a trial
        stack.enter_context(torch.jit.optimized_execution(False))  # type: ignore[attr-defined]
        stack.enter_context(torch.enable_grad())
        yield


def _needs_numbers(error: Exception) -> bool:
    return type(error).__name__ in (
        "DataDependentOutputException",
        "GuardOnDataDependentSymNode",
    ) or "_local_scalar_dense" in str(error)


def _reason(error: Exception) -> str:
    name, text = type(error).__name__, str(error)
    if _needs_numbers(error):
        return (
            "its forward reads a number out of a tensor, as a branch on a value does; "
            "torch.where(condition, a, b) chooses for each unit"
        )
    first = text.strip().splitlines()[0] if text.strip() else ""
    return f"its forward can't be traced: {name}: {first}"


def _refuse(node: torch.fx.Node) -> None:
    """Raise UntraceableError for an operation that is more than a function of its arguments."""
    target: Any = node.target
    if node.op != "call_function" or not isinstance(target, torch._ops.OpOverload):
        return
    name = target._schema.name.removeprefix("aten::")
    if torch.Tag.nondeterministic_seeded in target.tags:
        raise UntraceableError(f"its forward draws random numbers ({name})")
    if target._schema.is_mutable:
        raise UntraceableError(f"its forward changes a tensor in place ({name})")


def named(captured: Captured) -> Mapping[str, torch.fx.Node]:
    """Return the placeholders of the module's tensors."""
    nodes = [node for node in captured.graph.graph.nodes if node.op == "placeholder"]
    return dict(zip(captured.tensors, nodes, strict=False))


def results(captured: Captured) -> Sequence[Any]:
    """Return the node of the output and those of the new states."""
    (last,) = (node for node in captured.graph.graph.nodes if node.op == "output")
    return tuple(last.args[0])
