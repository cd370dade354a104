"""Sequences that several programs share: a scan by chunks, of what is affine in itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import BR, LRU, LSTM, QRNN, TRNN, IndRNN, RecurrentLayer, backend, sLSTM
from torchrecurrent.engine.gpu import grid as triton_grid
from torchrecurrent.engine.gpu import scan as triton_scan
from torchrecurrent.engine.gpu.emit import emit_triton
from torchrecurrent.engine.gpu.grid import Cut, Grid
from torchrecurrent.engine.gpu.hoisted import is_elementwise
from torchrecurrent.engine.ir.affine import affine
from torchrecurrent.engine.ir.graph import Graph, Leaf
from torchrecurrent.engine.program.kind import recurrence_kind
from torchrecurrent.engine.program.plan import Plan
from torchrecurrent.engine.run.kernels import Fused, fused

from .making import assert_same, input_for
from .test_engine import build, results
from .test_triton import DEVICE, check

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


@pytest.fixture(autouse=True)
def _cut_short_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU too."""
    monkeypatch.setattr(triton_grid, "_GPU", triton_grid._INTERPRETER)


def diagonal(layer_class: type[RecurrentLayer], width: int, dtype: torch.dtype) -> Any:
    return build(layer_class, width, recurrence="diagonal", dtype=dtype)


def kernels_of(plan: Plan) -> Collection[str]:
    return emit_triton(plan, torch.float32).kernels


def plan_of(layer: Any) -> Plan:
    found = fused(layer.cells[0])
    assert isinstance(found, Fused)
    return found.plan


def test_every_backward_pass_that_can_be_cut_is(layer_class: type[RecurrentLayer]) -> None:
    """And forward, those of linear cells."""
    for layer in (build(layer_class, 5), diagonal(layer_class, 5, torch.float32)):
        plan = plan_of(layer)
        can_be = is_elementwise(plan) and len(plan.states) <= triton_scan._MOST_HELD
        assert ("backward ends" in kernels_of(plan)) == can_be
    plan = plan_of(build(layer_class, 5))
    linear = recurrence_kind(plan).endswith("linear") and is_elementwise(plan)
    assert ("forward ends" in kernels_of(plan)) == linear


@pytest.mark.parametrize("lengths", [None, [2, 8, 5]], ids=str)
def test_chunks_equal_the_reference(layer_class: type[RecurrentLayer], lengths: Any) -> None:
    layer = diagonal(layer_class, 5, torch.float64)
    call = {} if lengths is None else {"lengths": lengths}
    check(layer, input_for(layer, 8, 3), **call)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TRNN(3, 9),
        lambda: QRNN(3, 9),  # with states of two widths
        lambda: LRU(3, 9),  # with a readout
        lambda: IndRNN(3, 9),
        lambda: LSTM(3, 9, recurrence="diagonal"),
        lambda: sLSTM(3, 9, recurrence="diagonal"),
    ],
)
def test_chunks_equal_one_chunk(
    make: Callable[[], RecurrentLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make().double().to(DEVICE)
    input = input_for(layer, 50, 5).to(DEVICE)
    cuts = []
    whole = Grid.cut

    def recorded(self: Grid, name: str, steps: int, *others: Any) -> Cut:
        cuts.append(whole(self, name, steps, *others))
        return cuts[-1]

    monkeypatch.setattr(Grid, "cut", recorded)
    found = results(layer, input, "triton")
    assert Cut(17, 3) in cuts
    monkeypatch.setattr(Grid, "cut", lambda self, name, steps, *others: Cut(steps, 1))
    expected = results(layer, input, "triton")
    # the same products and sums in another order: a thousand roundings of the largest
    largest = max(float(each.abs().max()) for each in expected)
    assert_same(found, expected, 1e-13 * max(1.0, largest))


def exploding(input_size: int, hidden_size: int, weight: float) -> IndRNN:
    """Each step multiplies a positive state by 1e20."""
    layer = IndRNN(input_size, hidden_size, nonlinearity="relu", bias=False, device=DEVICE)
    for name, parameter in layer.named_parameters():
        nn.init.constant_(parameter, 1e20 if name.endswith("vector_u") else weight)
    return layer


@pytest.mark.parametrize("place", [0, 4])
def test_a_product_that_overflows_spoils_no_gradient(place: int) -> None:
    """Over a chunk of four steps the weights' product is 1e80, and what it multiplies zero."""
    layer = exploding(3, 5, 0.1)
    input = torch.zeros(11, 2, 3, device=DEVICE)
    input[place] = 1e-25

    def gradient(path: Any) -> Tensor:
        leaf = input.clone().requires_grad_()
        with backend(path):
            layer(leaf)[0][place].sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    expected = gradient("reference")
    assert expected.isfinite().all()
    assert expected.any()
    assert torch.equal(gradient("triton"), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_product_that_overflows_keeps_what_is_finite(sign: int) -> None:
    """Over a chunk of two steps it is 1e40, and what it multiplies 1e-30.

    The second chunk finds this out, and reads the first one's part of Z. If the first one had
    written its gradient there, which here is negative, relu would let nothing through.
    """
    layer = exploding(1, 1, 1.0)
    input = torch.tensor([-1.0, 1e-36, 0.0, 0.0], device=DEVICE).view(4, 1, 1)
    found = []
    for path in ("reference", "triton"):
        leaf = input.clone().requires_grad_()
        with backend(path):
            (sign * 1e-30 * layer(leaf)[1]).sum().backward()
        found.append(leaf.grad)
    expected = sign * torch.tensor([0.0, 1e10, 1e-10, 1e-30], device=DEVICE).view(4, 1, 1)
    torch.testing.assert_close(found, [expected, expected], rtol=1e-6, atol=0)  # a few roundings


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
@pytest.mark.parametrize("layer_class", [TRNN, BR])
def test_nan_and_infinity_pass_through_chunks(
    layer_class: type[RecurrentLayer], value: float
) -> None:
    layer = build(layer_class, 5).to(DEVICE)
    input = input_for(layer, 9, 3, dtype=torch.float32).to(DEVICE)
    input[1, 1, 0] = value
    found, expected = (results(layer, input, path) for path in ("triton", "reference"))
    for one, other in zip(found, expected, strict=True):
        for test in (torch.isnan, torch.isposinf, torch.isneginf):
            assert torch.equal(test(one), test(other))


def test_what_is_affine() -> None:
    graph = Graph()
    a, b = Leaf("s", "a"), Leaf("s", "b")
    x, y = (graph.leaf(leaf.kind, leaf.name) for leaf in (a, b))
    z, one = graph.leaf("z", "z"), graph.number(1)
    new = graph.op("sub", graph.op("mul", z, graph.op("add", x, y)), graph.op("div", one, z))
    found = affine(graph, [new, y], [a, b])
    assert found is not None
    assert found.matrix == {(0, 0): z, (0, 1): z, (1, 1): one}
    assert found.rest == {0: graph.op("neg", graph.op("div", one, z))}
    assert found.reached() == [(0, 0), (0, 1), (1, 1)]


def test_what_is_not_affine() -> None:
    graph = Graph()
    a = Leaf("s", "a")
    x, other, z = graph.leaf("s", "a"), graph.leaf("s", "b"), graph.leaf("z", "z")
    for new in (
        graph.op("mul", x, x),
        graph.op("div", z, x),
        graph.op("tanh", x),
        graph.op("where", graph.op("gt", x, z), z, x),
        graph.op("add", x, other),  # nobody says how the other goes on
    ):
        assert affine(graph, [new], [a]) is None
