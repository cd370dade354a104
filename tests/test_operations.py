"""Every operation, in every way in which a step may spell it: kernels, gradients, equations.

The tests read the rows of the table. A new one is tested as it stands if its arguments are tensors;
if torch's function takes numbers, or has options, ``CALLS`` of :mod:`.spellings` says with which.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.engine import Backend
from torchrecurrent.engine.cpu.math import source_file
from torchrecurrent.engine.gpu import math as triton_math
from torchrecurrent.engine.ir.operation import Operation
from torchrecurrent.engine.ir.operations import FUNCTIONS, OPERATIONS
from torchrecurrent.engine.ir.trace import UntraceableError
from torchrecurrent.engine.program.build import make_plan
from torchrecurrent.equations import latex
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Constant, Gate, Scalar, State, Vector
from torchrecurrent.term import symbol
from torchrecurrent.terms import OPERATORS

from .latex import Evaluator
from .making import assert_same, randomize
from .spellings import EVERY, GROUP, PYTHON, ROWS, source
from .test_engine import results

# NumPy, in which Triton interprets, says what IEEE's rules do silently.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The cells, in a file: their equations are read from their source."""
    path: Path = tmp_path_factory.mktemp("operations") / "operations_spelled.py"
    path.write_text(source(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _spelled(module: ModuleType, k: int) -> list[Any]:
    return [getattr(module, f"Call{k}Spelling{j}") for j in range(len(EVERY[k].spellings()))]


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_row_is_complete(row: Operation) -> None:
    """It is torch's, and every kernel can compute it."""
    assert row.name in dir(torch) or row.name in dir(torch.nn.functional) or row.name in dir(Tensor)
    assert all(FUNCTIONS[name] is row for name in (row.name, *row.aliases))
    assert row.binds in range(4)
    if OPERATIONS.get(row.name) is not row:
        assert row.means is not None
        assert (row.gradient, row.c, row.triton) == (None, "", "")
        return
    places = set(range(len(row.takes)))
    assert {row.receiver, *row.conditions, *(k for group in row.linear for k in group)} <= places
    args = [f"argument{k}" for k in places]
    for text, where in (
        (row.text(args), source_file("math.h")),
        (row.text(args, triton=True), inspect.getsource(triton_math)),
    ):
        assert all(arg in text for arg in args)
        for function in re.findall(r"\btr_\w+", text):
            assert f" {function}(" in where


def test_python_can_spell_what_the_printer_knows() -> None:
    assert {*OPERATORS.values(), "abs"} == PYTHON.keys()


@pytest.mark.parametrize("k", range(len(EVERY)), ids=list(map(str, EVERY)))
def test_all_spellings_are_one(written: ModuleType, k: int) -> None:
    """For tensors, as a graph, and printed."""
    first, *others = _spelled(written, k)
    tensors = torch.randn(3, 40, dtype=torch.float64)
    expected, nodes = first.step(*tensors)[0], make_plan(first(4, 4, device="meta")).graph.nodes
    for other in others:
        torch.testing.assert_close(
            other.step(*tensors)[0], expected, rtol=0, atol=0, equal_nan=True
        )
        assert make_plan(other(4, 4, device="meta")).graph.nodes == nodes
        assert latex(other) == latex(first)


@pytest.mark.parametrize("k", range(len(EVERY)), ids=list(map(str, EVERY)))
def test_what_is_printed_means_the_step(written: ModuleType, k: int) -> None:
    cell = _spelled(written, k)[0]
    h, s, x = torch.randn(3, 40, dtype=torch.float64)
    expected = cell.step(h, s, x)[0]
    names = {symbol("h", "t-1"): h, symbol("s", "t-1"): s, symbol("x", "t"): x}
    evaluator = Evaluator(names, {})
    for line in latex(cell):
        evaluator.run(line)
    found = torch.as_tensor(evaluator.values.get(symbol("h", "t"), h), dtype=torch.float64)
    torch.testing.assert_close(found.expand(40), expected, rtol=1e-12, atol=0, equal_nan=True)


WIDTH = 8
#: Where functions bend, saturate, or have no value.
SPECIAL = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 10.0, 20.0, 40.0, 100.0, 1e4, 1e-8, math.inf]
#: Points that are left out, and why.
ODD: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    # at two equal bounds torch passes the gradient to neither
    "clamp(x, min=h, max=s)": lambda x, h, s: h == s,
    # the formula that torch does not take has inf - inf
    "lerp(x, h, s)": lambda x, h, s: ~(x + h + s).isfinite(),
    # the root is NaN, and torch's gradient of it is 0
    "pow(x, -0.5)": lambda x, h, s: x == -math.inf,
    # the error of a power grows with the exponent
    "pow(x, h)": lambda x, h, s: h.abs() > 100,
    # builds of torch with oneDNN have NaN in float32
    "gelu(x)": lambda x, h, s: x == math.inf,
}
#: In terms of the larger of 1 and the value: of float64 a thousand roundings and more, as Triton's
#: logarithm counts |p log x| times in a power; of float32 thirty. torch rounds the slope 1 / 6 of
#: hardsigmoid to float32.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 4e-6}
ROUNDED = {"hardsigmoid(x)": 1e-7}


