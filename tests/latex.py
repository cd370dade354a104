"""Evaluates the LaTeX that :mod:`torchrecurrent.equations` prints, to prove that it means the step.

A recursive descent over the few forms that the renderer writes; it shares no code with it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

_TOKEN = re.compile(
    r"\\begin\{cases\}|\\end\{cases\}|\\text\{[a-z ]*\}|\\\\|\\Delta t"
    r"|\\(?:tilde|hat|check)\{(?:[^{}]|\{[^{}]*\})*\}_\{t\}"
    r"|\\log \\sigma|\\mathrm\{(?:\w|\\_)+\}(?:_\{(?:[^{}]|\{[^{}]*\})*\})?"
    r"|(?:\\[A-Za-z]+|[A-Za-z])_\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
    r"|\\[A-Za-z]+|[A-Za-z]|\d+(?:\.\d+)?|[()+\-/^=<>{},&|]"
)
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    r"\tanh": torch.tanh,
    r"\sigma": torch.sigmoid,
    r"\exp": torch.exp,
    r"\log": lambda a: torch.as_tensor(a, dtype=torch.float64).log(),
    r"\cos": torch.cos,
    r"\sin": torch.sin,
    r"\log \sigma": torch.nn.functional.logsigmoid,
    r"\mathrm{sg}": torch.detach,
    r"\mathrm{Re}": torch.real,
    r"\mathrm{Im}": torch.imag,
    r"\max": lambda a, b: torch.maximum(a, torch.as_tensor(b, dtype=a.dtype)),
    r"\min": lambda a, b: torch.minimum(a, torch.as_tensor(b, dtype=a.dtype)),
}
_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    r"\neq": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    r"\geq": operator.ge,
    r"\leq": operator.le,
    r"\land": operator.and_,
    r"\lor": operator.or_,
}
_BRACKETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "(": (")", lambda value: value),
    "|": ("|", torch.abs),
    r"\lfloor": (r"\rfloor", torch.floor),
    r"\lceil": (r"\rceil", torch.ceil),
}


def _function(token: str) -> Callable[..., Any] | None:
    r"""torch's function of the name ``\mathrm{name}``, with the options in its index."""
    found = re.fullmatch(r"\\mathrm\{(.+?)\}(?:_\{(.*)\})?", token)
    name = found[1].replace(r"\_", "_") if found else ""
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name, None)
    if found is None or function is None:
        return None
    if found[2] and found[2].startswith("\\"):
        return partial(function, approximate=found[2].removeprefix(r"\mathrm{").rstrip("}"))
    options = [float(option) for option in (found[2] or "").split(", ") if option]
    return lambda *arguments: function(*arguments, *options)


class Evaluator:
    """Works through equations in order; what one defines the next may use."""

    def __init__(self, values: Mapping[str, Any], functions: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.functions = {**_FUNCTIONS, **functions}
        self.tokens: list[str] = []

    def run(self, line: str) -> None:
        left, right = line.split(" &= ")
        self.tokens = _TOKEN.findall(right)
        names, value = left.split(r",\; "), self._sum()
        self.values |= zip(names, value, strict=True) if len(names) > 1 else [(left, value)]
        assert not self.tokens, (line, self.tokens)

    def _peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def _take(self, expected: str | None = None) -> str:
        token = self.tokens.pop(0)
        assert expected in (None, token), (expected, token)
        return token

    def _sum(self) -> Any:
        value = -self._product() if self._peek() == "-" and self._take() else self._product()
        while self._peek() in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> Any:
        value = self._factor()
        while True:
            token = self._peek()
            if token in (r"\odot", r"\cdot"):
                self._take()
                value = value * self._factor()
            elif token == "/":
                self._take()
                value = value / self._factor()
            else:
                return value

    def _factor(self) -> Any:
        value = self._power()
        while callable(value):  # a matrix before a vector
            value = value(self._power())
        return value

    def _power(self) -> Any:
        value = self._atom()
        if self._peek() == "^":
            self._take("^")
            self._take("{")
            value = value ** self._sum()
            self._take("}")
        return value

    def _atom(self) -> Any:
        token = self._take()
        if token in _BRACKETS:
            end, meaning = _BRACKETS[token]
            value = meaning(self._relation())
            self._take(end)
            return value
        if token == r"\lnot":
            return ~self._atom()
        if token == r"\begin{cases}":
            return self._cases()
        if token in self.values:
            return self.values[token]
        if (function := self.functions.get(token) or _function(token)) is not None:
            self._take("(")
            arguments = [self._sum()]
            while self._peek() == ",":
                self._take()
                arguments.append(self._sum())
            self._take(")")
            return function(*arguments)
        return float(token)

    def _cases(self) -> Tensor:
        then = self._sum()
        self._take("&")
        self._take(r"\text{if }")
        condition = self._relation()
        self._take("\\\\")
        otherwise = self._sum()
        for token in ("&", r"\text{otherwise}", r"\end{cases}"):
            self._take(token)
        return torch.where(condition, then, otherwise)

    def _relation(self) -> Any:
        """A sum, or what two of them have to do with each other."""
        value = self._sum()
        while self._peek() in _RELATIONS:
            relation = _RELATIONS[self._take()]
            value = relation(value, self._sum())
        return value
