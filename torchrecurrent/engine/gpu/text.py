"""Writes one Triton kernel of a plan: its arguments, and the lines that compute nodes.

A program of the kernel has a tile of ROWS sequences and BLOCK units of one width. What it reads
and writes are pointers, known to the launcher by the names that the C kernels have for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from ..cpu.addresses import Addresses
from ..ir.graph import Leaf, Node
from ..ir.operations import OPERATIONS
from ..program.plan import Plan

__all__ = ["Function", "Spec", "indented"]


@dataclass(frozen=True)
class Spec:
    """What the launcher knows of a kernel."""

    name: str
    slots: tuple[str, ...]  # its pointers, in order
    place: int  # of the width that its tiles divide


class Function:
    """A kernel while it is being written.

    Args:
        plan: what it computes a part of.
        real: the dtype that it computes in; what it loads and stores may be narrower.
        name: of the function.
        place: of the width that its tiles divide.
    """

    def __init__(self, plan: Plan, real: torch.dtype, name: str, place: int) -> None:
        self.plan = plan
        self.real = f"tl.{str(real).removeprefix('torch.')}"
        self.name = name
        self.place = place
        self.where = Addresses(plan)

    def spec(self) -> Spec:
        return Spec(self.name, tuple(self.where.slots), self.place)

    def text(
        self,
        numbers: Sequence[str],
        flags: Sequence[str],
        body: Iterable[str],
        pointers: Sequence[str] = (),
    ) -> str:
        """The whole function.

        Args:
            numbers: its integers, which it is not compiled anew for.
            flags: what is constant to the compiler.
            body: its lines.
            pointers: further ones, which may be None; they come before the numbers.
        """
        plan, lines = self.plan, list(body)
        exact = "float64" in self.real  # Triton hands floating-point numbers over as float32
        arguments = [f"p{k},  # {name}" for k, name in enumerate(self.where.slots)]
        arguments += [f"{name}," for name in (*pointers, *numbers)]
        arguments += [
            f"c{k}{': tl.constexpr' * exact},  # {name}" for k, name in enumerate(plan.constants)
        ]
        widths = [f"w{k}" for k in range(len(plan.widths))]
        arguments += [f"{name}: tl.constexpr," for name in (*widths, "I", *flags, "ROWS", "BLOCK")]
        start = [
            "n = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]",
            "j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]",
            f"inside = (n < N) & (j < w{self.place})",
        ]
        return "\n".join(
            [
                f"@triton.jit(do_not_specialize={list(numbers)!r})",
                f"def {self.name}(",
                *indented(arguments),
                "):",
                *indented([*start, *lines]),
                "",
            ]
        )

    def load(self, slot: str, row: str, stride: str, offset: str, mask: str) -> str:
        """A tile of a tensor whose rows are ``stride`` apart."""
        address = f"{self.where.slot(slot)} + ({row}) * ({stride}) + ({offset}) + j"
        return f"tl.load({address}, {mask}, other=0.0).to({self.real})"

    def store(self, slot: str, row: str, stride: str, offset: str, value: str, mask: str) -> str:
        address = f"{self.where.slot(slot)} + ({row}) * ({stride}) + ({offset}) + j"
        return f"tl.store({address}, {value}, {mask})"

    def vectors(self, nodes: Iterable[int]) -> list[str]:
        """Loads the numbers for each unit that ``nodes`` read, summed up."""
        plan, lines = self.plan, []
        for node in plan.graph.needed(nodes):
            leaf = plan.graph.nodes[node].leaf
            if leaf is None or leaf.kind != "v":
                continue
            vector = plan.vectors[leaf.name]
            at = "0 * j" if vector.scalar else "j"
            parts = [
                f"tl.load({self.where.slot(f'v.{leaf.name}.{i}')} + {at} + 0 * n, inside, "
                f"other=0.0).to({self.real})"
                for i in range(len(vector.sources))
            ]
            lines.append(f"x{node} = {' + '.join(parts)}")
        return lines

    def compute(self, nodes: Sequence[int], leaf: Callable[[Leaf], str]) -> list[str]:
        """Lines that give x<node> its value for ``nodes`` and all that they need.

        Vectors have theirs already. A node made of numbers only is spread over the tile where
        it is wanted as a result, and where it is a comparison, which Triton's interpreter can't
        join to one that is a tile.
        """
        graph, lines = self.plan.graph, []
        zeros = f"tl.zeros((ROWS, BLOCK), {self.real})"
        flat: set[int] = set()
        for node in graph.needed(nodes):
            current = graph.nodes[node]
            if current.leaf is not None and current.leaf.kind == "v":
                continue
            is_number = current.op == "number" or (current.leaf is not None and not current.args)
            if current.leaf is not None and current.leaf.kind != "c":
                lines.append(f"x{node} = {leaf(current.leaf)}")
                continue
            value = self._value(current)
            if is_number or all(arg in flat for arg in current.args):
                if not is_number and OPERATIONS[current.op].compares:
                    value = f"{zeros} + {value}"
                else:
                    flat.add(node)
            lines.append(f"x{node} = {value}")
        lines += [f"x{node} = {zeros} + x{node}" for node in dict.fromkeys(nodes) if node in flat]
        return lines

    def _value(self, current: Node) -> str:
        args = [f"x{arg}" for arg in current.args]
        if current.leaf is not None:
            number = f"c{self.plan.constants.index(current.leaf.name)}"
            exact = "float64" in self.real
            return f"tl.full((), {number}, {self.real})" if exact else number
        if current.op == "number":
            return f'tl.full((), float("{current.value!r}"), {self.real})'
        return OPERATIONS[current.op].text(args, triton=True)


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
