"""What depends on parameters alone is computed once, before the loop over time."""

from __future__ import annotations

import pytest

from torchrecurrent import BR, FastGRNN, RecurrentLayer, UnICORNN
from torchrecurrent.engine.graph import Graph
from torchrecurrent.engine.steady import steady_nodes


def test_which_nodes_are_steady() -> None:
    graph = Graph()
    v, c, s = graph.leaf("v", "v"), graph.leaf("c", "c"), graph.leaf("s", "h")
    gate = graph.op("sigmoid", v)
    scaled = graph.op("mul", c, gate)
    graph.op("add", v, c)  # cheaper than to read it
    graph.op("exp", c)  # of constants: the compiler's
    graph.op("mul", scaled, graph.op("tanh", s))
    assert steady_nodes(graph) == {gate, scaled}


@pytest.mark.parametrize(
    ("layer_class", "function", "inside"),
    [(UnICORNN, "tr_sigmoid", 0), (FastGRNN, "tr_sigmoid", 1)],
)
def test_they_are_computed_before_the_loop(
    layer_class: type[RecurrentLayer], function: str, inside: int
) -> None:
    """In FastGRNN two learned numbers have a sigmoid, and in the loop one gate."""
    source = layer_class(3, 5).kernel_source()
    for name in ("forward_slice", "backward_slice"):
        body = source[source.index(f"static void {name}") :]
        before, _, rest = body[: body.index("\nvoid ")].partition("    for (int64_t t = ")
        assert function in before
        assert rest.count(function) == inside


def test_a_cell_without_has_nothing_before_the_loop() -> None:
    assert "h0[j]" not in BR(3, 5).kernel_source()
