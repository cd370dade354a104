"""The elementary functions of the generated C: errors, special values, vectorisation."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from torchrecurrent import MogrifierLSTM
from torchrecurrent.engine.cpu.math import prelude
from torchrecurrent.engine.ir.operations import OPERATIONS

Array = NDArray[Any]
Real = Literal["float", "double"]

COMPILER = shutil.which("gcc") or shutil.which("cc") or "gcc"
FLAGS = ("-O3", "-std=c11", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra")
#: What the engine uses, where the compiler fuses what it can; and the oldest machine of this
#: kind (on x86 without a fused multiply-add), where it fuses nothing.
TARGETS = {"native": ("-march=native", "-ffp-contract=fast"), "oldest": ("-ffp-contract=off",)}
REALS: tuple[Real, ...] = ("float", "double")
DTYPES: dict[Real, Any] = {"float": np.float32, "double": np.float64}
#: Where long double is double, the reference for double has an error of its own.
SLACK = 0 if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 100 else 1

TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "logsigmoid": functional.logsigmoid,
    "softplus": functional.softplus,
    "expm1": torch.expm1,
    "log1p": torch.log1p,
    "erf": torch.erf,
    "relu": torch.relu,
    "sin": torch.sin,
    "cos": torch.cos,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
}
PAIRS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": torch.maximum,
    "min": torch.minimum,
    "pow": torch.pow,
}
LIBM = ("sin", "cos")


def _decay(x: Array) -> Array:
    return np.exp(-np.abs(x))


def _sigmoid(x: Array) -> Array:
    return cast(Array, np.where(x >= 0, 1, _decay(x)) / (1 + _decay(x)))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(_decay(x))


#: The exact function and the bound in ulp. An operation rounds by at most 0.5 ulp, of a value
#: whose ulp may be up to twice as large, relative to it, as that of the result.
BOUNDS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "exp": (np.exp, 1.5),  # the sum 1 + p rounds by 0.5; r and p, a third of it, by 0.5
    "log": (np.log, 1.5),  # the last sum rounds by 0.5, what it adds by less than that
    "expm1": (np.expm1, 2.5),  # its last sum is of up to half of the sum's size, and may cancel
    "log1p": (np.log1p, 2),  # log by 1, the sum by 0.5 and what it adds by less than that
    "erf": (np.vectorize(math.erf, otypes=[np.float64]), 1.5),  # its last sum by up to 1
    "tanh": (np.tanh, 3),  # expm1 by 1, the sum and the quotient by up to 1 each
    "sigmoid": (_sigmoid, 2),  # exp by 1 and a sum by 0.5; the quotient counts half
    "logsigmoid": (lambda x: -_softplus(-x), 2),  # exp by 1, log1p by 1
    "softplus": (lambda x: np.where(x > 20, x, _softplus(x)), 2),  # the same
    "sin": (np.sin, 1),  # libm
    "cos": (np.cos, 1),
    "sqrt": (np.sqrt, 0.501),  # the processor's, correctly rounded, which torch's is not
}


def _source(real: Real) -> str:
    """A kernel for each function, one line each."""
    lines = [
        f"void loop_{f}(const real *restrict x, real *restrict y, int64_t n)"
        f" {{ for (int64_t i = 0; i < n; i++) y[i] = tr_{f}(x[i]); }}"
        for f in TORCH
    ] + [
        f"void loop_{f}(const real *restrict a, const real *restrict b, real *restrict y,"
        f" int64_t n) {{ for (int64_t i = 0; i < n; i++) y[i] = tr_{f}(a[i], b[i]); }}"
        for f in PAIRS
    ]
    return "\n".join([prelude(real), *lines, ""])


class Kernels:
    """The compiled loops of one type for one target."""

    def __init__(self, real: Real, target: str, folder: Path) -> None:
        self.real = real
        self.source = _source(real)
        self.path = folder / f"{real}_{target}.so"
        code = self.path.with_suffix(".c")
        code.write_text(self.source)
        gcc = "-fopt-info-vec-optimized"
        command = [COMPILER, *FLAGS, *TARGETS[target], *([gcc] if is_gcc() else [])]
        command += ["-shared", "-fPIC", str(code), "-o", str(self.path), "-lm"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    @cached_property
    def report(self) -> str:
        """The compiler's messages; waits for its end."""
        text: str = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, text
        return text

    def __call__(self, name: str, *inputs: Array) -> Array:
        output = np.empty_like(inputs[0])
        assert all(x.dtype == DTYPES[self.real] and x.flags.c_contiguous for x in inputs)
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (*inputs, output)]
        loop = getattr(ctypes.CDLL(str(self.path)), f"loop_{name}")
        loop(*arrays, ctypes.c_int64(output.size))
        return output


