"""Writes the plan of a module's step as a class of this package."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, product
from string import ascii_lowercase

import torch

from ..ir.graph import Leaf, Node
from ..ir.trace import UntraceableError
from ..program.plan import Plan, Vector

__all__ = ["Declared", "Part", "declared"]

_INFIX: dict[str, type[ast.operator] | type[ast.cmpop]] = {
    "add": ast.Add, "sub": ast.Sub, "mul": ast.Mult, "div": ast.Div,
    "eq": ast.Eq, "ne": ast.NotEq, "lt": ast.Lt, "gt": ast.Gt, "le": ast.LtE, "ge": ast.GtE,
    "logical_and": ast.BitAnd, "logical_or": ast.BitOr,
}  # fmt: skip
_STATES = ("h", "c")
#: No names for arguments: the input, words of Python, and what looks like 1.
_TAKEN = ("x", "as", "if", "in", "is", "or", "i", "l", "o")
#: Operations across units, in words.
_ACROSS = {
    "average": "a mean over units",
    "total": "a sum over units",
    "largest": "the largest of its units",
    "first": "one unit of a state for all",
    "cumulative": "a cumulative sum over units",
    "repeated": "copies of units",
    "tiled": "copies of units",
    "folded": "sums over parts of a value",
    "grouped": "sums over parts of a value",
}
#: How weights begin that torch's cells don't have.
_INIT = "hidden_uniform"
#: An expression of more nodes gets a name of its own.
_LONGEST = 12
#: Characters.
_LINE = 100


@dataclass(frozen=True)
class Part:
    """Rows of one of the kernel's parameters."""

    parameter: str
    start: int
    rows: int


@dataclass
class Declared:
    """A class as text, and what its parameters are made of."""

    text: str
    #: By the name of a parameter of the class: its rows from the first to the last.
    parts: dict[str, list[Part]] = field(default_factory=dict)


def declared(plan: Plan, name: str, what: str) -> Declared:
    """Return the class whose step is that of a plan without masks and times.

    Args:
        plan: of a module's step.
        name: of the class.
        what: its docstring.

    Raises:
        UntraceableError: a step of this package can't be written so; the message says why.
    """
    return _Writer(plan).write(name, what)


