"""Where the emitted C finds each value: pointers, and offsets in units of the widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..ir.graph import Leaf
from ..ir.invariant import steady_nodes
from ..program.plan import Plan

__all__ = ["Addresses"]


class Addresses:
    """The C names of pointers and widths. Pointers are numbered as they are asked for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.slots: list[str] = []
        self.steady = steady_nodes(plan.graph)
        self._kept: dict[int, int] = {}  # of these: their numbers
        self.rows = len(plan.vectors)  # of what each slice computes before the loop

    def slot(self, name: str) -> str:
        """The C name of a pointer, known to the launcher as ``name``."""
        if name not in self.slots:
            self.slots.append(name)
        return f"p{self.slots.index(name)}"

    def extent(self, places: Iterable[int]) -> str:
        """The sum of some widths, by their places."""
        counts = Counter(places)
        parts = [f"{counts[place]} * w{place}" for place in sorted(counts)]
        return " + ".join(parts) if parts else "0"

    def column(self, name: str) -> str:
        """Where a column of Z begins."""
        return self.extent(self.plan.before(name))

    def columns(self, names: Iterable[str]) -> str:
        """How many numbers some columns of Z have."""
        return self.extent(self.plan.columns[name] for name in names)

    def result(self, names: Iterable[str]) -> str:
        """How many numbers some parts of a map's result have."""
        return self.extent(self.plan.mapped[name] for name in names)

    def row(self, name: str, width: str) -> str:
        """The first row of this step and slice in what is kept only for the backward pass."""
        return f"({self.slot(name)} + (keep ? r0 : n0) * ({width}))"

    def step(self, name: str, width: str) -> str:
        """The first row of this step and slice in what has a row for each step."""
        return f"({self.slot(name)} + r0 * ({width}))"

    def batch(self, name: str, width: str) -> str:
        """The first row of this slice in a tensor with a row for every sequence."""
        return f"({self.slot(name)} + n0 * ({width}))"

    def state_width(self, name: str) -> str:
        return f"w{self.plan.states[name]}"

    def is_output(self, state: str) -> bool:
        """Whether the state is the output, whose every step is kept in any case."""
        return self.plan.output is None and state == next(iter(self.plan.states))

    def before(self) -> str:
        """Declares where each state lies as it was before this step."""
        lines = []
        for k, name in enumerate(self.plan.states):
            width, after = self.state_width(name), self.slot(f"S.{name}")
            value = f"t ? {after} + q0 * {width} : {self.slot(f'S0.{name}')} + n0 * {width}"
            if not self.is_output(name):  # overwritten if not kept
                value = f"keep ? ({value}) : {after} + n0 * {width}"
            lines.append(f"        const real *before_{k} = {value}; (void)before_{k};\n")
        return "".join(lines)

    def old_state(self, name: str) -> str:
        return f"before_{list(self.plan.states).index(name)}"

    def new_state(self, name: str) -> str:
        """The first row of this step and slice where a new state goes."""
        width = self.state_width(name)
        return (
            self.step(f"S.{name}", width) if self.is_output(name) else self.row(f"S.{name}", width)
        )

    def vectors(self) -> str:
        """Declares the numbers for each unit; those that are sums are added up here."""
        plan, lines = self.plan, []
        for k, (name, vector) in enumerate(plan.vectors.items()):
            sources = [self.slot(f"v.{name}.{i}") for i in range(len(vector.sources))]
            if len(sources) == 1 and not vector.scalar:
                lines.append(f"    const real *v{k} = {sources[0]}; (void)v{k};\n")
                continue
            width = plan.vector_width(name)
            value = " + ".join(f"{source}[{'0' if vector.scalar else 'j'}]" for source in sources)
            lines.append(
                f"    real *v{k} = {self.slot('vectors')} + "
                f"(slice * VECTORS + {k}) * widest;\n"
                f"    for (int64_t j = 0; j < w{width}; j++) v{k}[j] = {value};\n"
            )
        return "".join(lines)

    def kept(self, node: int) -> str:
        """Where a steady node lies; :meth:`take_kept` says which were asked for."""
        return f"h{self._kept.setdefault(node, len(self._kept))}"

    def take_kept(self) -> dict[int, str]:
        """The steady nodes that were asked for since the last call: where they lie."""
        count = len(self.plan.vectors)
        found = {
            node: f"{self.slot('vectors')} + (slice * VECTORS + {count + k}) * widest"
            for node, k in self._kept.items()
        }
        self.rows = max(self.rows, count + len(found))
        self._kept.clear()
        return found

    def is_average(self, leaf: Leaf) -> bool:
        """Whether a row of the leaf is one number for all units."""
        names = {each.name for each in self.plan.maps if each.weight is None}
        return leaf.kind in "ma" and leaf.name in names

    def leaf(self, leaf: Leaf) -> tuple[str, str]:
        """The first row of this step and slice of a leaf, and how far the rows are apart."""
        plan, name = self.plan, leaf.name
        match leaf.kind:
            case "z":
                return f"{self.row('Z', 'ldz')} + {self.column(name)}", "ldz"
            case "s":
                return self.old_state(name), self.state_width(name)
            case "m":
                group = next(each for each in plan.maps if name in each.names)
                if group.weight is None:
                    return self.row(f"M.{name}", "1"), "1"
                width = self.result(group.names)
                left = group.names[: group.names.index(name)]
                return f"{self.row(f'M.{group.name}', width)} + {self.result(left)}", width
            case "x":
                return self.step("X", "I"), "I"
            case "g":
                width = self.state_width(name)
                return self.batch(f"G.{name}", width), width
            case "y":
                width = f"w{plan.output_width}"
                return self.step("dY", width), width
            case "a":
                group = next(each for each in plan.maps if each.name == name)
                width = f"w{plan.node_widths[group.argument]}" if group.weight else "1"
                return self.batch(f"dV.{name}", width), width
            case "v":
                return f"v{list(plan.vectors).index(name)}", "0"
        raise AssertionError(leaf)
