"""Random expressions of a step, as text.

What they compute stays finite: the arguments of logarithms, roots and divisions are kept away
from zero, and exponentials are taken of what is bounded.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["COVERED", "Expressions", "Value"]

#: By operation, how it may be written of one value.
UNARY: dict[str, tuple[str, ...]] = {
    "neg": ("(-{})",),
    "tanh": ("torch.tanh({})", "{}.tanh()", "functional.tanh({})"),
    "sigmoid": ("torch.sigmoid({})", "{}.sigmoid()", "functional.sigmoid({})"),
    "exp": ("torch.exp(torch.tanh({}))", "(-functional.softplus({})).exp()"),
    "log": ("torch.log(1 + functional.softplus({}))", "(0.5 + torch.sin({}) ** 2).log()"),
    "sqrt": ("torch.sqrt(0.1 + torch.sin({}) ** 2)", "(1 + {}.abs()).sqrt()"),
    "sin": ("torch.sin({})", "{}.sin()"),
    "cos": ("torch.cos({})", "{}.cos()"),
    "abs": ("torch.abs({})", "{}.abs()"),
    "relu": ("torch.relu({})", "{}.relu()", "functional.relu({})"),
    "detach": ("{}.detach()",),
    "erf": ("torch.erf({})", "{}.erf()"),
    "expm1": ("torch.expm1(torch.tanh({}))",),
    "log1p": ("torch.log1p({}.abs())",),
    "pow": ("torch.pow(1 + {}.abs(), 0.7)", "((0.5 + torch.sigmoid({})) ** -1.3)"),
    # Seldom within rounding of where they jump.
    "floor": ("torch.floor(3.3 + 0.4 * torch.tanh({}))",),
    "sign": ("torch.sign(0.13 + {})",),
    "logsigmoid": ("functional.logsigmoid({})",),
    "softplus": ("functional.softplus({})",),
    "silu": ("functional.silu({})",),
    "gelu": ("functional.gelu({})",),
    "elu": ("functional.elu({})",),
    "leaky_relu": ("functional.leaky_relu({})",),
    "hardsigmoid": ("functional.hardsigmoid({})",),
    "mul": ("torch.square(torch.sin({}))", "(torch.tanh({}) ** 2)", "(torch.sin({}) ** 3)"),
}
#: Of two values.
BINARY: dict[str, tuple[str, ...]] = {
    "add": ("({} + {})", "torch.add({}, {})", "{}.add({})"),
    "sub": ("({} - {})", "torch.subtract({}, {})", "{}.sub({})"),
    "mul": ("({} * {})", "torch.mul({}, {})", "{}.multiply({})"),
    "div": (
        "({} / (1 + {}.abs()))",
        "torch.div({}, 1.5 + torch.sin({}))",
        "{}.divide(0.5 + torch.sigmoid({}))",
    ),
    "maximum": ("torch.maximum({}, {})", "{}.maximum({})"),
    "minimum": ("torch.minimum({}, {})", "{}.minimum({})"),
}
#: Of a value and a number, which is positive.
WITH_NUMBER = (
    "({e} + {n})",
    "({n} + {e})",
    "({e} - {n})",
    "({n} - {e})",
    "({e} * {n})",
    "torch.mul({e}, {n})",
    "({e} / {n})",
    "({n} / (1 + {e}.abs()))",
)
#: Of a value and a number that no value is by chance. Two values may be equal but for rounding,
#: and then a path could take either branch.
CONDITIONS: dict[str, tuple[str, ...]] = {
    "lt": ("({} < {})", "torch.lt({}, {})"),
    "gt": ("({} > {})", "{}.gt({})"),
    "le": ("({} <= {})", "torch.le({}, {})"),
    "ge": ("({} >= {})", "{}.ge({})"),
    "eq": ("(torch.relu({0}) == 0)",),
    "ne": ("(torch.relu({0}) != 0)",),
    "logical_and": ("(({0} > {1}) & ({0} < 2.53))",),
    "logical_or": ("(({0} > {1}) | ({0} < -0.71))",),
    "logical_not": ("(~({0} > {1}))",),
}
WHERE = (
    "torch.where({c}, {a}, {b})",
    "{a}.where({c}, {b})",
    "torch.where({c}, {a}, {n})",
    "torch.where({c}, {n}, {b})",
)
#: All operations of which some expression is made.
COVERED = {"where", *UNARY, *BINARY, *CONDITIONS}


@dataclass(frozen=True)
class Value:
    """An expression.

    Attributes:
        text: it stands by itself, so that a method may be called on it.
        rank: 0 for one number for all units, 1 for a number for each unit, 2 for a number for
            each sequence and unit.
    """

    text: str
    rank: int = 2


@dataclass
class Expressions:
    """Draws expressions of the arguments that were declared.

    Attributes:
        rng: decides.
        values: by width, the arguments and variables.
        numbers: positive ones, of any width.
        functions: of one value, elementwise.
        maps: name and the widths of result and argument; a step applies each once.
        unread: the arguments that no expression has yet.
    """

    rng: random.Random
    values: dict[str, list[Value]] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=lambda: ["0.5", "1", "2", "1.0"])
    functions: list[str] = field(default_factory=list)
    maps: list[tuple[str, str, str]] = field(default_factory=list)
    unread: list[Value] = field(default_factory=list)

    def declare(self, width: str, name: str, rank: int = 2) -> None:
        """A further value; what is declared is read sooner or later, if there is room."""
        value = Value(name, rank)
        self.values.setdefault(width, []).append(value)
        self.unread.append(value)

    def leaf(self, width: str, rank: int = 0) -> Value:
        """An argument or a variable of at least a rank, rather one that was not read yet."""
        fitting = [each for each in self.values[width] if each.rank >= rank]
        new = [each for each in fitting if each in self.unread]
        value = self.rng.choice(new if new and self.rng.random() < 0.7 else fitting)
        if value in self.unread:
            self.unread.remove(value)
        return value

    def number(self) -> str:
        text = self.rng.choice(self.numbers)
        return self.rng.choice([text, text, f"({text} + 0.25)", f"(2 * {text})", f"({text} ** 2)"])

    def draw(self, width: str, depth: int, rank: int = 0) -> Value:
        """An expression of a width, of at least a rank and of so many operations at most."""
        value = self._draw(width, depth)
        if value.rank < rank:
            value = self._joined("({} + {})", value, self.leaf(width, rank))
        return value

    def gather(self, width: str, value: Value) -> Value:
        """``value``, joined with all that no expression has yet and that leads to its width."""
        for applied in [each for each in self.maps if each[1] == width]:
            if applied in self.maps:
                self.maps.remove(applied)
                name, _, argument = applied
                inner = self.gather(argument, self.leaf(argument, 1))
                mapped = self._joined(f"{name}({{}})", inner)
                value = self._joined(self._form(BINARY), value, mapped)
        for each in [each for each in self.values[width] if each in self.unread]:
            self.unread.remove(each)
            value = self._joined(self._form(BINARY), value, each)
        return value

    def _form(self, forms: dict[str, tuple[str, ...]]) -> str:
        return self.rng.choice(forms[self.rng.choice(list(forms))])

    def _draw(self, width: str, depth: int) -> Value:
        rng = self.rng
        if depth == 0:
            return self.leaf(width)
        fitting = [each for each in self.maps if each[1] == width]
        if fitting and rng.random() < 0.6:
            applied = rng.choice(fitting)
            if rng.random() < 0.8:  # else it may be applied again
                self.maps.remove(applied)
            name, _, argument = applied
            return self._joined(f"{name}({{}})", self.draw(argument, depth - 1, rank=1))
        kind = rng.choices(["one", "two", "number", "function", "where"], [4, 5, 2, 2, 1])[0]
        first = self._draw(width, depth - 1)
        if kind == "two":
            return self._joined(self._form(BINARY), first, self._draw(width, depth - 1))
        if kind == "number":
            form = rng.choice(WITH_NUMBER).replace("{n}", self.number())
            return self._joined(form.replace("{e}", "{}"), first)
        if kind == "function" and self.functions:
            return self._joined(f"{rng.choice(self.functions)}({{}})", first)
        if kind == "where":
            return self._where(width, depth, first)
        return self._joined(self._form(UNARY), first)

    def _where(self, width: str, depth: int, compared: Value) -> Value:
        number = round(self.rng.gauss(0, 0.5), 3)
        condition = self._form(CONDITIONS).format(compared.text, number)
        form, rank, chosen = self.rng.choice(WHERE), compared.rank, {"n": self.number()}
        for name in "ab":
            if f"{{{name}}}" in form:
                value = self._draw(width, depth - 1)
                chosen[name], rank = value.text, max(rank, value.rank)
        return Value(form.format(c=condition, **chosen), rank)

    def _joined(self, form: str, *values: Value) -> Value:
        return Value(form.format(*(each.text for each in values)), max(v.rank for v in values))
