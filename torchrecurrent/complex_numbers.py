"""Complex numbers as pairs of real ones: tensors, or their stand-ins while a step is traced.

torch's own complex tensors have no float16 or bfloat16 and no kernel here. A step with arguments
such as ``ComplexState`` (:ref:`roles`) is written as in its paper, and everything else sees two
real arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, cos, sin

__all__ = ["Complex", "ComplexMap", "polar"]


@dataclass(frozen=True, eq=False)
class Complex:
    """A complex number or a vector of them; sums, products and quotients also with real ones."""

    real: Any
    imag: Any

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Handle an operator whose left operand is a tensor, by the reflected operator."""
        one, other = args if len(args) == 2 else (None, None)
        if isinstance(other, Complex) and function in (Tensor.add, Tensor.__add__):
            return other.__radd__(one)
        if isinstance(other, Complex) and function in (Tensor.sub, Tensor.__sub__):
            return other.__rsub__(one)
        if isinstance(other, Complex) and function in (Tensor.mul, Tensor.__mul__):
            return other.__rmul__(one)
        if isinstance(other, Complex) and function in (Tensor.div, Tensor.__truediv__):
            return other.__rtruediv__(one)
        return NotImplemented

    def __add__(self, other: Any) -> Complex:
        if isinstance(other, Complex):
            return Complex(self.real + other.real, self.imag + other.imag)
        return Complex(self.real + other, self.imag)

    def __radd__(self, other: Any) -> Complex:
        return Complex(other + self.real, self.imag)

    def __sub__(self, other: Any) -> Complex:
        if isinstance(other, Complex):
            return Complex(self.real - other.real, self.imag - other.imag)
        return Complex(self.real - other, self.imag)

    def __rsub__(self, other: Any) -> Complex:
        return Complex(other - self.real, -self.imag)

    def __mul__(self, other: Any) -> Complex:
        if isinstance(other, Complex):
            return Complex(
                self.real * other.real - self.imag * other.imag,
                self.imag * other.real + self.real * other.imag,
            )
        return Complex(self.real * other, self.imag * other)

    def __rmul__(self, other: Any) -> Complex:
        return Complex(other * self.real, other * self.imag)

    def __truediv__(self, other: Any) -> Complex:
        if isinstance(other, Complex):
            square = other.real * other.real + other.imag * other.imag
            return self * Complex(other.real / square, -other.imag / square)
        return Complex(self.real / other, self.imag / other)

    def __rtruediv__(self, other: Any) -> Complex:
        return Complex(other, 0.0) / self

    def __neg__(self) -> Complex:
        return Complex(-self.real, -self.imag)


def polar(modulus: Any, angle: Any) -> Complex:
    r"""Return the number :math:`r e^{i \phi}`."""
    return Complex(modulus * cos(angle), modulus * sin(angle))


@dataclass  # not frozen: torch.compile of torch 2.11 can't make a frozen one
class ComplexMap:
    """A complex matrix. Only the requested part of its product with a number is computed."""

    matrix: Complex

    def __call__(self, number: Complex) -> _Mapped:
        return _Mapped(self.matrix, number)


@dataclass(frozen=True)
class _Mapped:
    matrix: Complex
    number: Complex

    @property
    def real(self) -> Any:
        return self.matrix.real(self.number.real) - self.matrix.imag(self.number.imag)

    @property
    def imag(self) -> Any:
        return self.matrix.real(self.number.imag) + self.matrix.imag(self.number.real)
