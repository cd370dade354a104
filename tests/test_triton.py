"""The Triton kernels compute what the reference loop does.

On a machine with a GPU the kernels run there; on any other Triton interprets them on the CPU
(conftest.py), where a program has tiles of at most 4 sequences and 8 units.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import (
    BR,
    GRU,
    LSTM,
    MGU,
    RHN,
    SGU,
    BaseRecurrentCell,
    IndRNN,
    IntersectionRNN,
    LightRU,
    LiGRU,
    Recurrent,
    RecurrentLayer,
    ResLSTM,
    backend,
    coRNN,
    sLSTM,
    tauGRU,
)
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine import Backend
from torchrecurrent.engine.gpu import load as triton_load
from torchrecurrent.engine.run.dispatch import explain
from torchrecurrent.engine.run.kernels import Fused, fused

from .making import LAYER_OPTIONS, assert_same, fitting, gradients, input_for, make
from .test_accuracy import LIMIT, nan_in_fresh_memory, ratios  # noqa: F401
from .test_engine import build, results
from .test_gaps import TIMED

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAYERS = list(map(layer_of, cells().values()))
PATHS: list[Backend] = ["reference", "triton"]
#: Cell by cell the options take turns.
CHOSEN = [(layer, LAYER_OPTIONS[k % len(LAYER_OPTIONS)]) for k, layer in enumerate(LAYERS)]

# NumPy, in which Triton interprets, says what IEEE's rules do silently.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


def check(layer: Any, input: Tensor, **call: Any) -> None:
    layer, input = layer.to(DEVICE), input.to(DEVICE)
    if "hx" in call:
        call["hx"] = tree_map(lambda state: state.to(DEVICE), call["hx"])
    expected = results(layer, input, "reference", **dict(call))
    found = results(layer, input, "triton", **dict(call))
    assert all(each.isfinite().all() for each in found)
    largest = max(float(each.abs().max()) for each in expected)
    # a thousand roundings of float64: sums of up to 5 * 5 terms in another order
    assert_same(found, expected, 1e-12 * max(1.0, largest))


def test_equals_the_reference(layer_class: type[RecurrentLayer]) -> None:
    layer = build(layer_class, 5, dtype=torch.float64)
    input = input_for(layer, 5, 3)
    with torch.no_grad():
        hx = layer(input)[1]
    check(layer, input, hx=hx)


def test_lengths_and_several_tiles(layer_class: type[RecurrentLayer]) -> None:
    """Five sequences and eleven units: neither fits into one program."""
    layer = build(layer_class, 11, dtype=torch.float64)
    check(layer, input_for(layer, 3, 5), lengths=[2, 1, 3, 1, 3])


@pytest.mark.parametrize(("layer_class", "options"), CHOSEN, ids=str)
def test_options(layer_class: type[RecurrentLayer], options: dict[str, Any]) -> None:
    layer = build(layer_class, 6, dtype=torch.float64, **fitting(layer_class, options))
    shape = (3, 4) if "batch_first" in options else (4, 3)
    check(layer, input_for(layer, *shape), lengths=[4, 1, 3])


def test_noise(layer_class: type[RecurrentLayer]) -> None:
    """Products of masked states, and states that stay, of sequences that end at different steps."""
    options = fitting(layer_class, {"recurrent_dropout": 0.4, "zoneout": 0.3})
    layer = build(layer_class, 9, dtype=torch.float64, **options)
    check(layer, input_for(layer, 2, 5))
    check(layer, input_for(layer, 3, 5), lengths=[3, 1, 2, 1, 3])


@pytest.mark.parametrize("name", TIMED)
def test_times_between_steps(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4).to(DEVICE)
    input, dt = input_for(layer, 5, 3).to(DEVICE), torch.rand(5, 3, dtype=torch.float64) + 0.1
    for lengths in (None, [5, 1, 3]):
        found = []
        for choice in PATHS:
            layer.zero_grad()
            leaves = [input.clone().requires_grad_(), dt.to(DEVICE).requires_grad_()]
            with backend(choice):
                output, state = layer(leaves[0], dt=leaves[1], lengths=lengths)
            grads = gradients(layer, output, state)
            found.append([output, state, *(leaf.grad for leaf in leaves), *grads.values()])
        # thousands of roundings of float64: gradients of weights are sums over all steps
        assert_same(found[0], found[1], 1e-11)


def test_without_gradients_the_same_comes_out(layer_class: type[RecurrentLayer]) -> None:
    layer = build(layer_class, 5, dtype=torch.float64).to(DEVICE)
    input = input_for(layer, 4, 3).to(DEVICE)
    with backend("triton"):
        expected = layer(input, lengths=[4, 2, 4])
        with torch.no_grad():
            found = layer(input, lengths=[4, 2, 4])
    assert_same(found, expected, 1e-14)  # BLAS may round a product otherwise at another address


NARROW = [
    (layer, dtype)
    for layer in (BR, IndRNN, LSTM, GRU, RHN, sLSTM, coRNN, tauGRU, ResLSTM)
    for dtype in (torch.float32, torch.bfloat16, torch.float16)
]


@pytest.mark.parametrize(("layer_class", "dtype"), NARROW, ids=str)
def test_as_accurate_as_the_reference(
    layer_class: type[RecurrentLayer], dtype: torch.dtype
) -> None:
    """The promise of test_accuracy.py, which says why the median of several draws decides."""
    draws = [ratios(layer_class, 6, 5, dtype, 0, "triton", DEVICE)]
    if max(draws[0].values()) > LIMIT:
        more = range(1, 9)
        draws += [ratios(layer_class, 6, 5, dtype, seed, "triton", DEVICE) for seed in more]
    medians = {name: median(draw[name] for draw in draws) for name in draws[0]}
    assert max(medians.values()) <= LIMIT, medians


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
@pytest.mark.parametrize("layer_class", [BR, LSTM, sLSTM, SGU, LightRU, LiGRU])
def test_nan_and_infinity_come_out_where_they_do(
    layer_class: type[RecurrentLayer], value: float
) -> None:
    layer = build(layer_class, 5).to(DEVICE)
    input = input_for(layer, 4, 3, dtype=torch.float32).to(DEVICE)
    input[1, 1, 0] = value
    with torch.no_grad(), backend("triton"):
        found = layer(input)[0]
    with torch.no_grad(), backend("reference"):
        expected = layer(input)[0]
    for test in (torch.isnan, torch.isposinf, torch.isneginf):
        assert torch.equal(test(found), test(expected))


@pytest.mark.parametrize("layer_class", [BR, MGU])
def test_calls_after_the_first_agree_with_it(layer_class: type[RecurrentLayer]) -> None:
    """On a GPU the second call is captured in a CUDA graph, and the third replays it."""
    layer = build(layer_class, 5, dtype=torch.float64)
    for seed in range(3):
        torch.manual_seed(seed)
        check(layer, input_for(layer, 9, 3))


def test_a_second_backward_through_the_same_graph() -> None:
    layer = build(MGU, 5, dtype=torch.float64).to(DEVICE)
    with backend("triton"):
        output, _ = layer(input_for(layer, 4, 2).to(DEVICE))
    gradients = []
    for _ in range(2):
        layer.zero_grad()
        output.square().sum().backward(retain_graph=True)
        gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    assert_same(
        gradients[0], gradients[1], 1e-14
    )  # BLAS may round a product otherwise at another address


@pytest.mark.parametrize("layer_class", [BR, LSTM])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_chooses_the_dtype_of_the_kernel(
    layer_class: type[RecurrentLayer], dtype: torch.dtype
) -> None:
    """As that of torch.nn.LSTM on a GPU: the same as if all tensors had it."""
    layer = build(layer_class, 5).to(DEVICE)
    input = input_for(layer, 4, 3, dtype=torch.float32).to(DEVICE)
    with backend("triton"):
        with torch.autocast(DEVICE, dtype):
            found = results(layer, input, "triton")
            assert f"in {dtype}" in layer.explain(input)
        assert {each.dtype for each in found} == {torch.float32}
        expected = results(layer.to(dtype), input.to(dtype), "triton")
    # gradients of the output are narrowed once more or not: some roundings of bfloat16's eight bits
    assert_same(found, [each.float() for each in expected], 0.05)
    assert torch.equal(found[0], expected[0].float())


def test_autocast_narrows_no_float64() -> None:
    layer = build(LSTM, 5, dtype=torch.float64).to(DEVICE)
    input = input_for(layer, 4, 3).to(DEVICE)
    with backend("triton"):
        expected = layer(input)[0]
        with torch.autocast(DEVICE, torch.bfloat16):
            assert torch.equal(layer(input)[0], expected)


def test_autocast_is_near_to_float32(layer_class: type[RecurrentLayer]) -> None:
    """As tests/test_autocast.py asks of the other paths, which says why so near."""
    layer = make(layer_class, dtype=torch.float32).to(DEVICE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    input = input_for(layer, 4, 2, dtype=torch.float32).to(DEVICE)
    with torch.no_grad(), backend("triton"):
        expected = layer(input)
        with torch.autocast(DEVICE, torch.bfloat16):
            assert_same(layer(input), expected, 0.15)


@pytest.mark.parametrize("layer_class", [BR, MGU, IntersectionRNN])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_operator_is_well_formed(layer_class: type[RecurrentLayer], dtype: torch.dtype) -> None:
    """Schema, gradient and fake tensors pass torch's checks for torch.compile."""
    layer = layer_class(4, 4, dtype=dtype, device=DEVICE)
    (cell,) = layer.cells
    assert isinstance(cell, BaseRecurrentCell)
    found = fused(cell)
    assert isinstance(found, Fused)
    key = found.key if DEVICE == "cuda" else found.by_triton().key
    data = torch.randn(6, 4, dtype=dtype, device=DEVICE)
    states = [data.new_ones(2, 4).requires_grad_() for _ in cell.state_names]
    for sequences, sizes in ((data.view(3, 2, 4), None), (data, torch.tensor([2, 2, 1, 1]))):
        arguments: Any = (key, sequences, sizes, list(cell.parameters()), states, [], True)
        checks = ("test_schema", "test_faketensor", "test_autograd_registration")
        torch.library.opcheck(torch.ops.torchrecurrent.sequence, arguments, test_utils=checks)


