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

from torchrecurrent.engine.triton_load import load_text

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Units in the last place, in float32: what was measured in the interpreter, two more for the
#: error of the GPU's exp2 and two for that of its division; and the function in torch.
FUNCTIONS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "exp": (2.2 + 2, torch.exp),
    "tanh": (1.9 + 4, torch.tanh),
    "sigmoid": (3.1 + 4, torch.sigmoid),
    "logsigmoid": (4.1 + 4, functional.logsigmoid),
    "softplus": (4.1 + 4, functional.softplus),
    "silu": (4.3 + 4, functional.silu),
    "elu": (2.5 + 4, functional.elu),
    "log": (3.5, torch.log),
    "sqrt": (0.5, torch.sqrt),
    "sin": (2, torch.sin),
    "cos": (2, torch.cos),
    "abs": (0, torch.abs),
    "sign": (0, torch.sign),
    "relu": (0, torch.relu),
    "leaky_relu": (1, functional.leaky_relu),
    "hardsigmoid": (2, functional.hardsigmoid),
}
#: gelu and normcdf cancel on the left, in torch too: their error is absolute, of one at size one.
ABSOLUTE: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "normcdf": torch.special.ndtr,
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


def values_of(name: str, x: Tensor) -> Tensor:
    text = (
        "import triton\nimport triton.language as tl\n"
        f"from torchrecurrent.engine.triton_math import tr_{name}\n\n\n"
        "@triton.jit\ndef values(p0, p1, N, BLOCK: tl.constexpr):\n"
        "    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
        f"    tl.store(p1 + i, tr_{name}(tl.load(p0 + i, i < N, other=0.0)), i < N)\n"
    )
    y = torch.full_like(x, 7)
    load_text(text)["values"][(-(-x.numel() // 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


def points(dtype: torch.dtype) -> Tensor:
    """Of every size, where no result is a denormal, and exp does not overflow."""
    spread = [torch.randn(3000, dtype=dtype) * size for size in (1e-3, 0.1, 0.5, 1, 5, 20)]
    return torch.cat([*spread, torch.linspace(-80, 88, 2000, dtype=dtype)]).clamp(-80, 88)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_in_units_of_the_last_place(name: str, dtype: torch.dtype) -> None:
    limit, function = FUNCTIONS[name]
    x = points(dtype)
    x = x.abs() if name in ("log", "sqrt") else x
    exact = function(x.double())
    tiny = torch.finfo(dtype).tiny
    unit = torch.exp2(exact.abs().clamp_min(tiny).log2().floor()) * torch.finfo(dtype).eps
    errors = (values_of(name, x.to(DEVICE)).cpu().double() - exact).abs() / unit
    # in float64 torch's own are the yardstick, and as far off as ours
    assert float(errors.max()) <= limit + (2 if dtype == torch.float64 else 0)


@pytest.mark.parametrize("name", ABSOLUTE)
def test_errors_of_what_cancels(name: str) -> None:
    x = points(torch.float32).clamp(-10, 10)
    exact = ABSOLUTE[name](x.double())
    errors = (values_of(name, x.to(DEVICE)).cpu().double() - exact).abs() / (1 + x.abs())
    assert float(errors.max()) <= 2 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [*FUNCTIONS, "normcdf"])
def test_nan_infinities_and_zeros_are_as_in_torch(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor(SPECIAL, dtype=dtype)
    function = ABSOLUTE["normcdf"] if name == "normcdf" else FUNCTIONS[name][1]
    expected = function(x)
    found = values_of(name, x.to(DEVICE)).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)
    if name in ("tanh", "relu", "elu", "silu", "leaky_relu"):
        assert torch.equal(torch.signbit(found[3:]), torch.signbit(expected[3:]))
