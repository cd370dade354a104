"""Complex numbers in a step: the arithmetic, and a cell with every kind of complex argument."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor, sigmoid

from torchrecurrent import BaseRecurrentCell, LRUCell, Recurrent
from torchrecurrent.complex_numbers import Complex, ComplexMap, polar
from torchrecurrent.equations import latex
from torchrecurrent.init import Initializer
from torchrecurrent.roles import (
    ComplexInput,
    ComplexReadout,
    ComplexRole,
    ComplexState,
    Gate,
    Map,
    MapRole,
    Output,
    State,
    VectorRole,
    Weight,
)

from .making import assert_same, input_for, randomize
from .test_engine import results


def pair(number: Tensor) -> Any:
    """The argument that a step gets for a number: a real one is passed itself."""
    return Complex(number.real, number.imag) if number.is_complex() else number


def joined(number: Any) -> Tensor:
    return torch.complex(number.real, number.imag)


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_sums_products_and_quotients_are_those_of_complex_tensors(
    operation: Callable[..., Any],
) -> None:
    z, w = torch.randn(2, 5, dtype=torch.complex128)
    numbers = [z, w, torch.randn(5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)]
    for one, other in itertools.product(numbers, repeat=2):
        if one.is_complex() or other.is_complex():
            found, expected = joined(operation(pair(one), pair(other))), operation(one, other)
            # ten roundings of a quotient, which may be large
            torch.testing.assert_close(found, expected, rtol=2e-15, atol=1e-15)
    for number in (2, -0.5):
        assert_same(joined(operation(pair(z), number)), operation(z, number), 1e-15)
        assert_same(joined(operation(number, pair(z))), operation(number, z), 1e-15)
    assert_same(joined(-pair(z)), -z, 0)


def test_polar_and_maps_are_those_of_complex_tensors() -> None:
    r, phi = torch.rand(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    assert_same(joined(polar(r, phi)), torch.polar(r, phi), 1e-15)
    C, z = torch.randn(3, 5, dtype=torch.complex128), torch.randn(5, dtype=torch.complex128)
    parts = Complex(lambda value: C.real @ value, lambda value: C.imag @ value)
    assert_same(joined(ComplexMap(parts)(pair(z))), C @ z, 1e-14)


Rotation = Annotated[Complex, ComplexRole(VectorRole(Weight("weight_r", None, "rotation_")))]
Mixing = Annotated[ComplexMap, ComplexRole(MapRole(Weight("weight_mix", "bias_mix", "mixing_")))]


class ComplexCell(BaseRecurrentCell):
    """A real gate, a real state, and every kind of complex argument."""

    rotation_kernel_init: Initializer = "normal"
    mixing_kernel_init: Initializer = "normal"
    mixing_bias: bool | None = False
    mixing_bias_init: Initializer = "zeros"
    output_kernel_init: Initializer = "normal"

    @staticmethod
    def step(
        s: State,
        z: ComplexState,
        g: Gate,
        b: ComplexInput,
        a: Rotation,
        M: Mixing,
        U: Map,
        C: ComplexReadout,
    ) -> tuple[Output, Tensor, Complex]:
        g = sigmoid(g)
        z = (1 - g) * z * a + g * b - 0.5
        m = M(z).imag
        s = U(m) + z.real
        return C(z).imag, s, z

    @property
    def output_size(self) -> int:
        return self.input_size


def test_a_cell_with_complex_numbers_is_that_of_complex_tensors() -> None:
    cell: Any = randomize(ComplexCell(3, 4, dtype=torch.float64))
    assert cell.state_names == ("s", "z_re", "z_im")
    assert cell.state_widths == (4, 4, 4)

    def whole(parameter: str, name: str) -> Tensor:
        return torch.complex(*(cell.block(parameter, f"{name}_{part}") for part in ("re", "im")))

    input = torch.randn(6, 3, dtype=torch.float64)
    s, z = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.complex128)
    output, (s_n, re, im) = Recurrent(cell, 3, 4)(input)
    for x, y in zip(input, output, strict=True):
        g = cell.block("weight_ih", "g") @ x + cell.block("bias_ih", "g")
        g = torch.sigmoid(g + cell.block("weight_hh", "g") @ s + cell.block("bias_hh", "g"))
        b = whole("weight_ih", "b") @ x.to(z.dtype) + whole("bias_ih", "b")
        z = (1 - g) * z * whole("weight_r", "a") + g * b - 0.5
        m = (whole("weight_mix", "M") @ z).imag
        s = cell.block("weight_hh", "U") @ m + cell.block("bias_hh", "U") + z.real
        assert_same(y, (whole("weight_out", "C") @ z).imag, 1e-12)
    assert_same((s_n[0], torch.complex(re[0], im[0])), (s, z), 1e-12)


def test_its_kernel_is_the_reference() -> None:
    layer: Any = randomize(Recurrent(ComplexCell, 3, 5, dtype=torch.float64))
    input = input_for(layer, 7, 4)
    assert ": c: " in layer.explain(input)
    with torch.no_grad():
        hx = layer(input)[1]
    expected = results(layer, input, "reference", hx=hx)
    # Sums of up to 7 * 4 terms, in another order.
    assert_same(results(layer, input, "c", hx=hx), expected, 1e-12)


def test_it_is_printed_as_it_is_written() -> None:
    assert latex(LRUCell)[1:] == [
        r"h_{t} &= \lambda_{t} \odot h_{t-1} + \exp(\gamma) \odot (W_{b} x_{t} + b_{b})",
        r"y_{t} &= \mathrm{Re}(C h_{t}) + D \odot x_{t}",
    ]


def test_a_complex_state_that_is_not_returned() -> None:
    with pytest.raises(TypeError, match=r"of 2 tensor\(s\), one for each .*\(z_re, z_im\), got 1"):

        class BadCell(BaseRecurrentCell):
            @staticmethod
            def step(z: ComplexState, b: ComplexInput) -> Tensor:
                real: Tensor = (z + b).real
                return real