def test_one_step_of_a_cell() -> None:
    cell = build(tauGRU, 5, dtype=torch.float64).to(DEVICE).cells[0]
    input = input_for(cell, 3).to(DEVICE)
    with torch.no_grad():
        with backend("triton"):
            found = cell(input)
        with backend("reference"):
            assert_same(found, cell(input))


def test_explain_says_which_kernel_runs() -> None:
    x = torch.randn(4, 2, 3, device=DEVICE)
    with backend("triton"):
        assert "triton: one fused kernel runs" in BR(3, 5, device=DEVICE).explain(x)
        assert "triton: products and fused kernels" in LSTM(3, 5, device=DEVICE).explain(x)
        cell: Any = BR(3, 5).cells[0]
        assert explain(cell, x.to(torch.int32), None).startswith("reference: there is no kernel")


def test_where_triton_can_not_run_the_reference_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x, layer = torch.randn(4, 2, 3), BR(3, 5)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with backend("triton"):
        reason = "Triton kernels need a GPU or TRITON_INTERPRET=1, and this is 'cpu'"
        assert f"reference: {reason}" in layer.explain(x)
        with pytest.raises(RuntimeError, match="backend='triton' can't run BRCell: Triton kernels"):
            layer(x)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, "triton", None)
    triton_load._missing.cache_clear()
    try:
        with backend("triton"):
            assert "reference: Triton can't be imported" in layer.explain(x)
    finally:
        triton_load._missing.cache_clear()


