"""Values that depend on parameters alone are computed once, before the loop over time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchrecurrent import BR, BaseRecurrentCell, FastGRNN, Recurrent, RecurrentLayer, UnICORNN
from torchrecurrent.engine.ir.graph import Graph
from torchrecurrent.engine.ir.invariant import steady_nodes
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Gate, State, Vector

from .making import assert_same
from .test_engine import results


def test_which_nodes_are_steady() -> None:
    graph = Graph()
    v, c, s = graph.leaf("v", "v"), graph.leaf("c", "c"), graph.leaf("s", "h")
    gate = graph.op("sigmoid", v)
    scaled = graph.op("mul", c, gate)
    graph.op("add", v, c)  # cheaper than to read it
    graph.op("exp", c)  # of constants: the compiler's
    graph.op("mul", scaled, graph.op("tanh", s))
    chosen = graph.op("where", graph.op("gt", gate, c), v, c)  # not the comparison by itself
    assert steady_nodes(graph) == {gate, scaled, chosen}


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


class _Masked(BaseRecurrentCell):
    vector_kernel_init: Initializer = "normal"

    @staticmethod
    def step(h: State, n: Gate, v: Vector) -> Tensor:
        high = (torch.sigmoid(v) > 0.5) & (torch.exp(v) < 2)
        return torch.where(high & (n > 0), n, 0.3 * h) + torch.where(~high, torch.exp(v), h)


def test_comparisons_of_parameters_are_made_where_they_are_needed() -> None:
    layer = Recurrent(_Masked, 3, 17, dtype=torch.float64)
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    assert_same(results(layer, input, "c"), results(layer, input, "reference"))


def test_a_cell_without_has_nothing_before_the_loop() -> None:
    assert "h0[j]" not in BR(3, 5).kernel_source()
