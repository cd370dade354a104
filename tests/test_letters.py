"""A cell's page has its equations once, in the letters of its parameters.

They are those of the docstring. What is printed from the code of the step has the same letters, and
``test_declared.py`` holds it to what the step computes.
"""

from __future__ import annotations

import re

import pytest

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.catalog.listing import cells
from torchrecurrent.equations import latex
from torchrecurrent.term import symbol

from .letters import constants, defined, displayed, inline, prose


@pytest.mark.parametrize("cell", cells().values())
def test_the_docstring_has_the_letters_of_the_code(cell: type[BaseRecurrentCell]) -> None:
    text = cell.__doc__ or ""
    equations, printed = displayed(text), constants(latex(cell))
    assert equations
    explained = constants(inline(text))
    explained |= {symbol(name) for name in cell.option_names if f" {name}: " in prose(text)}
    assert printed - constants(equations) - explained == set()


@pytest.mark.parametrize("cell", cells().values())
def test_the_docstring_explains_its_other_letters(cell: type[BaseRecurrentCell]) -> None:
    text = cell.__doc__ or ""
    equations = displayed(text)
    others = constants(equations) - constants(latex(cell)) - defined(equations)
    explained = constants(inline(text)) | set(re.findall(r"\b[A-Z]\b", prose(text)))
    assert others - explained == set()


def test_a_letter_that_is_not_the_code_s_is_found() -> None:
    cell = cells()["LEMCell"]
    text = (cell.__doc__ or "").replace("W_u x_t", "W_z x_t")
    assert constants(latex(cell)) - constants(displayed(text)) == {"W_{u}"}
    assert constants(displayed(text)) - constants(latex(cell)) == {"W_{z}"}


def test_what_stands_for_several_equations() -> None:
    found = displayed(
        """A cell.

        .. math::
            i_t &= W_i x_t + b_{U_i} \\quad\\text{and so}\\quad f_t, o_t \\\\
            g_{k,t} &= V_k \\tilde h_t \\quad\\text{for } k = 1, 2
        """
    )
    assert constants(found) == {
        *("W_{i}", "W_{f}", "W_{o}", "b_{U_{i}}", "b_{U_{f}}", "b_{U_{o}}", "V_{1}", "V_{2}")
    }
    assert defined(found) == {"i", "f", "o", "g_{1}", "g_{2}"}
