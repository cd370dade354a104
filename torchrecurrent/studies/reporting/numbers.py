"""Formats numbers for tables."""

from __future__ import annotations

__all__ = ["decimals"]


def decimals(*values: float, sign: str = "") -> list[str]:
    """Format numbers that belong together in one notation.

    They get four decimals or, if the largest would nearly vanish, two digits and a power of ten.

    >>> decimals(0.1234567, 0.0000012), decimals(-0.00043, 0.00001, sign="+")
    (['0.1235', '0.0000'], ['-4.3e-04', '+1.0e-05'])

    Args:
        values: the numbers.
        sign: ``"+"`` also writes the sign of a positive number.
    """
    small = 0 < max(map(abs, values)) < 0.001
    return [f"{value:{sign}{'.1e' if small else '.4f'}}" for value in values]
