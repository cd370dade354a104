"""The source of a cell: options, arguments of every role that they allow, a random step."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from torchrecurrent.activations import ACTIVATIONS

from .random_expressions import Expressions, Value

__all__ = ["Writer"]

#: Small ones, odd ones, and such as are no multiple of a vector register.
SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 11, 17]


def tensor(role: str) -> str:
    return f"Annotated[Tensor, {role}]"


@dataclass
class Writer:
    """Draws the options, then the arguments that they allow, then the step.

    Attributes:
        rng: decides.
        options: of a layer of such cells.
    """

    rng: random.Random
    options: dict[str, Any] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)  # of the class
    arguments: list[tuple[str, str]] = field(default_factory=list)  # name and annotation
    statements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = Expressions(self.rng)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def cell(self) -> list[str]:
        """The lines of the class, below its name."""
        self._options()
        states = self._states()
        self._products(states)
        self._maps()
        self._others()
        output = self._output(states)
        returned = self._step(states, output)
        results = ["Output"] * (output is not None) + ["Tensor"] * len(states)
        annotation = results[0] if len(results) == 1 else f"tuple[{', '.join(results)}]"
        listed = ", ".join(f"{name}: {role}" for name, role in self._in_order(states))
        step = [*self.statements, f"return {', '.join(each.text for each in returned)}"]
        self.body += ["@staticmethod", f"def step({listed}) -> {annotation}:"]
        self.body += [f"    {line}" for line in step]
        self._noise(states)
        return self.body

    def _noise(self, states: list[tuple[str, str]]) -> None:
        """Options that change no step; drawn last, so that the steps do not depend on them."""
        if self.chance(0.3):
            self.options["zoneout"] = tuple(self.rng.choice([0.0, 0.3]) for _ in states)
        if self.chance(0.3) and any("RECURRENT, " in role for _, role in self.arguments):
            self.options["recurrent_dropout"] = 0.3

    def _in_order(self, states: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The arguments shuffled; states among themselves, and maps of the input, keep order."""
        names, roles = iter([name for name, _ in states]), dict(self.arguments)
        self.rng.shuffle(self.arguments)
        self.arguments.sort(key=lambda each: "Role(INPUT, rows" in each[1] and "Affine" in each[1])
        known = dict(states)
        order = [next(names) if name in known else name for name, _ in self.arguments]
        return [(name, roles[name]) for name in order]

    def _argument(self, name: str, role: str, width: str, rank: int = 2) -> None:
        self.arguments.append((name, role))
        self.draw.declare(width, name, rank)

    def _option(self, line: str) -> None:
        if line not in self.body:
            self.body.append(line)

    # What is declared

    def _options(self) -> None:
        rng = self.rng
        heads = rng.choice([1, 1, 1, 2, 3])
        self.widths = ["hidden_size", *(w for w in ("input_size", "n", "m") if self.chance(0.4))]
        self.diagonal, self.multiplies = self.chance(0.3), self.chance(0.25)
        self.options = {
            "input_size": heads * rng.choice(SIZES),
            "hidden_size": heads * rng.choice(SIZES),
            "num_heads": heads,
            "recurrence": "diagonal" if self.diagonal else "dense",
            "integration": "multiplicative"
            if self.multiplies
            else rng.choice(["additive", "additive", "layer_norm"]),
            "layer_norm_eps": 0.1,  # else two units nearly alike would be told apart by roundings
            "bias": self.chance(0.7),
            "recurrent_bias": rng.choice([None, True, False]),
        }
        for width in (each for each in ("n", "m") if each in self.widths):
            self.options[width] = heads * rng.choice(SIZES)
            self._option(f"{width}: int = 1")

    def _states(self) -> list[tuple[str, str]]:
        """Name and width of each."""
        states = [(f"s{k}", self.rng.choice(self.widths)) for k in range(self.rng.randint(1, 3))]
        for name, width in states:
            role = "State" if width == "hidden_size" else tensor(f'StateRole("{width}")')
            self._argument(name, role, width)
        self.late = self.chance(0.2)
        if self.late:
            self._option(f"delay: int = {self.rng.randint(1, 4)}")
            self._argument("late", "Delayed", states[0][1])
        return states

    def _products(self, states: list[tuple[str, str]]) -> None:
        rng = self.rng
        read = [*states, *([("late", states[0][1])] if self.late else [])]
        #: All that one kernel multiplies is equally wide.
        self.home = rng.choice(states)[1]
        kernels = {"RECURRENT": self.home}
        if self.chance(0.3):
            kernels["CELL"] = rng.choice(states)[1]
            self._option('cell_kernel_init: Initializer = "normal"')
            self._option('cell_bias_init: Initializer = "zeros"')
            self._option(f"cell_bias: bool | None = {rng.choice([None, True, False])}")
        for k in range(rng.randint(1, 5)):
            kernel = rng.choice(list(kernels))
            of = rng.choice([name for name, width in read if width == kernels[kernel]])
            rows = kernels[kernel] if self.diagonal else rng.choice(self.widths)
            named = "" if of == states[0][0] and self.chance(0.5) else f'of="{of}", '
            kind = "both" if k == 0 and self.multiplies else rng.choice(["both", "input", "state"])
            if kind == "input":
                rows = rng.choice(self.widths)
                role = f'ProductRole(INPUT, rows="{rows}")'
            else:
                source = "INPUT" if kind == "both" else "None"
                role = f'ProductRole({source}, {kernel}, {named}rows="{rows}")'
            self._argument(f"z{k}", tensor(role), rows)
        if self.chance(0.2):  # the input itself where it is as wide as the state
            self.body += ["@property", "def skip(self) -> int:"]
            self.body += ["    return self.hidden_size * (self.input_size != self.hidden_size)"]
            self._argument("skipped", tensor('ProductRole(INPUT, rows="skip")'), "hidden_size")
        if self.chance(0.5):
            self._argument("x", "Input", "input_size")
        for width in self.widths:
            if width not in self.draw.values:
                self._argument(f"z_{width}", tensor(f'ProductRole(INPUT, rows="{width}")'), width)

    def _maps(self) -> None:
        rng, widths = self.rng, list(self.draw.values)
        for k in range(rng.choice([0, 0, 1, 2, 3])):
            rows, columns, dense = rng.choice(widths), rng.choice(widths), self.chance(0.5)
            kind = rng.choice(["own", "own", "recurrent", "input", "off", "several"])
            if kind == "recurrent":
                columns, dense = self.home, False
            elif kind == "input":
                columns, dense = "input_size", True
            if columns not in self.draw.values:
                continue  # nothing to apply it to
            if kind == "several" or (self.diagonal and not dense):
                rows = columns
            kernels = {"recurrent": "RECURRENT", "input": "INPUT"}
            kernel = kernels[kind] if kind in kernels else self._own_kernel(f"m{k}")
            sizes = f'columns="{columns}", always_dense={dense}'
            if kind == "several":
                self._several(f"M{k}", kernel, f'rows="{rows}", {sizes}', rows)
                continue
            named = f"off{k}" if kind == "off" else rows
            if kind == "off":  # the identity
                rows = columns
                self.body.append(f"off{k}: int = 0")
            role = f'MapRole({kernel}, rows="{named}", {sizes})'
            self.arguments.append((f"M{k}", f"Annotated[Affine, {role}]"))
            self.draw.maps.append((f"M{k}", rows, columns))

    def _own_kernel(self, name: str) -> str:
        bias = self.rng.choice([None, True, False])
        self.body.append(f'{name}_kernel_init: Initializer = "normal"')
        self.body.append(f'{name}_bias_init: Initializer = "zeros"')
        self.body.append(f"{name}_bias: bool | None = {bias}")
        return f'Weight("weight_{name}", "bias_{name}", "{name}_")'

    def _several(self, name: str, kernel: str, sizes: str, width: str) -> None:
        """A layer after the other, or none."""
        self.body.append(f"depth_{name}: int = {self.rng.randint(1, 3)}")
        role = f'MapsRole({kernel}, "depth_{name}", {self.rng.randint(0, 1)}, {sizes})'
        self.arguments.append((name, f"Annotated[tuple[Affine, ...], {role}]"))
        first = self.draw.leaf(width, 1)
        self.statements += [f"deep_{name} = {first.text}", f"for each in {name}:"]
        self.statements += [f"    deep_{name} = torch.tanh(each(deep_{name}))"]
        self.draw.declare(width, f"deep_{name}", first.rank)

    def _others(self) -> None:
        rng = self.rng
        for k in range(rng.choice([0, 0, 1, 2])):
            width = rng.choice(list(self.draw.values))
            self._option('vector_kernel_init: Initializer = "normal"')
            role = f'VectorRole(Weight("weight_vh", None, "vector_"), "{width}")'
            self._argument(f"v{k}", tensor(role), width, 1)
        if self.chance(0.3):
            self._option("r_init: float = 0.3")
            self._argument("r", "Scalar", "hidden_size", 0)
        self._numbers()
        for name, role in (("phi", "Nonlinearity"), ("sigma", "GateNonlinearity")):
            if self.chance(0.3):
                known = [f'"{each}"' for each in ACTIVATIONS]
                self._option(f"{name}: Activation = {rng.choice([*known, 'bent', 'torch.cos'])}")
                self.arguments.append((name, role))
                self.draw.functions.append(name)
        if self.chance(0.2):
            self.arguments.append(("b", "Bias"))
            value = self.draw.leaf("hidden_size", 2).text
            self.statements.append(f"with_bias = {value} + b")
            self.draw.declare("hidden_size", "with_bias")
        if self.chance(0.15):
            self.arguments.append(("N", "Norm"))
            width = rng.choice(list(self.draw.values))
            names = [f"normal{k}" for k in range(rng.randint(1, 2))]
            values = [self.draw.draw(width, 1, 1) for _ in names]
            listed = ", ".join(each.text for each in values)
            self.statements.append(f"({', '.join(names)},) = N({listed})")
            for each in names:
                self.draw.declare(width, each, max(value.rank for value in values))
        for name, role in (("S", "Softmax"), ("T", "Total")):
            if self.chance(0.1):
                self.arguments.append((name, role))
                width = rng.choice(list(self.draw.values))
                joined = self.draw.draw(width, 1, 1)
                self.statements.append(f"joined_{name} = {name}({joined.text})")
                self.draw.declare(width, f"joined_{name}", joined.rank)

    def _numbers(self) -> None:
        """Options that are numbers, one that is an integer and one that follows from another."""
        k = round(self.rng.uniform(0.3, 1.5), 2)
        declared = {
            "k": [f"k: float = {k}"],
            "count": ["count: int = 2"],
            "third": ["@property", "def third(self) -> float:", "    return self.input_size / 3"],
        }
        for name, lines in declared.items():
            if self.chance(0.25):
                self.body += lines
                self.arguments.append((name, "Constant"))
                self.draw.numbers.append(name)
        if "k" in self.draw.numbers and self.chance(0.3):
            self.options["k"] = self.rng.choice([0.25, 1.0, 1])

    # The step

    def _output(self, states: list[tuple[str, str]]) -> str | None:
        """The width of an output that is no state."""
        first = states[0][1]
        output = self.rng.choice(self.widths) if self.chance(0.3) else None
        if output is not None and self.late:
            output = first
        if (width := output or first) != "hidden_size":
            self.body += ["@property", "def output_size(self) -> int:", f"    return self.{width}"]
        return output

    def _step(self, states: list[tuple[str, str]], output: str | None) -> list[Value]:
        for k in range(self.rng.randint(0, 4)):
            width = self.rng.choice(list(self.draw.values))
            value = self.draw.draw(width, self.rng.randint(1, 3))
            self.statements.append(f"t{k} = {value.text}")
            self.draw.declare(width, f"t{k}", value.rank)
        returned = [self._next(name, width) for name, width in states]
        if output is not None:
            returned.insert(0, self.draw.draw(output, self.rng.randint(0, 3), 2))
        return returned

    def _next(self, state: str, width: str) -> Value:
        """A new state, which stays bounded from step to step."""
        draw = self.draw
        drawn = draw.draw(width, self.rng.randint(0, 3), 2)
        value = (draw.gather(width, drawn) if self.chance(0.8) else drawn).text
        if self.chance(0.3):
            self.statements.append(f"gate_{state} = torch.sigmoid({draw.draw(width, 1).text})")
            self.statements.append(f"new_{state} = torch.tanh({value})")
            return Value(f"gate_{state} * {state} + (1 - gate_{state}) * new_{state}")
        if self.chance(0.1):
            return draw.leaf(width, 2)
        forms = [f"torch.tanh({value})", f"torch.sin({value})"]
        forms += [f"0.5 * {state} + torch.sigmoid({value})"]
        return Value(self.rng.choice(forms))