class _Writer:
    def __init__(self, plan: Plan) -> None:
        if len(plan.widths) > 1:
            others = ", ".join(map(str, plan.widths[1:]))
            raise UntraceableError(
                f"its values are {plan.widths[0]} and {others} wide, where the arguments of a step "
                "have one width"
            )
        self.plan, self.graph = plan, plan.graph
        self.roots = [*plan.new_states, *([] if plan.output is None else [plan.output])]
        arguments = [each.argument for each in plan.maps]
        for each in plan.maps:
            if each.across is not None:
                raise UntraceableError(
                    f"it takes {_ACROSS[each.across.name]}, for which a step has a role of its own"
                )
        self.needed = self.graph.needed([*self.roots, *arguments])
        self.uses = Counter(arg for node in self.needed for arg in self.graph.nodes[node].args)
        self.uses.update(self.roots)
        self.uses.update(arguments)
        count = len(plan.states)
        names = _STATES[:count] if count <= 2 else [f"h{k}" for k in range(count)]
        self.states = dict(zip(plan.states, names, strict=True))
        self.letters = (
            "".join(each)
            for each in chain(product(ascii_lowercase), product(ascii_lowercase, repeat=2))
            if "".join(each) not in (*self.states.values(), *_TAKEN)
        )
        self.found = Declared("")
        self.arguments = dict.fromkeys(self.states.values(), "State")
        self.known: dict[Leaf, ast.expr] = {Leaf("x", "input"): _name("x")}
        self.known |= {Leaf("s", each): _name(name) for each, name in self.states.items()}
        self.own: list[str] = []  # aliases of roles
        self.inits: dict[str, None] = {}  # options: how weights of their own begin
        self.torch: set[str] = set()
        self.functional: set[str] = set()
        self.maps: dict[str, tuple[str, int]] = {}  # by its result: a map's letter and argument
        self.gone: dict[int, int] = {}  # a sum with a bias: the product that has it

    def write(self, name: str, what: str) -> Declared:
        options = self._columns()
        self._vectors()
        self._maps()
        inits = [f"    {each}_kernel_init: Initializer = {_INIT!r}" for each in self.inits]
        options = [line.replace("'", '"') for line in [*options, *inits]]
        lines = list(self._lines())
        if any(self.graph.nodes[node].leaf == Leaf("x", "input") for node in self.needed):
            self.arguments["x"] = "Input"
        roles = sorted({role for role in self.arguments.values() if role not in self._aliases()})
        if self.plan.output is not None:
            roles = sorted([*roles, "Output"])
        results = ["Output"] * (self.plan.output is not None) + ["Tensor"] * len(self.states)
        result = results[0] if len(results) == 1 else f"tuple[{', '.join(results)}]"
        arguments = [f"{each}: {role}" for each, role in self.arguments.items()]
        known = ("INPUT", "RECURRENT", "Function", "MapRole", "ProductRole", "Weight")
        more = [each for each in known if any(each in own for own in self.own)]
        head = ["from typing import Annotated", ""] if self.own else []
        head.append(f"from torch import {', '.join(['Tensor', *sorted(self.torch)])}")
        if self.functional:
            head.append(f"from torch.nn.functional import {', '.join(sorted(self.functional))}")
        imported = ", ".join(sorted({*roles, *more}, key=lambda each: (not each.isupper(), each)))
        head += ["", "from torchrecurrent import BaseRecurrentCell"]
        head += ["from torchrecurrent.init import Initializer"] * bool(inits)
        head += [f"from torchrecurrent.roles import {imported}", "", *self.own]
        body = [f"class {name}(BaseRecurrentCell):", f'    """{what}"""', ""]
        body += [*options, ""] if options else []
        short = f"    def step({', '.join(arguments)}) -> {result}:"
        long = ["    def step(", *(f"        {each}," for each in arguments), f"    ) -> {result}:"]
        body += ["    @staticmethod", *([short] if len(short) <= _LINE else long)]
        body += [f"        {line}" for line in lines]
        self.found.text = "\n".join([*head, *[""] * (1 + bool(self.own)), *body, ""])
        return self.found

    def _aliases(self) -> set[str]:
        return {own.partition(" ")[0] for own in self.own}

    # What is multiplied with the input and with states.

    def _columns(self) -> list[str]:
        """Make arguments of the columns of Z; return the lines that say which have a bias."""
        plan, inputs = self.plan, list(self.plan.columns)[: self.plan.inputs]
        rows = plan.widths[0]
        first = next(iter(self.states))
        factors: dict[str, list[tuple[str, Part]]] = {name: [] for name in plan.columns}
        for each in plan.products:
            for k, column in enumerate(each.columns):
                factors[column].append((each.state, Part(each.weight, each.start + k * rows, rows)))
        biased = {name: self._bias_of(name) for name in plan.columns}
        apart, lines = self._biases(biased, inputs, factors)
        for name in plan.columns:
            of_input, terms, letters = name in inputs, factors[name], []
            while of_input or terms:
                state: str | None = None
                part: Part | None = None
                if terms:
                    state, part = terms.pop(0)
                letters.append(letter := next(self.letters))
                if of_input:
                    self._put("weight_ih", Part("weight_ih", inputs.index(name) * rows, rows))
                weight = "RECURRENT"
                if part is not None and state != first:
                    weight = f"Weight('weight_hh_{state}', None, 'recurrent_{state}_')"
                    self.inits[f"recurrent_{state}"] = None
                if part is not None:
                    self._put("weight_hh" if state == first else f"weight_hh_{state}", part)
                role = {(True, True): "Gate", (True, False): "Projected", (False, True): "Hidden"}[
                    of_input, part is not None
                ]
                if weight != "RECURRENT":
                    source = "INPUT" if of_input else "None"
                    role = self._alias(
                        f"ProductRole({source}, {weight}, {self.states[state or first]!r})"
                    )
                self.arguments[letter] = role
                of_input = False
            value: ast.expr = _name(letters[0])
            for letter in letters[1:]:
                value = ast.BinOp(value, ast.Add(), _name(letter))
            self.known[Leaf("z", name)] = value
            vector = biased[name]
            if not apart and vector is not None:
                self._absorb(name, vector, name in inputs)
        return lines

    def _bias_of(self, name: str) -> str | None:
        """The vector that is added to a column, if that is all that happens to either."""
        leaf = self.graph.leaf("z", name)
        sums = [node for node in self.needed if leaf in self.graph.nodes[node].args]
        if len(sums) != 1 or self.uses[leaf] != 1 or self.graph.nodes[sums[0]].op != "add":
            return None
        (other,) = (arg for arg in self.graph.nodes[sums[0]].args if arg != leaf)
        of_other = self.graph.nodes[other].leaf
        if of_other is None or of_other.kind != "v" or self.uses[other] != 1:
            return None
        return None if self.plan.vectors[of_other.name].scalar else of_other.name

    def _biases(
        self,
        biased: dict[str, str | None],
        inputs: list[str],
        factors: dict[str, list[tuple[str, Part]]],
    ) -> tuple[bool, list[str]]:
        """Whether biases are arguments of their own, and the lines that say which there are."""

        def counts(names: list[str]) -> set[int]:
            vectors = [biased[name] for name in names]
            return {0 if v is None else len(self.plan.vectors[v].sources) for v in vectors}

        both = [name for name in inputs if factors[name]]
        alone = [name for name in inputs if not factors[name]]
        hidden = [name for name in factors if name not in inputs]
        several = any(len(each) > 1 for each in factors.values())
        elsewhere = any(state != next(iter(self.states)) for each in factors.values()
                        for state, _ in each)  # fmt: skip
        if not several and not elsewhere:
            if counts(both) <= {2} and counts(alone) <= {1} and counts(hidden) <= {1} and biased:
                return False, []
            if counts([*both, *alone]) == {1} and counts(hidden) <= {0}:
                return False, ["    recurrent_bias: bool | None = False"]
        return True, ["    bias: bool = False"]

    def _absorb(self, column: str, vector: str, of_input: bool) -> None:
        """Let the bias of an argument take the place of a vector."""
        rows = self.plan.widths[0]
        sources = [Part(each, row, rows) for each, row in self.plan.vectors[vector].sources]
        names = (
            ["bias_ih", "bias_hh"] if len(sources) == 2 else ["bias_ih" if of_input else "bias_hh"]
        )
        for name, part in zip(names, sources, strict=True):
            self._put(name, part)
        leaf, other = self.graph.leaf("z", column), self.graph.leaf("v", vector)
        (total,) = (n for n in self.needed if set(self.graph.nodes[n].args) == {leaf, other})
        self.gone[total] = leaf
        self.known[Leaf("v", vector)] = ast.Constant(0)

    def _put(self, parameter: str, part: Part) -> None:
        self.found.parts.setdefault(parameter, []).append(part)

    def _alias(self, role: str, kind: str = "Tensor") -> str:
        line = f"Annotated[{kind}, {role}]".replace("'", '"')
        for own in self.own:
            if own.endswith(line):
                return own.partition(" ")[0]
        self.own.append(f"Role{len(self.own) + 1} = {line}")
        return f"Role{len(self.own)}"

    # Learned numbers, and products within the step.

    def _vectors(self) -> None:
        rows = self.plan.widths[0]
        for name, vector in self.plan.vectors.items():
            if Leaf("v", name) in self.known:
                continue
            letters = [self._vector(vector, part, row, rows) for part, row in vector.sources]
            value: ast.expr = _name(letters[0])
            for letter in letters[1:]:
                value = ast.BinOp(value, ast.Add(), _name(letter))
            self.known[Leaf("v", name)] = value

    def _vector(self, vector: Vector, parameter: str, row: int, rows: int) -> str:
        letter = next(self.letters)
        self.arguments[letter] = "Scalar" if vector.scalar else "Vector"
        if vector.scalar:
            self._put(letter, Part(parameter, row, 1))
        else:
            self.inits["vector"] = None
            self._put("weight_vh", Part(parameter, row, rows))
        return letter

    def _maps(self) -> None:
        role = 'MapRole(Weight("weight_map", None, "map_"))'
        rows = self.plan.widths[0]
        for each in self.plan.maps:
            for k, result in enumerate(each.names):
                letter = next(self.letters).upper()
                self.arguments[letter] = self._alias(role, "Function")
                assert each.weight is not None
                self._put("weight_map", Part(each.weight, each.start + k * rows, rows))
                self.inits["map"] = None
                self.maps[result] = letter, each.argument

    # The step.

    def _lines(self) -> Iterator[str]:
        values: dict[int, ast.expr] = {}
        sizes: dict[int, int] = {}
        for index in self.needed:
            node = self.graph.nodes[index]
            values[index] = value = self._value(index, node, values)
            sizes[index] = size = 1 + sum(sizes[arg] for arg in node.args)
            is_plain = isinstance(value, ast.Name | ast.Constant) or node.op == "number"
            if not is_plain and (self.uses[index] > 1 or size > _LONGEST) and node.leaf is None:
                name = next(self.letters)
                yield f"{name} = {ast.unparse(value)}"
                values[index], sizes[index] = _name(name), 1
        results = [*([] if self.plan.output is None else [self.plan.output]), *self.plan.new_states]
        yield f"return {', '.join(ast.unparse(values[node]) for node in results)}"

    def _value(self, index: int, node: Node, values: dict[int, ast.expr]) -> ast.expr:
        if index in self.gone:
            return values[self.gone[index]]
        if node.leaf is not None and node.leaf.kind == "m":
            letter, argument = self.maps[node.leaf.name]
            return ast.Call(_name(letter), [values[argument]], [])
        if node.leaf is not None:
            return self.known[node.leaf]
        if node.op == "number":
            value = int(node.value) if float(node.value).is_integer() else node.value
            return (
                ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)
            )
        arguments = [values[each] for each in node.args]
        sign = _INFIX.get(node.op)
        if sign is not None and issubclass(sign, ast.operator):
            return ast.BinOp(arguments[0], sign(), arguments[1])
        if sign is not None:
            return ast.Compare(arguments[0], [sign()], [arguments[1]])
        if node.op in ("neg", "logical_not"):
            return ast.UnaryOp(ast.USub() if node.op == "neg" else ast.Invert(), arguments[0])
        (self.torch if hasattr(torch, node.op) else self.functional).add(node.op)
        return ast.Call(_name(node.op), arguments, [])


def _name(name: str) -> ast.expr:
    return ast.Name(name)
