"""The elementary functions of the Triton kernels against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent.engine.gpu.load import load_text

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Units in the last place, in float32: what was measured in the interpreter, two more for the
#: error of the GPU's exp2 and two for that of its division; and the function in torch.
FUNCTIONS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "exp": (2.2 + 2, torch.exp),
    "tanh": (1.9 + 4, torch.tanh),
    "sigmoid": (3.1 + 4, torch.sigmoid),
    "logsigmoid": (4.1 + 4, functional.logsigmoid),
    "softplus": (4.1 + 4, functional.softplus),
    "expm1": (2.8 + 4, torch.expm1),
    "log1p": (2.5 + 4, torch.log1p),
    "log": (3.5, torch.log),
    "sqrt": (0.5, torch.sqrt),
    "sin": (2, torch.sin),
    "cos": (2, torch.cos),
    "abs": (0, torch.abs),
    "sign": (0, torch.sign),
    "relu": (0, torch.relu),
    "floor": (0, torch.floor),
    "erf": (2, torch.erf),
}
SPECIAL = [torch.nan, torch.inf, -torch.inf, 0.0, -0.0]

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")


@pytest.fixture(autouse=True)
def fma_with_one_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the GPU has it; the interpreter rounds the product too."""
    from triton.runtime import interpreter

    def fused(self: Any, x: Any, y: Any, z: Any) -> Any:
        a, b, c = (each.data.astype(np.float64) for each in (x, y, z))
        return interpreter.TensorHandle((a * b + c).astype(x.data.dtype), x.dtype)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_fma", fused)


def values_of(name: str, x: Tensor, *others: Tensor) -> Tensor:
    tensors = (x, *others)
    names = ", ".join(f"p{k}" for k in range(len(tensors)))
    loads = ", ".join(f"tl.load(p{k} + i, i < N, other=1.0)" for k in range(len(tensors)))
    text = (
        "import triton\nimport triton.language as tl\n"
        f"from torchrecurrent.engine.gpu.math import tr_{name}\n\n\n"
        f"@triton.jit\ndef values(y, {names}, N, BLOCK: tl.constexpr):\n"
        "    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
        f"    tl.store(y + i, tr_{name}({loads}), i < N)\n"
    )
    y = torch.full_like(x, 7)
    load_text(text)["values"][(-(-x.numel() // 1024),)](y, *tensors, x.numel(), BLOCK=1024)
    return y


def points(dtype: torch.dtype) -> Tensor:
    """Points of every size for which no result is a denormal and exp does not overflow."""
    spread = [torch.randn(3000, dtype=dtype) * size for size in (1e-3, 0.1, 0.5, 1, 5, 20)]
    return torch.cat([*spread, torch.linspace(-80, 88, 2000, dtype=dtype)]).clamp(-80, 88)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_in_units_of_the_last_place(name: str, dtype: torch.dtype) -> None:
    limit, function = FUNCTIONS[name]
    x = points(dtype)
    x = x.abs() if name in ("log", "sqrt") else x.clamp_min(-0.99) if name == "log1p" else x
    exact = function(x.double())
    tiny = torch.finfo(dtype).tiny
    unit = torch.exp2(exact.abs().clamp_min(tiny).log2().floor()) * torch.finfo(dtype).eps
    errors = (values_of(name, x.to(DEVICE)).cpu().double() - exact).abs() / unit
    # in float64 torch's own are the yardstick, and as far off as ours
    assert float(errors.max()) <= limit + (2 if dtype == torch.float64 else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("exponent", [0.25, 1.7, 5, -11, 30.1])
def test_errors_of_pow(exponent: float, dtype: torch.dtype) -> None:
    """In float32 one rounding; in float64 that of the logarithm |p log x| times, and 2 of exp."""
    x = points(dtype)
    x = x[x.abs() > 0.5]
    p = torch.full_like(x, exponent)
    found, exact = values_of("pow", x.to(DEVICE), p.to(DEVICE)).cpu(), x.double() ** p.double()
    finite = exact.abs().float().isfinite() & (exact.abs() > torch.finfo(dtype).tiny)
    times = 1 + (dtype == torch.float64) * (2 + (exponent * x.abs().log()).abs())
    errors = (found.double() / exact - 1).abs() / torch.finfo(dtype).eps / times
    assert float(errors[finite].max()) <= 1
    assert torch.equal(found.isnan(), exact.isnan())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_special_powers(dtype: torch.dtype) -> None:
    one = torch.tensor([*SPECIAL, 1.0, -1.0, 2.0, -3.0, 0.5, -2.5], dtype=dtype)
    x, p = (each.flatten() for each in torch.meshgrid(one, one, indexing="ij"))
    found, expected = values_of("pow", x.to(DEVICE), p.to(DEVICE)).cpu(), x**p
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)
    number = ~expected.isnan()
    assert torch.equal(torch.signbit(found[number]), torch.signbit(expected[number]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_infinities_and_zeros_are_as_in_torch(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor(SPECIAL, dtype=dtype)
    expected = FUNCTIONS[name][1](x)
    found = values_of(name, x.to(DEVICE)).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)
    if name in ("tanh", "relu", "expm1", "log1p", "erf", "floor"):
        assert torch.equal(torch.signbit(found[3:]), torch.signbit(expected[3:]))