@cache
def is_gcc() -> bool:
    text = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return "Free Software Foundation" in text.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Kernels]:
    folder = tmp_path_factory.mktemp("c_math")
    kernels: dict[tuple[str, str], Kernels] = {
        (r, t): Kernels(r, t, folder) for r in REALS for t in TARGETS
    }
    for each in kernels.values():  # all compilers run by now
        assert "warning" not in each.report
    return kernels


@pytest.fixture(params=[(r, t) for r in REALS for t in TARGETS], ids="-".join)
def kernels(request: pytest.FixtureRequest, built: dict[tuple[str, str], Kernels]) -> Kernels:
    return built[request.param]


@cache
def _grid(real: Real) -> Array:
    """Both signs of every exponent, denormals too; densely where functions bend or saturate."""
    random, info = np.random.default_rng(0), np.finfo(DTYPES[real])
    exponents = np.arange(info.minexp - info.nmant, info.maxexp)
    each = np.ldexp(random.uniform(1, 2, (60, exponents.size)), exponents).ravel()
    edges = [float(np.log(info.max)), -float(np.log(info.tiny)), 20.0, 9.0, 0.5, 1.0]
    near = [edge * (1 + random.uniform(-1e-6, 1e-6, 200)) for edge in edges]
    spread = [random.uniform(0, width, 40000) for width in (0.5, 1, 2, 5, 10, 25, 110, 760)]
    values = np.concatenate([each, *near, *spread]).astype(info.dtype)
    values = values[np.isfinite(values)]
    return np.concatenate([values, -values])


@cache
def _exact(name: str, real: Real) -> Array:
    wide: Any = np.float64 if real == "float" else np.longdouble
    with np.errstate(all="ignore"):
        return BOUNDS[name][0](_grid(real).astype(wide))


def _ulps(actual: Array, exact: Array) -> Array:
    """The errors, in units of the last place that the result's type has at the exact value."""
    info = np.finfo(actual.dtype)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(exact)[1] - 1, info.minexp) - info.nmant
        errors = np.abs(actual - exact) / np.ldexp(exact.dtype.type(1), exponent)
        rounded = exact.astype(actual.dtype)
    same = (actual == rounded) | (np.isnan(actual) & np.isnan(exact))
    return np.where(same & ~np.isfinite(rounded), 0, errors)


