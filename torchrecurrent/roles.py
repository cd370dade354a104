"""What an argument of a cell's ``step`` is.

A cell annotates every argument of its step with one of the aliases below.
They are :data:`typing.Annotated` types, so that a type checker sees a plain
tensor (or function, or number), and this package sees where the value comes
from: which parameter, which state, which option of the constructor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from .complex_numbers import Complex, ComplexMap
from .normalization import Normalize

__all__ = [
    "Bias",
    "CellMap",
    "ComplexInput",
    "ComplexReadout",
    "ComplexState",
    "Constant",
    "Delayed",
    "Feedthrough",
    "Gate",
    "GateNonlinearity",
    "Hidden",
    "Input",
    "Map",
    "Nonlinearity",
    "Norm",
    "Output",
    "OutputNonlinearity",
    "Peephole",
    "Projected",
    "Scalar",
    "Skip",
    "State",
    "Vector",
]


@dataclass(frozen=True)
class Weight:
    """A stacked weight and its bias, and the constructor's options that govern them.

    Arguments of the step that draw on the same weight are stacked along its
    first dimension, in the order in which the step names them.
    """

    name: str
    bias: str | None = None
    prefix: str = ""
    #: The option that initialises the weight, where it is not ``<prefix>kernel_init``.
    initializer: str = ""

    @property
    def weight_option(self) -> str:
        return self.initializer or f"{self.prefix}kernel_init"

    @property
    def bias_option(self) -> str:
        return f"{self.prefix}bias_init"

    @property
    def bias_flag(self) -> str:
        return f"{self.prefix}bias"


#: What a map and a nonlinearity are to a step.
Function = Callable[[Tensor], Tensor]

INPUT = Weight("weight_ih", "bias_ih")
RECURRENT = Weight("weight_hh", "bias_hh", "recurrent_")
CELL = Weight("weight_ch", "bias_ch", "cell_")


@dataclass(frozen=True)
class Role:
    """Base of all roles."""


@dataclass(frozen=True)
class StateRole(Role):
    """Carried from one time step to the next; ``width`` is an attribute of the cell."""

    width: str = "hidden_size"


@dataclass(frozen=True)
class DelayedRole(Role):
    """The first state, as it was ``steps`` (an option of the cell) steps ago."""

    steps: str = "delay"


@dataclass(frozen=True)
class InputRole(Role):
    """The input itself, not projected."""


@dataclass(frozen=True)
class ProductRole(Role):
    """An affine function of the input, of a state, or of both.

    ``of`` names the state; left out, it is the first one. ``rows``: an attribute of the cell;
    where it is 0, a product of the input alone is the input itself and has no parameter.
    """

    input: Weight | None = None
    recurrent: Weight | None = None
    of: str | None = None
    rows: str = "hidden_size"


@dataclass(frozen=True)
class MapRole(Role):
    """An affine map that the step applies itself; ``rows``, ``columns``: attributes of the cell.

    Where the first is 0 the map is the identity and has no parameter. A map that is
    no part of the recurrence is ``always_dense``, whatever the cell's ``recurrence`` is.
    """

    weight: Weight = RECURRENT
    rows: str = "hidden_size"
    columns: str = "hidden_size"
    always_dense: bool = False


@dataclass(frozen=True)
class MapsRole(Role):
    """A tuple of affine maps, one for each layer of a step that is a network in itself.

    The layers are numbered from 0 to ``layers`` - 1, where ``layers`` is an option of the
    cell or a property of it; those before ``first`` have no map. Block ``R2`` of an argument
    ``R`` is layer 2's. ``rows``, ``columns`` and ``always_dense`` are those of a single map.
    """

    weight: Weight
    layers: str = "depth"
    first: int = 0
    rows: str = "hidden_size"
    columns: str = "hidden_size"
    always_dense: bool = False


@dataclass(frozen=True)
class BiasRole(Role):
    """The sum of an argument's rows of the biases of the input's and the recurrent products.

    A step that names its biases adds them itself: its products have none.
    """


@dataclass(frozen=True)
class VectorRole(Role):
    """A learned number for each unit; of ``rows``, an attribute of the cell."""

    weight: Weight
    rows: str = "hidden_size"


#: The roles that have rows in a stacked parameter.
Stacked = ProductRole | MapRole | MapsRole | VectorRole


@dataclass(frozen=True)
class ComplexRole(Role):
    """A complex number or matrix: two arguments of the role ``part``, its parts.

    They are called ``<name>_re`` and ``<name>_im``, and all but the step knows them only.
    """

    part: Role


@dataclass(frozen=True)
class ScalarRole(Role):
    """One learned number; option ``<name>_init`` gives its first value."""


@dataclass(frozen=True)
class ConstantRole(Role):
    """An option of the instance, or a property of it, under the argument's own name."""


@dataclass(frozen=True)
class NonlinearityRole(Role):
    """An elementwise function, an option of the instance; ``symbol`` prints it."""

    symbol: str = r"\phi"


@dataclass(frozen=True)
class NormRole(Role):
    """Layer normalisation of some values together; ``epsilon``: an option of the cell."""

    epsilon: str = "epsilon"


@dataclass(frozen=True)
class OutputRole(Role):
    """Marks the first value that the step returns as an output that is no state."""


State = Annotated[Tensor, StateRole()]
Delayed = Annotated[Tensor, DelayedRole()]
Input = Annotated[Tensor, InputRole()]
Gate = Annotated[Tensor, ProductRole(INPUT, RECURRENT)]
Projected = Annotated[Tensor, ProductRole(INPUT, None)]
Hidden = Annotated[Tensor, ProductRole(None, RECURRENT)]
Map = Annotated[Function, MapRole()]
CellMap = Annotated[Function, MapRole(CELL)]
Skip = Annotated[
    Function,
    MapRole(Weight("weight_skip", None, "skip_"), "skip_size", "input_size", always_dense=True),
]
ComplexState = Annotated[Complex, ComplexRole(StateRole())]
ComplexInput = Annotated[Complex, ComplexRole(ProductRole(INPUT))]
ComplexReadout = Annotated[
    ComplexMap,
    ComplexRole(MapRole(Weight("weight_out", None, "output_"), "input_size", always_dense=True)),
]
Feedthrough = Annotated[Tensor, VectorRole(Weight("weight_skip", None, "skip_"), "input_size")]
Bias = Annotated[Tensor, BiasRole()]
Vector = Annotated[Tensor, VectorRole(Weight("weight_vh", None, "vector_"))]
Peephole = Annotated[Tensor, VectorRole(Weight("weight_ph", None, "peephole_"))]
Scalar = Annotated[Tensor, ScalarRole()]
Constant = Annotated[float, ConstantRole()]
Nonlinearity = Annotated[Function, NonlinearityRole()]
GateNonlinearity = Annotated[Function, NonlinearityRole(r"\sigma")]
OutputNonlinearity = Annotated[Function, NonlinearityRole(r"\psi")]
Norm = Annotated[Normalize, NormRole()]
Output = Annotated[Tensor, OutputRole()]
