"""From the values of a module's step to a plan, as :mod:`..program.build` makes it of a declared
step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import Node

from ..ir.trace import UntraceableError
from ..program.plan import Plan, Product
from .capture import Call, Step, capture, tensors_of
from .fixed import Fixed
from .lowering import Key, Lowering
from .reading import Reading

__all__ = ["ModulePlan", "plan_of_module"]

_aten = torch.ops.aten
#: Sizes of batches with which a module is traced, unless one of its own sizes is the same.
_BATCHES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)


@dataclass(frozen=True)
class ModulePlan:
    """The plan of a module's step.

    Attributes:
        plan: of the step.
        shapes: of the parameters that the kernel takes, in order.
        compute: makes these of the module's parameters and buffers, by name.
        text: the same for two modules only if they compute the same.
    """

    plan: Plan
    shapes: Mapping[str, tuple[int, ...]]
    compute: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    text: str


def plan_of_module(module: nn.Module, step: Step, call: Call) -> ModulePlan:
    """Trace one step of a module at two batch sizes.

    Args:
        module: the module.
        step: calls it.
        call: the sizes.

    Raises:
        UntraceableError: if no kernel can compute the same; the message says why.
    """
    sizes = {call.input_size, *call.widths}
    sizes |= {size for each in tensors_of(module).values() for size in each.shape}
    first, second = [batch for batch in _BATCHES if batch not in sizes][:2]
    found = _made(module, step, call, first)
    if _made(module, step, call, second).text != found.text:
        raise UntraceableError("what its forward computes depends on the size of the batch")
    return found


def _made(module: nn.Module, step: Step, call: Call, batch: int) -> ModulePlan:
    reading = Reading(capture(module, step, call, batch), call)
    merged: dict[Key, Key] = {}
    while True:
        lowering = Lowering(reading, call, merged)
        more = _sums(lowering)
        if not more:
            return _finished(lowering, tensors_of(module))
        merged |= more


def _sums(lowering: Lowering) -> dict[Key, Key]:
    """Return columns that are used only to be added to a column of the input."""
    graph, roots = lowering.parts.graph, lowering.roots
    needed = graph.needed(roots)
    uses = Counter(arg for node in needed for arg in graph.nodes[node].args)
    uses.update(roots)
    owners = {symbol.node: key for key, symbol in lowering.keys.items()}
    found: dict[Key, Key] = {}
    for node in needed:
        current = graph.nodes[node]
        if current.op != "add" or any(arg not in owners for arg in current.args):
            continue
        first, second = (owners[arg] for arg in current.args)
        if first.of == "x" and second.of != "x" and all(uses[a] == 1 for a in current.args):
            found[second] = first
    return found


def _finished(lowering: Lowering, tensors: Mapping[str, Tensor]) -> ModulePlan:
    """Lay out the columns of Z and the parameters, and put the plan together."""
    fixed = lowering.fixed
    bases: dict[Node, int] = {}
    for matrix in lowering.matrices:
        bases.setdefault(_rows_of(fixed, matrix)[0], len(bases))

    def order(key: Key) -> tuple[int, int, int]:
        base, first = _rows_of(fixed, key.matrix)
        return bases.setdefault(base, len(bases)), first + key.start, first + key.stop

    inputs = sorted((key for key in lowering.keys if key.of == "x"), key=order)
    columns = {key.name: key.stop - key.start for key in inputs}
    products: list[Product] = []
    if inputs:
        matrix, first, whole = _stacked(fixed, inputs)
        rows = fixed.rows(matrix, first, first + sum(columns.values()), whole)
        fixed.name("weight_ih", rows)
    for state in lowering.states:
        adding = [key for key in lowering.merged if key.of == state]
        adding.sort(key=lambda key: (inputs.index(lowering.merged[key]), order(key)))
        alone = sorted((key for key in lowering.keys if key.of == state), key=order)
        if not adding and not alone:
            continue
        columns |= {key.name: key.stop - key.start for key in alone}
        matrix, first, _ = _stacked(fixed, [*adding, *alone])
        weight = fixed.name(f"weight.{matrix.name}", matrix)
        places = [lowering.merged[key].name for key in adding] + [key.name for key in alone]
        products += _joined(weight, first, state, places, len(adding), columns)
    for name, node in lowering.parameters.items():
        fixed.name(name, node)
    lowering.parts.columns |= columns
    compute = fixed.function()
    given = {name: torch.zeros(each.shape) for name, each in tensors.items()}
    with torch.no_grad():
        shapes = {name: tuple(each.shape) for name, each in compute(given).items()}
    plan = lowering.parts.plan(
        lowering.nodes, lowering.output, lowering.output_size, len(inputs), products
    )
    return ModulePlan(plan, shapes, compute, f"{plan} {shapes} {fixed.graph}")


def _rows_of(fixed: Fixed, matrix: Node) -> tuple[Node, int]:
    """Return the tensor whose rows are the columns of a matrix, and the first of them."""
    return fixed.origin(fixed.call(_aten.t.default, matrix))


def _stacked(fixed: Fixed, keys: Iterable[Key]) -> tuple[Node, int, int]:
    return fixed.joined(
        [(fixed.call(_aten.t.default, key.matrix), key.start, key.stop, key.whole) for key in keys]
    )


def _joined(
    weight: str,
    row: int,
    state: str,
    places: list[str],
    adding: int,
    columns: Mapping[str, int],
) -> list[Product]:
    """Group a state's products: neighbours in both the weight and Z are one."""
    order = list(columns)
    products: list[Product] = []
    for k, name in enumerate(places):
        adds = k < adding
        last = products[-1] if products else None
        if last and last.adds == adds and order.index(last.columns[-1]) + 1 == order.index(name):
            names = (*last.columns, name)
            products[-1] = Product(weight, last.start, names, state, adds, 1)
        else:
            products.append(Product(weight, row, (name,), state, adds, 1))
        row += columns[name]
    return products