def _points(dtype: torch.dtype, few: bool) -> tuple[Tensor, ...]:
    """Three tensors (1, N, WIDTH) with each special number beside itself and beside others."""
    special = torch.tensor([*SPECIAL, *(-each for each in SPECIAL), math.nan])
    generator = torch.Generator().manual_seed(0)
    count = 2 if few else 60
    more = torch.cat([torch.randn(count, generator=generator) * size for size in (0.1, 1, 5)])
    x = torch.cat([special, special, more])
    h = torch.cat([special, torch.cat([special, more])[torch.randperm(x.numel() - len(special))]])
    s = torch.where(torch.rand(x.numel(), generator=generator) < 0.1, h, x.flip(0))
    count = x.numel() // WIDTH * WIDTH
    return tuple(each[:count].to(dtype).view(1, -1, WIDTH) for each in (x, h, s))


@cache
def _results(group: Any, path: Backend, dtype: torch.dtype, few: bool) -> dict[str, list[Tensor]]:
    """The points, the value, and the gradients of x, h and s for each call of a group."""
    start = int(group.__name__.removeprefix("Group"))
    calls = EVERY[start : start + GROUP]
    layer = Recurrent(group, WIDTH, WIDTH, dtype=dtype)
    torch.manual_seed(0)
    points = _points(dtype, few)
    leaves = [each.clone().requires_grad_() for _ in calls for each in points]
    zero = torch.zeros_like(points[0])
    with backend(path):
        values = layer(zero, (zero, *leaves))[1][1::3]
    passing = [value for value in values if value.requires_grad]
    weight = torch.linspace(0.5, 1.5, WIDTH, dtype=dtype).expand_as(zero)
    gradients = torch.autograd.grad(
        passing, leaves, [weight] * len(passing), materialize_grads=True
    )
    return {
        str(call): [*points, values[k].detach(), *gradients[3 * k : 3 * k + 3]]
        for k, call in enumerate(calls)
    }


@pytest.mark.parametrize("path", ["c", "triton"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("k", range(len(EVERY)), ids=list(map(str, EVERY)))
def test_a_kernel_computes_it(
    written: ModuleType, k: int, dtype: torch.dtype, path: Backend
) -> None:
    """Value and gradients are those of the reference loop, at kinks and at infinities too."""
    if path == "triton":
        pytest.importorskip("triton", reason="there is no Triton for this platform")
    call, few = str(EVERY[k]), path == "triton"
    group = getattr(written, f"Group{k // GROUP * GROUP}")
    x, h, s, *expected = _results(group, "reference", dtype, few)[call]
    *_, value, dx, dh, ds = _results(group, path, dtype, few)[call]
    compared = ~ODD[call](x, h, s) if call in ODD else torch.ones_like(x, dtype=torch.bool)
    finite = compared & ~(x + h + s).isnan()  # what is NaN has no slope
    limit = max(TOLERANCE[dtype], ROUNDED.get(call, 0))
    for found, wanted in zip((value, dx, dh, ds), expected, strict=True):
        close = (found - wanted).abs() <= limit * wanted.abs().clamp_min(1)
        same = close | (found == wanted) | (found.isnan() & wanted.isnan())
        assert same[compared if found is value else finite].all()


class _Numbers(BaseRecurrentCell):
    """Numbers that a kernel is given, where torch has options, and comparisons of such."""

    alpha: float = 0.7
    gain_init: float = 0.3
    vector_kernel_init: Initializer = "normal"

    @staticmethod
    def step(h: State, n: Gate, v: Vector, gain: Scalar, alpha: Constant) -> Tensor:
        size = 0.5 + n.abs()
        power = size**gain + size ** (1 + alpha) + alpha**n
        bounded = n.clamp(min=v) + functional.elu(n, alpha=alpha) + torch.lerp(h, n, alpha)
        masked = torch.where((n > 0) & (alpha * alpha > gain), n, alpha) * (v > 0)
        return torch.tanh(power + bounded + masked)


@pytest.mark.parametrize("path", ["c", "triton"])
def test_numbers_of_a_cell_may_be_options_of_functions(path: Backend) -> None:
    if path == "triton":
        pytest.importorskip("triton", reason="there is no Triton for this platform")
    layer = randomize(Recurrent(_Numbers, 3, 9, dtype=torch.float64))
    input = torch.randn(4, 2, 3, dtype=torch.float64)
    assert_same(results(layer, input, path), results(layer, input, "reference"))


class _Choosing(BaseRecurrentCell):
    alpha: float = 0.7

    @staticmethod
    def step(h: State, n: Gate, alpha: Constant) -> Tensor:
        return torch.where((n > 0) & ~(torch.full_like(n, alpha) > 1), n, h * alpha)


def test_a_comparison_of_numbers_joins_others() -> None:
    pytest.importorskip("triton", reason="there is no Triton for this platform")
    layer = randomize(Recurrent(_Choosing, 3, 9, dtype=torch.float64))
    input = torch.randn(4, 2, 3, dtype=torch.float64)
    assert_same(results(layer, input, "triton"), results(layer, input, "reference"))


def test_what_torch_refuses_has_no_kernel() -> None:
    """A method that tensors lack, arithmetic of comparisons, a number where a comparison is due."""

    class Method(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return n.gelu()  # type: ignore[attr-defined, no-any-return]

    class Sum(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return n - (n > 0)

    class Condition(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return torch.where(n, n, h)

    class Inplace(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return functional.relu(n, inplace=True)

    for kind, message in (
        (Method, "the tensor attribute 'gelu' has no rule"),
        (Sum, "'sub' takes a number, not a comparison"),
        (Condition, "'where' takes a comparison, not a number"),
        (Inplace, "no rule covers this call of 'relu': it would change its input"),
    ):
        with pytest.raises(UntraceableError, match=message):
            make_plan(kind(3, 4))
