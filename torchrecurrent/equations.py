"""Prints the equations of a cell from its code: a walk over the syntax tree of ``step``.

A product argument is printed as its definition where the step first uses it; a name that
is assigned gets the time index t, a state before its assignment t - 1.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType

from . import roles
from .catalog.formula import without_values
from .cell import BaseRecurrentCell
from .complex_numbers import Complex, polar
from .declaration.integration import INTEGRATORS
from .engine import FUNCTIONS
from .roles import INPUT, RECURRENT
from .term import Term, symbol
from .terms import OPERATORS, printed, torch_name

__all__ = ["latex"]


def latex(cell: type[BaseRecurrentCell]) -> list[str]:
    r"""Return the equations of ``cell``, one line of LaTeX each, with ``&`` before the ``=``.

    >>> from torchrecurrent import RNNCell
    >>> from torchrecurrent.equations import latex
    >>> latex(RNNCell)
    ['h_{t} &= \\phi(W_{n} x_{t} + b_{n} + U_{n} h_{t-1} + d_{n})']

    Raises:
        TypeError: if the step uses syntax that has no rule here.
    """
    source = textwrap.dedent(inspect.getsource(cell.step))
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return _Walk(cell, function.body).lines


class _Walk:
    def __init__(self, cell: type[BaseRecurrentCell], body: Sequence[ast.stmt]) -> None:
        self.cell = cell
        #: For each complex argument, the role of its parts, which is printed alike.
        self.roles = {argument.name: argument.role.printed for argument in cell.signature.written}
        self.integrator = INTEGRATORS[cell.integration]
        self.diagonal = cell.recurrence == "diagonal"
        self.states = [n for n, role in self.roles.items() if isinstance(role, roles.StateRole)]
        found = inspect.getclosurevars(cell.step)
        #: The values of names from outside the step.
        self.names = {**found.builtins, **found.globals, **found.nonlocals}
        #: The present term of each name of the step.
        self.terms = {name: self.first(name) for name in self.roles}
        products = {
            n: role for n, role in self.roles.items() if isinstance(role, roles.ProductRole)
        }
        self.lines = self.integrator.lines(self, products)
        #: For each name that a loop over layers assigns, the number of its latest value.
        self.layers: dict[str, int] = {}
        #: For each variable of a loop, the argument and the layer that it stands for.
        self.maps: dict[str, tuple[str, int]] = {}
        #: The result that is printed, of maps with several.
        self.result = ""
        for loop in (node for node in body if isinstance(node, ast.For)):
            names = [node for node in ast.walk(loop) if isinstance(node, ast.Name)]
            stored = [node.id for node in names if isinstance(node.ctx, ast.Store)]
            self.layers |= dict.fromkeys(stored, self._loop(loop)[1].start - 1)
        self._name_repeated_products(body)
        for statement in body:
            self._statement(statement)

    def first(self, name: str) -> Term:
        """An argument before the step assigns to it."""
        return self.roles[name].term(self, name)

    def product(self, name: str, role: roles.ProductRole) -> Term:
        """A product argument, as the cell integrates its parts by default."""
        return self.integrator.term(self, name, role)

    def biased(self, weight: roles.Weight) -> bool:
        """Whether a product has a bias, unless the step adds it itself or it is off by default."""
        named = weight in (INPUT, RECURRENT) and any(self.cell.signature.having(roles.BiasRole))
        off = weight.bias is None or getattr(self.cell, weight.bias_flag, None) is False
        return not (named or off)

    def _name_repeated_products(self, body: Sequence[ast.stmt]) -> None:
        """Print a product that the step uses twice as a line of its own."""
        for name, role in self.roles.items():
            if not isinstance(role, roles.ProductRole):
                continue
            uses = 0
            for statement in body:
                names = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id == name]
                uses += sum(isinstance(n.ctx, ast.Load) for n in names)
                if any(isinstance(n.ctx, ast.Store) for n in names):
                    break
            if uses > 1:
                defined = Term(rf"\tilde{{{symbol(name)}}}_{{t}}")
                self.lines.append(f"{defined.text} &= {self.terms[name].text}")
                self.terms[name] = defined

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign([(name, value)])
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                self._assign([(n.id, value) for n, value in pairs if isinstance(n, ast.Name)])
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=value) if self._results(value):
                terms = []
                for self.result in self._results(value):  # noqa: B020 - read by _call
                    terms.append(self._expression(value))
                self.result = ""
                self._define([n.id for n in names if isinstance(n, ast.Name)], terms)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call() as call):
                text = self._expression(call).text
                for target in names:
                    if isinstance(target, ast.Name):
                        self.terms[target.id] = Term(symbol(target.id, "t"))
                left = r",\; ".join(self._expression(target).text for target in names)
                self.lines.append(f"{left} &= {text}")
            case ast.Return(value=ast.Tuple(elts=values)):
                self._return(values)
            case ast.Return(value=ast.expr() as value):
                self._return([value])
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case ast.For(body=body):
                arguments, layers = self._loop(statement)
                for layer in layers:
                    self.maps = {name: (source, layer) for name, source in arguments.items()}
                    for inner in body:
                        stored = [n for n in ast.walk(inner) if isinstance(n, ast.Name)]
                        for name in {n.id for n in stored if isinstance(n.ctx, ast.Store)}:
                            self.layers[name] += 1
                        self._statement(inner)
            case _:
                raise self._unknown(statement)

    def _loop(self, loop: ast.For) -> tuple[dict[str, str], range]:
        """Return the argument that each variable of a loop stands for, and its values or layers."""
        targets, sources = [loop.target], [loop.iter]
        match loop:
            case ast.For(target=ast.Tuple(elts=targets), iter=ast.Call(args=sources)):
                pass
        variables = [node.id for node in targets if isinstance(node, ast.Name)]
        names = [node.id for node in sources if isinstance(node, ast.Name)]
        match [self.roles.get(name) for name in names]:
            case [roles.MapsRole(layers=layers, first=first), *_]:
                found = dict(zip(variables, names, strict=True))
                return found, range(first, getattr(without_values(self.cell, 8, 40), layers))
            case [roles.TimesRole(times=times)]:
                return {}, range(getattr(without_values(self.cell, 8, 40), times))
        raise self._unknown(loop)

    def _results(self, node: ast.expr) -> list[str]:
        """Return the results of the maps in an expression, if they have several."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(self.roles.get(each.id), roles.MapRole):
                prefix = len(each.id)
                names = self.roles[each.id].names(each.id)
                return [name[prefix:] for name in names if name != each.id]
        return []

    def _assign(self, pairs: Sequence[tuple[str, ast.expr]]) -> None:
        self._define([name for name, _ in pairs], [self._expression(value) for _, value in pairs])

    def _define(self, names: Sequence[str], values: Sequence[Term]) -> None:
        for name, value in zip(names, values, strict=True):
            indexed = f"{name}{self.layers[name]}" if name in self.layers else name
            self.terms[name] = Term(symbol(indexed, "t"))
            self.lines.append(f"{self.terms[name].text} &= {value.text}")

    def _return(self, values: Sequence[ast.expr]) -> None:
        output = "o" if "y" in self.states else "y"
        names = [output] * self.cell.signature.has_output + self.states
        for name, value in zip(names, values, strict=True):
            left, right = symbol(name, "t"), self._expression(value).text
            if left != right:
                self.lines.append(f"{left} &= {right}")

    def _expression(self, node: ast.expr) -> Term:
        match node:
            case ast.Name(id=name) if name in self.terms:
                return self.terms[name]
            case ast.Constant(value=int() | float() as value):
                return Term(_number(value), scalar=True)
            case ast.UnaryOp(op=operator, operand=operand):
                return self._operation(node, OPERATORS.get(type(operator)), [operand])
            case ast.BinOp(left=left, op=operator, right=right):
                return self._operation(node, OPERATORS.get(type(operator)), [left, right])
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                return self._operation(node, OPERATORS.get(type(sign)), [left, right])
            case ast.Attribute(value=value, attr="real" | "imag" as part):
                return Term(rf"\mathrm{{{part[:2].title()}}}({self._expression(value).text})")
            case ast.Call(func=ast.Name(id=name), args=arguments) if self._is_argument(name):
                return self._call(node, name, [self._expression(each) for each in arguments])
            case ast.Call(func=function, args=arguments, keywords=keywords):
                named = {each.arg: each.value for each in keywords if each.arg}
                if (found := self._resolved(function)) in (Complex, polar):
                    texts = [self._expression(each).text for each in arguments]
                    name = "polar" if found is polar else "complex"
                    return Term(rf"\mathrm{{{name}}}({', '.join(texts)})")
                if found is not None:
                    return self._operation(node, torch_name(found), arguments, named)
                if isinstance(function, ast.Attribute):
                    values = [function.value, *arguments]
                    return self._operation(node, function.attr, values, named, method=True)
        raise self._unknown(node)

    def _is_argument(self, name: str) -> bool:
        """Whether a name is an argument of the step or a variable of a loop over layers."""
        return name in self.maps or name in self.roles

    def _resolved(self, node: ast.expr) -> object:
        """Return the value of a name from outside the step, with or without dots."""
        match node:
            case ast.Name(id=name) if name not in self.terms:
                return self.names.get(name)
            case ast.Attribute(value=value, attr=name):
                module = self._resolved(value)
                return getattr(module, name, None) if isinstance(module, ModuleType) else None
        return None

    def _operation(
        self,
        node: ast.expr,
        name: str | None,
        args: Sequence[ast.expr],
        kwargs: Mapping[str, ast.expr] = MappingProxyType({}),
        method: bool = False,
    ) -> Term:
        """Print a call of one of torch's functions, or an operator of Python."""
        row = FUNCTIONS.get(name or "")
        if row is None:
            raise self._unknown(node)
        terms = [self._value(arg) for arg in args]
        named = {key: self._value(value) for key, value in kwargs.items()}
        try:
            values = row.arguments(terms, named, method)
        except TypeError as error:
            raise self._unknown(node) from error
        given = [value for value in values.values() if isinstance(value, Term)]
        return Term(printed(row, values), row.binds, all(each.scalar for each in given))

    def _value(self, node: ast.expr) -> object:
        """Return an argument of a function: a term, or a Python constant that is not a number."""
        match node:
            case ast.Constant(value=(bool() | str() | None) as value):
                return value
        return self._expression(node)

    def _call(self, node: ast.expr, name: str, arguments: Sequence[Term]) -> Term:
        """Print a call of an argument."""
        source, layer = self.maps.get(name, (name, ""))
        term = self.roles[source].call(self, f"{source}{layer}{self.result}", arguments)
        if term is None:
            raise self._unknown(node)
        return term

    def _unknown(self, node: ast.AST) -> TypeError:
        return TypeError(f"{self.cell.__name__}.step: no rule prints {ast.unparse(node)!r}")


def _number(value: float) -> str:
    """Print a number; one that is very large or small by a power of ten."""
    mantissa, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return mantissa
    factor = "" if mantissa == "1" else rf"{mantissa} \cdot "
    return f"{factor}10^{{{int(exponent)}}}"
