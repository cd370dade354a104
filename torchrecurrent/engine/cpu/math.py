"""Elementary functions for generated C: every function of :file:`math.h`, inline.

A loop over any of them but ``tr_sin`` and ``tr_cos`` (libm's), and in double ``tr_erf``, is
vectorised by gcc and clang under ``-O3 -fno-math-errno -fno-trapping-math``. None needs
``-ffast-math``; NaN, infinities and the sign of zero come out as torch's do.

The largest errors measured, in units in the last place of the exact result, denormals included,
with and without fused multiply-add (float: every 29th of all floats; double: 4 million numbers),
with z = exp(-abs(x)):

==========  =====  ======  ===================================================================
function    float  double  form
==========  =====  ======  ===================================================================
exp         1.02   1.03    n ln 2 + r, polynomial in r of degree 6 (11), 2^n in two factors
log         0.91   0.97    m 2^n, series in f / (2 + f), f = m - 1, of 3 (7) terms
tanh        2.50   1.29    m / (2 + m), m = expm1(-2 abs(x)); in double rational below 0.625,
                           1 - 2 / (exp(2 x) + 1) above
sigmoid     1.80   1.85    1 - z / (1 + z), and z times that where x < 0
logsigmoid  1.68   1.66    min(x, 0) - log1p(z)
softplus    1.65   1.66    max(x, 0) + log1p(z); x itself above 20, as torch
expm1       1.51   2.20    2^n (exp(r) - 1) + (2^n - 1)
log1p       1.44   1.44    log(1 + x), and what the rounding of the sum lost
erf         1.33   1       x P(x^2) or 1 - exp(x R(x)); in double libm
pow         1.6    1.8     exp(p log(x)), both in two numbers each, to abs(p) = 11
sin, cos    0.56   0.52    libm
==========  =====  ======  ===================================================================

The error of pow grows with abs(p), by 0.04 for each 1 in float and by 0.08 in double.
"""

from __future__ import annotations

from importlib import resources
from typing import Literal

__all__ = ["prelude", "source_file"]


def prelude(real: Literal["float", "double"]) -> str:
    """C11 source: the type ``real`` and the functions ``tr_...`` of it."""
    return f"#define TR_DOUBLE {int(real == 'double')}\n{source_file('math.h')}"


def source_file(name: str) -> str:
    """The text of a C file of this package."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")
