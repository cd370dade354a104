"""The backward pass of a graph, by a table with one rule an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .graph import Graph, Leaf

__all__ = ["RULES", "derive"]

#: (graph, result, arguments, gradient of the result) -> gradient of each argument.
Rule = Callable[[Graph, int, tuple[int, ...], int], tuple[int | None, ...]]


def _where(g: Graph, condition: int, then: int, otherwise: int) -> int:
    return g.op("where", condition, then, otherwise)


def _add(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return d, d


def _sub(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return d, g.op("neg", d)


def _mul(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return g.op("mul", d, a[1]), g.op("mul", d, a[0])


def _div(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    first = g.op("div", d, a[1])
    return first, g.op("neg", g.op("mul", first, y))


def _neg(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("neg", d),)


def _tanh(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, g.op("sub", g.number(1), g.op("mul", y, y))),)


def _sigmoid(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, g.op("mul", y, g.op("sub", g.number(1), y))),)


def _exp(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, y),)


def _log(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("div", d, a[0]),)


def _sqrt(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("div", d, g.op("mul", g.number(2), y)),)


def _sin(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, g.op("cos", a[0])),)


def _cos(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("neg", g.op("mul", d, g.op("sin", a[0]))),)


def _abs(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, g.op("sign", a[0])),)


def _relu(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    zero = g.number(0)
    return (_where(g, g.op("le", y, zero), zero, d),)


def _logsigmoid(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (g.op("mul", d, g.op("sigmoid", g.op("neg", a[0]))),)


def _softplus(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    # above torch's threshold of 20 the sigmoid is 1 to float32's last bit
    return (_where(g, g.op("gt", a[0], g.number(20)), d, g.op("mul", d, g.op("sigmoid", a[0]))),)


def _silu(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    s, one = g.op("sigmoid", a[0]), g.number(1)
    slope = g.op("add", one, g.op("mul", a[0], g.op("sub", one, s)))
    return (g.op("mul", d, g.op("mul", s, slope)),)


def _gelu(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    # the normal distribution's function and density, from gelu(x) = x Phi(x)
    x = a[0]
    density = g.op("exp", g.op("mul", g.number(-0.5), g.op("mul", x, x)))
    density = g.op("mul", g.number(0.3989422804014327), density)
    return (g.op("mul", d, g.op("add", g.op("normcdf", x), g.op("mul", x, density))),)


def _elu(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    one, zero = g.number(1), g.number(0)
    return (_where(g, g.op("le", a[0], zero), g.op("mul", d, g.op("add", y, one)), d),)


def _leaky_relu(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (_where(g, g.op("gt", a[0], g.number(0)), d, g.op("mul", g.number(0.01), d)),)


def _hardsigmoid(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    zero = g.number(0)
    inside = _where(g, g.op("lt", a[0], g.number(3)), g.op("mul", d, g.number(1 / 6)), zero)
    return (_where(g, g.op("gt", a[0], g.number(-3)), inside, zero),)


def _extremum(loses: str) -> Rule:
    """Of the maximum or minimum; equals share the gradient, as in torch."""

    def rule(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
        half = _where(g, g.op("eq", *a), g.op("mul", g.number(0.5), d), d)
        zero = g.number(0)
        return (
            _where(g, g.op(loses, a[0], a[1]), zero, half),
            _where(g, g.op(loses, a[1], a[0]), zero, half),
        )

    return rule


def _select(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    zero = g.number(0)
    return None, _where(g, a[0], d, zero), _where(g, a[0], zero, d)


def _none(g: Graph, y: int, a: tuple[int, ...], d: int) -> tuple[int | None, ...]:
    return (None,) * len(a)


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "sin": _sin,
    "cos": _cos,
    "abs": _abs,
    "relu": _relu,
    "logsigmoid": _logsigmoid,
    "softplus": _softplus,
    "silu": _silu,
    "gelu": _gelu,
    "elu": _elu,
    "leaky_relu": _leaky_relu,
    "hardsigmoid": _hardsigmoid,
    "maximum": _extremum("lt"),
    "minimum": _extremum("gt"),
    "where": _select,
    **dict.fromkeys(("eq", "lt", "gt", "le", "ge"), _none),
}


def derive(
    graph: Graph, outputs: Mapping[int, int], maps: Mapping[int, tuple[int, str]]
) -> dict[Leaf, int]:
    """Extend ``graph`` by the gradients of its leaves.

    Args:
        outputs: a node of the forward pass to the node that is its gradient; a node that
            is an output twice is given the sum.
        maps: the leaf that a map returned, to the node that is the map's argument and the
            name of the product that it is a part of.

    Returns:
        Leaf to the node of its gradient, for each leaf that the outputs depend on. What
        a map's argument receives is a leaf of kind ``a``, under the product's name.
    """
    count = len(graph.nodes)
    gradients: dict[int, int] = {}
    # Nobody asks for the gradients of numbers, and of what is computed of them only; and what
    # one gets from values of two widths has no sum.
    constant: set[int] = set()
    for k, each in enumerate(graph.nodes):
        # A number has no arguments; a leaf has none either.
        if each.leaf.kind == "c" if each.leaf else constant.issuperset(each.args):
            constant.add(k)

    def accumulate(node: int, gradient: int | None) -> None:
        if gradient is not None and node not in constant:
            known = gradients.get(node)
            gradients[node] = gradient if known is None else graph.op("add", known, gradient)

    for node, gradient in outputs.items():
        accumulate(node, gradient)
    found: dict[Leaf, int] = {}
    received_by: set[tuple[int, str]] = set()
    # A map's argument is an earlier node than what the map returned: reverse order works.
    for node in range(count - 1, -1, -1):
        if node not in gradients:
            continue
        current = graph.nodes[node]
        if current.leaf is not None:
            found[current.leaf] = gradients[node]
            if node in maps and maps[node] not in received_by:
                received_by.add(maps[node])
                argument, product = maps[node]
                accumulate(argument, graph.leaf("a", product))
        else:
            rule = RULES[current.op]
            received = rule(graph, node, current.args, gradients[node])
            for arg, part in zip(current.args, received, strict=True):
                accumulate(arg, part)
    return found