def _same_signs(actual: Array, expected: Array) -> None:
    number = ~np.isnan(expected)
    assert np.array_equal(np.signbit(actual[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", BOUNDS)
def test_error(name: str, kernels: Kernels) -> None:
    x, bound = _grid(kernels.real), BOUNDS[name][1]
    errors = _ulps(kernels(name, x), _exact(name, kernels.real))
    worst = np.max(np.where(np.isnan(errors), np.inf, errors))
    assert worst <= bound + (SLACK if kernels.real == "double" else 0)


@pytest.mark.parametrize("exponent", [0.25, -0.7, 1.7, 5, -11, 100.5])
def test_error_of_pow(exponent: float, kernels: Kernels) -> None:
    """It is 1 of exp, 0.5 of the last product, and |p| times the logarithm's own error."""
    x = np.ascontiguousarray(_grid(kernels.real)[::5])
    p = np.full_like(x, exponent)
    wide: Any = np.float64 if kernels.real == "float" else np.longdouble
    with np.errstate(all="ignore"):
        errors = _ulps(kernels("pow", x, p), np.power(x.astype(wide), p.astype(wide)))
    assert np.max(np.where(np.isnan(errors), np.inf, errors)) <= 2 + abs(exponent) / 10


@pytest.mark.parametrize("name", ["relu", "abs", "sign", "floor"])
def test_exact(name: str, kernels: Kernels) -> None:
    x = _grid(kernels.real)
    actual, expected = kernels(name, x), TORCH[name](torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(actual, expected)  # takes two NaNs as equal
    _same_signs(actual, expected)


def _special(real: Real) -> Array:
    info = np.finfo(DTYPES[real])
    positive = [0.0, info.smallest_subnormal, info.tiny, 1, 3, 20, 100, info.max, np.inf, np.nan]
    return np.array(positive + [-v for v in positive], info.dtype)


@pytest.mark.parametrize("name", TORCH)
def test_special_values(name: str, kernels: Kernels) -> None:
    x = _special(kernels.real)
    if name in LIBM:  # torch's own reduction of a huge argument differs
        x = x[~(np.abs(x) == np.finfo(DTYPES[kernels.real]).max)]
    expected = TORCH[name](torch.from_numpy(x)).numpy()
    actual = kernels(name, x)
    if name == "log1p":  # torch's of a denormal is 0, of either sign
        expected = np.where(np.abs(x) < np.finfo(x.dtype).tiny, x, expected)
    _same_signs(actual, expected)
    # Absolute: on the left torch's sigmoid is 0 where ours is a denormal.
    error = 4 * float(np.finfo(x.dtype).eps)
    np.testing.assert_allclose(actual, expected, rtol=error, atol=error)


@pytest.mark.parametrize("name", PAIRS)
def test_special_pairs(name: str, kernels: Kernels) -> None:
    x = _special(kernels.real)
    a, b = (np.ascontiguousarray(v.ravel()) for v in np.meshgrid(x, x))
    actual = kernels(name, a, b)
    expected = PAIRS[name](torch.from_numpy(a), torch.from_numpy(b)).numpy()
    if name == "pow":
        np.testing.assert_allclose(actual, expected, rtol=4 * float(np.finfo(x.dtype).eps))
        _same_signs(actual, expected)
    else:
        np.testing.assert_array_equal(actual, expected)  # of 0 and -0 either may win


def test_there_is_a_test_for_every_function_that_a_kernel_calls() -> None:
    texts = [row.text(["x"] * len(row.takes)) for row in OPERATIONS.values()]
    called = {name for text in texts for name in re.findall(r"\btr_(\w+)\(", text)}
    assert called == {*TORCH, *PAIRS}


def test_bounded_and_monotonic(kernels: Kernels) -> None:
    x = np.sort(_grid(kernels.real))
    tanh, sigmoid = kernels("tanh", x), kernels("sigmoid", x)
    assert np.max(np.abs(tanh)) == 1
    assert sigmoid.min() >= 0
    assert sigmoid.max() == 1
    assert np.array_equal(kernels("tanh", -x), -tanh)
    if kernels.real == "float":  # one form throughout; in double two forms meet
        assert np.all(np.diff(tanh) >= 0)


@pytest.mark.parametrize("target", TARGETS)
def test_float_loops_are_vectorised(target: str, built: dict[tuple[str, str], Kernels]) -> None:
    if not is_gcc():
        pytest.skip("the report of vectorised loops is read as gcc writes it")
    kernels = built["float", target]
    lines = kernels.source.splitlines()
    done = {
        lines[int(line.split(":")[1]) - 1].partition("loop_")[2].partition("(")[0]
        for line in kernels.report.splitlines()
        if "loop vectorized" in line
    }
    assert done >= {*TORCH, *PAIRS} - {*LIBM}


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm shows what a library defines")
def test_a_step_with_many_functions_calls_none(tmp_path: Path) -> None:
    """A loop with a call is not vectorised."""
    source, library = tmp_path / "step.c", tmp_path / "step.so"
    source.write_text(MogrifierLSTM(2, 100).kernel_source(), encoding="utf-8")
    options = [*FLAGS[:4], *TARGETS["native"], "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([COMPILER, *options, str(source), "-lm"], check=True)
    listed = subprocess.run(["nm", str(library)], check=True, capture_output=True, text=True)
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert "backward" in names
    assert not [name for name in names if name.startswith("tr_")]
