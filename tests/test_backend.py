"""Which path runs, what it says of itself, and what happens where a kernel can't run."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    BR,
    LSTM,
    MGU,
    BaseRecurrentCell,
    IntersectionRNN,
    LSTMCell,
    Recurrent,
    RecurrentLayer,
    backend,
    tauGRU,
)
from torchrecurrent.engine import Backend
from torchrecurrent.engine.run import torch_private
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.roles import Gate, Input, Map, State

from .making import assert_same, input_for, randomize
from .processes import status_of_child

PATHS: tuple[Backend, ...] = ("c", "reference")


def test_what_cannot_be_fused_runs_the_reference_and_says_so() -> None:
    class OddCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return torch.digamma(n)

    class OverridingCell(LSTMCell):
        def update(self, inputs: Any, states: Any, kernels: Any) -> Any:
            return super().update(inputs, states, kernels)

    class BranchingCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return torch.tanh(n) if n.sum() > 0 else n

    class SteepCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return torch.nn.functional.softplus(n, 2.0, 5.0)

    class WideningCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, x: Input, n: Gate) -> Tensor:
            return torch.tanh(n + x)

    x = torch.randn(4, 2, 3)
    cases: list[tuple[Any, str]] = [
        (Recurrent(OddCell, 3, 5), "the function 'digamma' has no rule"),
        (Recurrent(BranchingCell, 3, 5), "the tensor attribute 'sum' has no rule"),
        (Recurrent(SteepCell, 3, 5), "call of 'softplus': threshold should be 20, got 5.0"),
        (Recurrent(OverridingCell, 3, 5), "OverridingCell overrides update"),
        (Recurrent(torch.nn.LSTMCell, 3, 5), "a module without a declared step"),
        (tauGRU(3, 5, delay=33), "a delay of more than 32 steps has no kernel"),
    ]
    for layer, reason in cases:
        assert reason in layer.explain(x)
        assert layer(x)[0].isfinite().all()
        with backend("c"), pytest.raises(RuntimeError, match="backend='c' can't run"):
            layer(x)
    wide = Recurrent(WideningCell, 1, 5)
    assert "'add' joins values of the widths 1 and 5" in wide.explain(x[..., :1])
    assert wide(x[..., :1])[0].shape == (4, 2, 5)
    with backend("reference"):
        assert "the backend 'reference' was chosen" in BR(3, 5).explain(x)
    with pytest.raises(ValueError, match="backend should be one of"), backend("cuda"):  # type: ignore[arg-type]
        pass


# torch's own forward-mode formulas are scripted
@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # the category differs between releases
def test_transformations_of_torch() -> None:
    layer = randomize(LSTM(3, 5, dtype=torch.float64))
    x = input_for(layer, 4, 2)
    each = torch.func.vmap(lambda one: layer(one)[0], in_dims=1, out_dims=1)(x)  # unbatched
    assert_same(each, layer(x)[0])
    _, tangent, *_ = torch.func.jvp(lambda one: layer(one)[0], (x,), (torch.ones_like(x),))
    step = 1e-6
    difference = (layer(x + step)[0] - layer(x - step)[0]) / (2 * step)
    assert_same(tangent, difference, 1e-7)  # the difference's own error is of order step ** 2


def test_a_torch_that_hides_what_it_must_tell_runs_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_private, "missing", "torch._C has no attribute '_dispatch_keys'")
    layer, x = BR(3, 5), torch.randn(4, 2, 3)
    assert "reference: this version of torch hides what a kernel has to know" in layer.explain(x)
    with backend("reference"):
        expected = layer(x)
    assert_same(layer(x), expected, 0)


def test_a_cell_with_a_forward_of_its_own_is_called_step_by_step() -> None:
    class LoudCell(LSTMCell):
        def forward(self, input: Tensor, hx: Any = None, **_: Any) -> Any:
            calls.append(input.shape)
            return super().forward(input, hx)

    calls: list[Any] = []
    layer = Recurrent(LoudCell, 3, 5)
    x = torch.randn(4, 2, 3)
    assert "reference: LoudCell overrides forward" in layer.explain(x)
    with torch.no_grad():
        layer(x)
    assert calls == [(2, 3)] * 4


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_scripting_is_refused_in_a_sentence() -> None:
    for module in (LSTM(3, 5), LSTMCell(3, 5)):
        with pytest.raises(RuntimeError, match=r"can't be scripted; use torch.jit.trace"):
            torch.jit.script(module)


def test_importing_the_package_is_quick_and_quiet() -> None:
    """Nothing that torch itself has not imported comes with it, and nothing is said."""
    code = (
        "import sys, torch\n"
        "sys.modules['numpy'] = None\n"  # as where it is missing
        "before = set(sys.modules)\n"
        "import torchrecurrent\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert new <= {'torchrecurrent', *sys.stdlib_module_names}, new\n"
        "from torchrecurrent import LSTM\n"
        "LSTM(3, 5)(torch.randn(4, 2, 3), lengths=[2, 4])\n"
        "heavy = ['torch._dynamo', 'sympy', 'triton', 'torch._inductor']\n"
        "found = [name for name in heavy if name in sys.modules and name not in before]\n"
        "assert not found, found\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(4, 2, 3)
    monkeypatch.setenv("TORCHRECURRENT_BACKEND", "reference")
    assert "reference: the backend" in BR(3, 5).explain(x)
    monkeypatch.setenv("TORCHRECURRENT_BACKEND", "fast")
    with pytest.raises(ValueError, match="backend should be one of"):
        BR(3, 5)(x)


def test_a_map_that_passes_no_gradient_gets_none() -> None:
    class GatekeeperCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate, U: Map) -> Tensor:
            return torch.where(U(h) > 0, n, h)

    layer = randomize(Recurrent(GatekeeperCell, 3, 5, dtype=torch.float64))
    x, found = input_for(layer, 6, 2), []
    for path in PATHS:
        layer.zero_grad()
        with backend(path):
            layer(x)[0].square().sum().backward()
        parameters = dict(layer.cells[0].named_parameters())
        found.append([torch.zeros(()) if p.grad is None else p.grad for p in parameters.values()])
    assert_same(found[0], found[1])


def test_a_cell_without_parameters_runs_fused() -> None:
    class BareCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, x: Input) -> Tensor:
            return torch.tanh(0.5 * h + x)

    layer = Recurrent(BareCell, 3, 3)
    x, found = torch.randn(4, 2, 3, dtype=torch.float64), []
    assert ": c: " in layer.explain(x)
    for path in PATHS:
        leaf = x.clone().requires_grad_()
        with backend(path):
            output = layer(leaf)[0]
        output.sin().sum().backward()
        found.append([output.detach(), leaf.grad])
    assert_same(found[0], found[1])


def test_a_changed_option_gets_its_own_kernel() -> None:
    layer: Any = randomize(Recurrent(MGU.cell, 3, 5, dtype=torch.float64))
    x = input_for(layer, 4, 2)
    before = layer(x)[0]
    layer.cells[0].nonlinearity = "relu"
    assert not torch.equal(layer(x)[0], before)
    with backend("reference"):
        expected = layer(x)[0]
    assert_same(layer(x)[0], expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_runs_the_parents_kernel() -> None:
    layer = LSTM(3, 64)
    x = torch.randn(50, 32, 3)
    expected = layer(x)[0].detach()

    def same() -> bool:
        with torch.no_grad():
            return torch.equal(layer(x)[0], expected)

    assert status_of_child(same) == 0


def test_the_source_can_be_read() -> None:
    source = LSTM(3, 5).kernel_source()
    assert "void forward(" in source
    assert "void backward(" in source
    assert "tr_tanh" in source
    with pytest.raises(TypeError, match="tauGRUCell has no kernel: a delay of more"):
        tauGRU(3, 5, delay=33).kernel_source()


def test_where_as_a_method_of_a_value() -> None:
    """The condition is its first argument, where the function has the value second."""

    class SelectingCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return torch.tanh(n).where(n > 0.1, 0.5 * h)

    layer = randomize(Recurrent(SelectingCell, 3, 5, dtype=torch.float64))
    x, found = input_for(layer, 6, 2), []
    for path in PATHS:
        with backend(path):
            found.append(layer(x))
    assert_same(found[0], found[1])


def test_without_a_compiler_one_warning_and_the_reference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler")
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", str(tmp_path))  # nor a kernel made before
    layer = LSTM(3, 41)  # of a size for which this process has no kernel yet
    x = torch.randn(4, 2, 3)
    with pytest.warns(UserWarning, match="runs without fused kernels: CC is '/no/such/compiler'"):
        output = layer(x)[0]
    assert_same(layer(x)[0], output, 0)  # and no second warning
    assert "no kernel could be compiled: CC is" in layer.explain(x)
    with backend("c"), pytest.raises(RuntimeError, match="can't run LSTMCell: no kernel could"):
        layer(x)


@pytest.mark.parametrize("kind", [LSTM, MGU, IntersectionRNN], ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch 2.14 looks at that of a copy
def test_the_operator_is_well_formed(kind: type[RecurrentLayer]) -> None:
    """Schema, gradient, fake tensors and dynamic shapes, as torch checks them."""
    layer = kind(4, 4)
    data = torch.randn(6, 4)
    with torch.no_grad():
        layer(data.view(3, 2, 4))
    (cell,) = layer.cells
    assert isinstance(cell, BaseRecurrentCell)
    found = fused(cell)
    assert isinstance(found, Fused)
    weights = list(cell.parameters())
    states = [torch.randn(2, 4, requires_grad=True) for _ in cell.state_names]
    for sequences, sizes in ((data.view(3, 2, 4), None), (data, torch.tensor([2, 2, 1, 1]))):
        arguments: Any = (found.key, sequences, sizes, weights, states, [], True)
        torch.library.opcheck(torch.ops.torchrecurrent.sequence, arguments)


def test_eight_threads_in_one_process() -> None:
    layer = LSTM(8, 64)
    x = torch.randn(60, 32, 8)
    with torch.no_grad():
        expected = layer(x)[0]

    def work(_: int) -> bool:
        with torch.no_grad():
            return all(torch.equal(layer(x)[0], expected) for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
