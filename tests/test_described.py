"""The facts that follow from a cell's declaration are added to its docstring."""

from __future__ import annotations

import inspect
import re

import pytest
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, RecurrentLayer
from torchrecurrent.activations import Activation
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.declaration.described import section
from torchrecurrent.init import Initializer, gain
from torchrecurrent.roles import CellMap, Gate, GateNonlinearity, Output, Scalar, State, Vector


class ToldCell(BaseRecurrentCell, citation="somebody2026", family="simple"):
    """What only its author knows.

    Args:
        squash: which is said here,
            over two lines.

    Sources: a dream.
    """

    squash: Activation = "tanh"
    alpha_init: float = 0.5
    vector_kernel_init: Initializer = "ones"
    recurrent_bias: bool | None = False
    cell_bias: bool | None = None
    cell_kernel_init: Initializer = "orthogonal"
    cell_bias_init: Initializer = "zeros"
    forget_bias: float = 1.0
    start: Initializer = "ones"
    first = {  # noqa: RUF012
        "f": "forget_bias",
        "g": "start",
        "v": gain(2.0),
        "weight_ih.g": gain(2.0),
        "V": "ending",
    }

    @property
    def ending(self) -> None:
        """nothing for the bias of V."""

    @staticmethod
    def step(
        h: State,
        c: State,
        f: Gate,
        g: Gate,
        V: CellMap,
        v: Vector,
        alpha: Scalar,
        squash: GateNonlinearity,
    ) -> tuple[Output, Tensor, Tensor]:
        c = alpha * c + squash(f) * V(squash(g))
        return tanh(c), v * tanh(c), c


def test_the_docstring_is_completed() -> None:
    assert (
        ToldCell.__doc__
        == """\
What only its author knows.

Args:
    squash: which is said here,
        over two lines.
    alpha_init: first value of alpha.
    cell_kernel_init: initialiser of ``weight_ch`` (V).
    cell_bias: whether there is ``bias_ch``; default: as ``bias``.
    cell_bias_init: initialiser of ``bias_ch``.
    vector_kernel_init: initialiser of ``weight_vh`` (v).
    forget_bias: added to the first value of the bias of f.
    start: what the bias of g begins with, whatever ``bias_init`` is.

Outputs: ``(output, (h, c))``.

Initialisation: ``xavier_uniform`` for ``weight_ih`` and ``weight_hh``; ``orthogonal`` for
``weight_ch``; ``ones`` for ``weight_vh``; ``zeros`` for ``bias_ih`` and ``bias_ch``; 1 added to
the bias of f; then ``ones`` for the bias of g; then ``gain(2)`` for v and g of ``weight_ih``;
nothing for the bias of V; no ``bias_hh`` unless ``recurrent_bias=True``.

Sources: a dream."""
    )
    assert (ToldCell.citation, ToldCell.family) == ("somebody2026", "simple")


def test_a_layer_says_what_it_stacks() -> None:
    class Told(RecurrentLayer, cell=ToldCell): ...

    assert Told.__doc__ is not None
    assert Told.__doc__.startswith("What only its author knows, as a layer over a sequence.\n")
    assert "States: ``h``, ``c``; the output is none of them.\n" in Told.__doc__
    assert "    squash: which is said here,\n        over two lines.\n" in Told.__doc__
    assert Told.__doc__.count("Args:") == 1


@pytest.mark.parametrize("cell", cells().values())
def test_the_help_of_a_layer_has_its_arguments_shapes_and_states(
    cell: type[BaseRecurrentCell],
) -> None:
    layer = layer_of(cell)
    text = inspect.getdoc(layer) or ""
    said = re.findall(r"^    (\w+): ", section(text, "Args:"), re.MULTILINE)
    assert said == list(inspect.signature(layer).parameters)
    for part in ("\nInputs: input, hx, lengths", "\nOutputs: output, h_n\n", "\nRaises:\n"):
        assert text.count(part) == 1
    assert cell.__name__ in text
    for name in cell(4, 4).state_names:
        assert re.search(rf"^States?: .*``{name}``", text, re.MULTILINE)


@pytest.mark.parametrize("cell", cells().values())
def test_every_function_that_a_docstring_names_has_a_name(cell: type[BaseRecurrentCell]) -> None:
    for text in (inspect.getdoc(cell), inspect.getdoc(layer_of(cell)), repr(cell(4, 4))):
        assert text is not None
        assert not re.search(r"lambda>|<function|<bound|functools| at 0x", text)


def test_what_is_said_stays_and_no_docstring_is_made_up() -> None:
    class SilentCell(BaseRecurrentCell):
        squash: Activation = "tanh"

        @staticmethod
        def step(h: State, n: Gate, squash: GateNonlinearity) -> Tensor:
            return squash(n)

    class SpokenCell(SilentCell):
        """A cell.

        Initialisation: none.
        """

    assert SilentCell.__doc__ is None
    assert SpokenCell.__doc__ == (
        "A cell.\n\nArgs:\n    squash: :math:`\\sigma`.\n\nInitialisation: none."
    )
    assert SpokenCell.citation == ""


def test_an_option_without_a_default_is_named() -> None:
    class RequiringCell(BaseRecurrentCell):
        """A cell."""

        cell_bias: bool | None
        cell_kernel_init: Initializer
        cell_bias_init: Initializer = "zeros"
        start: Initializer
        first = {"n": "start"}  # noqa: RUF012

        @staticmethod
        def step(h: State, n: Gate, V: CellMap) -> Tensor:
            return n + V(h)

    text = " ".join(str(RequiringCell.__doc__).split())
    assert "``cell_kernel_init`` for ``weight_ch``;" in text
    assert text.endswith("then ``start`` for the bias of n.")
