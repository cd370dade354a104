"""Inside torch.compile and torch.export a sequence is one operator of the graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BR, LSTM, MGU, TGRU, RecurrentLayer, tauGRU

from .making import assert_same, input_for, randomize, tensors

KINDS: list[type[RecurrentLayer]] = [BR, LSTM, TGRU, tauGRU]
# Inductor's own modules warn on import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


class Counter:
    """A compiler that runs the graph as it is, and counts them."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any) -> Any:
        self.graphs.append(graph)
        return graph


def operators(graph: torch.fx.GraphModule) -> list[str]:
    return [str(node.target) for node in graph.graph.nodes if "torchrecurrent" in str(node.target)]


def trained(run: Any, layer: Any, input: Tensor) -> list[Tensor]:
    """Output, states, and all gradients."""
    layer.zero_grad()
    leaf = input.clone().requires_grad_()
    found = list(tensors(run(leaf)))
    torch.stack([each.sin().sum() for each in found]).sum().backward()
    return [*found, leaf.grad, *(p.grad.clone() for p in layer.parameters())]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_one_operator_for_all_lengths_and_batches(kind: type[RecurrentLayer]) -> None:
    torch.compiler.reset()
    counter = Counter()
    layer = randomize(kind(3, 5, 2, dtype=torch.float64))
    run = torch.compile(layer, fullgraph=True, backend=counter, dynamic=True)
    for shape in ((7, 4), (9, 3), (30, 5)):
        input = input_for(layer, *shape)
        assert_same(trained(run, layer, input), trained(layer, layer, input), 0)
        with torch.no_grad():
            assert_same(run(input), layer(input), 0)
    graphs = [operators(graph) for graph in counter.graphs]
    assert len(graphs) == 2  # with gradients and without
    assert graphs[0] == ["torchrecurrent.sequence.default"] * 2


def test_the_default_compiler_forward_and_backward() -> None:
    torch.compiler.reset()
    layer = randomize(LSTM(3, 5, bidirectional=True))
    run = torch.compile(layer, fullgraph=True)
    for shape in ((7, 4), (9, 3)):
        input = input_for(layer, *shape, dtype=torch.float32)
        # the same kernels; what inductor fuses around them rounds otherwise
        assert_same(trained(run, layer, input), trained(layer, layer, input), 1e-5)


def test_a_changed_option_compiles_anew() -> None:
    torch.compiler.reset()
    input = torch.randn(4, 2, 3)
    gated: Any = randomize(MGU(3, 5))
    run: Any = torch.compile(gated, backend="eager", fullgraph=True)
    before = run(input)[0]
    gated.cells[0].nonlinearity = "relu"
    assert not torch.equal(run(input)[0], before)
    assert_same(run(input), gated(input), 0)


def test_an_exported_program_runs_in_another_process(tmp_path: Path) -> None:
    layer = randomize(LSTM(3, 6, 2))  # of a size whose kernel is first made within the export
    steps, batch = torch.export.Dim("T", min=1), torch.export.Dim("N", min=1)
    program = torch.export.export(
        layer, (torch.randn(4, 3, 3),), dynamic_shapes=({0: steps, 1: batch},)
    )
    assert operators(program.graph_module) == ["torchrecurrent.sequence.default"] * 2
    input = torch.randn(9, 2, 3)
    expected = layer(input)[0].detach()
    assert torch.equal(program.module()(input)[0], expected)
    torch.export.save(program, tmp_path / "program.pt2")
    torch.save((input, expected), tmp_path / "pair.pt")
    code = (
        "import sys, torch, torchrecurrent\n"
        "input, expected = torch.load(sys.argv[1] + '/pair.pt')\n"
        "program = torch.export.load(sys.argv[1] + '/program.pt2').module()\n"
        "assert torch.equal(program(input)[0], expected)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_key_of_no_cell_is_a_clear_error() -> None:
    x, h = torch.randn(4, 2, 3), torch.zeros(2, 5)
    for key, text in (
        ("what", "can't be made here: what"),
        ('["torchrecurrent.cells.no", "NoCell", {}, []]', "No module named"),
        ('["torchrecurrent.cells.rnn", "RNNCell", {"input_size": 3, "hidden_size": 5}, []]',
         "is another one here"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=text):
            torch.ops.torchrecurrent.sequence(key, x, None, [], [h], [], False)


def test_lengths_break_the_graph_and_are_right() -> None:
    torch.compiler.reset()
    layer = randomize(LSTM(3, 5))
    run = torch.compile(layer, backend="eager")
    input = torch.randn(6, 3, 3)
    assert_same(run(input, lengths=[2, 6, 3]), layer(input, lengths=[2, 6, 3]), 1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    layer = randomize(LSTM(3, 5, dtype=dtype))
    input = torch.randn(6, 4, 3).to(dtype)
    output, (h, c) = layer(input)
    assert output.dtype == h.dtype == c.dtype == dtype
    exact = LSTM(3, 5)
    exact.load_state_dict(layer.state_dict())
    # one rounding, of the result
    assert_same(output.float(), exact(input.float())[0], torch.finfo(dtype).eps)


@pytest.mark.parametrize("kind", [BR, LSTM, TGRU], ids=lambda kind: kind.__name__)
def test_autocast(kind: type[RecurrentLayer]) -> None:
    """Under autocast the kernel computes in the weights' precision, whatever it is given."""
    layer = randomize(kind(3, 5))
    input = torch.randn(6, 4, 3)
    plain = layer(input)
    with torch.autocast("cpu", torch.bfloat16):
        assert ": c: " in layer.explain(input)
        assert_same(layer(input), plain, 0)
        if kind is LSTM:  # states of two dtypes
            h, c = torch.zeros(1, 4, 5, dtype=torch.bfloat16), torch.zeros(1, 4, 5)
            assert_same(layer(input, (h, c)), plain, 0)
            assert_same(layer(input, (c, h)), plain, 0)
        leaf = input.bfloat16().requires_grad_()
        output, _ = layer(leaf)
        assert output.dtype == torch.bfloat16
        output.float().sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        # of bfloat16's eight bits, three for sums and for the gates' slopes
        assert_same(output.float(), plain[0], 0.03)