def test_the_source_can_be_read() -> None:
    source = LSTM(3, 5).kernel_source(device="cuda")
    assert "@triton.jit" in source
    assert "tr_tanh" in source
    assert "tl.range(0, T, num_stages" in BR(3, 5).kernel_source(torch.bfloat16, "cuda")
    with pytest.raises(TypeError, match=r"there is no kernel for torch\.bfloat16"):
        BR(3, 5).kernel_source(torch.bfloat16)
    with pytest.raises(TypeError, match="kernels for 'cpu' and 'cuda', not for 'mps'"):
        BR(3, 5).kernel_source(device="mps")
    with pytest.raises(TypeError, match="tauGRUCell has no kernel: a delay of more"):
        tauGRU(3, 5, delay=33).kernel_source(device="cuda")


def test_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    """To machine code, by Triton's own assembler; and the loops over time load ahead."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.compile_triton", "UnICORNNCell", "MGUCell"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 6
    for dtype in ("float32", "float64", "bfloat16"):
        loop = found[f"UnICORNNCell torch.{dtype}"]
        assert loop["forward"] >= 6  # a load at each of the stages
        assert loop["backward"] >= 6
        steps = found[f"MGUCell torch.{dtype}"]
        assert set(steps) == {"forward U", "forward", "backward U", "backward"}
