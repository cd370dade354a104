"""Writes one Triton kernel of a plan: its arguments, and the lines that compute nodes.

A program of the kernel has a tile of ROWS sequences and BLOCK units of one width. What it reads
and writes are pointers, known to the launcher by the names that the C kernels have for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from ..ir.graph import Leaf, Node
from ..ir.operations import OPERATIONS
from ..program.buffers import View
from ..program.lower import Program
from ..program.names import ONE, Slots, extent

__all__ = ["Function", "Spec", "indented", "is_anywhere"]


@dataclass(frozen=True)
class Spec:
    """A kernel as the launcher knows it."""

    name: str
    slots: tuple[str, ...]  # its pointers, in order
    place: int  # of the width that its tiles divide
    loads: int  # tiles that it loads at each step


def is_anywhere(slot: str) -> bool:
    """Whether the memory of a pointer may begin at any number: a parameter's rows may."""
    return slot.startswith("v.")


class Function:
    """A kernel while it is being written.

    Args:
        program: what it computes a part of.
        real: the dtype that it computes in; what it loads and stores may be narrower.
        name: of the function.
        place: of the width that its tiles divide.
    """

    def __init__(self, program: Program, real: torch.dtype, name: str, place: int) -> None:
        self.program, self.plan = program, program.plan
        self.real = f"tl.{str(real).removeprefix('torch.')}"
        self.name = name
        self.place = place
        self.slot = Slots()
        #: Tiles that have been loaded, but for those of the first states.
        self.loads = 0

    def spec(self) -> Spec:
        return Spec(self.name, tuple(self.slot.names), self.place, self.loads)

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
        arguments = [f"p{k},  # {name}" for k, name in enumerate(self.slot.names)]
        arguments += [f"{name}," for name in (*pointers, *numbers)]
        arguments += [
            f"c{k}{': tl.constexpr' * exact},  # {name}" for k, name in enumerate(plan.constants)
        ]
        # Of the input's width only a divisor matters to the compiler, which it finds by itself.
        arguments.append("I,")
        widths = [f"w{k}" for k in range(len(plan.widths))]
        arguments += [f"{name}: tl.constexpr," for name in (*widths, *flags, "ROWS", "BLOCK")]
        # Rows of a parameter begin anywhere; all else begins where the launcher says.
        anywhere = [f"p{k}" for k, name in enumerate(self.slot.names) if is_anywhere(name)]
        unaligned = f"do_not_specialize_on_alignment={[*anywhere, *pointers]!r}"
        start = [
            "n = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]",
            "j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]",
            f"inside = (n < N) & (j < w{self.place})",
        ]
        return "\n".join(
            [
                f"@triton.jit(do_not_specialize={list(numbers)!r}, {unaligned})",
                f"def {self.name}(",
                *indented(arguments),
                "):",
                *indented([*start, *lines]),
                "",
            ]
        )

    def load(self, view: View, row: str, mask: str) -> str:
        """A tile of some rows: of a step's, or of the first states'."""
        self.loads += row != "n"
        return f"tl.load({self._address(view, row)}, {mask}, other=0.0).to({self.real})"

    def store(self, view: View, row: str, value: str, mask: str) -> str:
        return f"tl.store({self._address(view, row)}, {value}, {mask})"

    def _address(self, view: View, row: str) -> str:
        columns, unit = extent(view.buffer.columns), "0 * j" if view.is_number else "j"
        if view.copies == "tiled":
            unit = f"j % ({columns})"
        elif view.copies == "repeated":
            unit = f"j // (w{self.place} // ({columns}))"
        at = f"({row}) * ({columns}) + ({extent(view.before)}) + {unit}"
        return f"{self.slot(view.buffer.name)} + {at}"

    def vectors(self, nodes: Iterable[int]) -> list[str]:
        """Loads the numbers for each unit that ``nodes`` read, summed up."""
        lines = []
        for node in self.plan.graph.needed(nodes):
            leaf = self.plan.graph.nodes[node].leaf
            if leaf is None or leaf.kind != "v":
                continue
            parts = [
                f"tl.load({self.slot(each.name)} + {'0 * j' if each.columns is ONE else 'j'} + "
                f"0 * n, inside, other=0.0).to({self.real})"
                for each in self.program.buffers.vectors[leaf.name]
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
