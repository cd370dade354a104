"""The roles of the arguments of a cell's ``step``.

A cell annotates every argument of its step with one of the aliases below.
They are :data:`typing.Annotated` types, so that a type checker sees a plain
tensor (or function, or number), and this package sees where the value comes
from: which parameter, which state, which option of the constructor.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from ..complex_numbers import Complex, ComplexMap
from ..normalization import Normalize
from .complex import ComplexRole
from .function import AcrossRole, NonlinearityRole, NormRole, SoftmaxRole
from .gap import GapRole
from .map import Function, Functions, MapRole, MapsRole, Parts
from .number import ConstantRole, ScalarRole, VectorRole
from .product import BiasRole, ProductRole
from .role import Role
from .state import DelayedRole, InputRole, OutputRole, StateRole
from .times import TimesRole
from .weight import CELL, INPUT, RECURRENT, Weight

__all__ = [
    "CELL",
    "INPUT",
    "RECURRENT",
    "AcrossRole",
    "Bias",
    "BiasRole",
    "CellMap",
    "Columns",
    "ComplexInput",
    "ComplexReadout",
    "ComplexRole",
    "ComplexState",
    "Constant",
    "ConstantRole",
    "Delayed",
    "DelayedRole",
    "Feedthrough",
    "Fold",
    "Function",
    "Functions",
    "Gap",
    "GapRole",
    "Gate",
    "GateNonlinearity",
    "Hidden",
    "Input",
    "InputRole",
    "Map",
    "MapRole",
    "MapsRole",
    "MatrixState",
    "Nonlinearity",
    "NonlinearityRole",
    "Norm",
    "NormRole",
    "Output",
    "OutputNonlinearity",
    "OutputRole",
    "Parts",
    "Peephole",
    "ProductRole",
    "Projected",
    "Role",
    "Rows",
    "Scalar",
    "ScalarRole",
    "Skip",
    "Softmax",
    "SoftmaxRole",
    "State",
    "StateRole",
    "TimesRole",
    "Total",
    "Vector",
    "VectorRole",
    "Weight",
]

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
Gap = Annotated[float, GapRole()]
Nonlinearity = Annotated[Function, NonlinearityRole()]
GateNonlinearity = Annotated[Function, NonlinearityRole(r"\sigma")]
OutputNonlinearity = Annotated[Function, NonlinearityRole(r"\psi")]
Norm = Annotated[Normalize, NormRole()]
Softmax = Annotated[Function, SoftmaxRole()]
Total = Annotated[Function, AcrossRole("total", symbol=r"\mathrm{sum}")]
#: A matrix, row by row; ``matrix_size``, an attribute of the cell, is how many numbers it has.
MatrixState = Annotated[Tensor, StateRole("matrix_size")]
#: Matrices whose rows, or columns, have one number each, and the sum of all rows of a matrix.
Rows = Annotated[Function, AcrossRole("repeated", "matrix_size", r"\mathrm{rows}")]
Columns = Annotated[Function, AcrossRole("tiled", "matrix_size", r"\mathrm{columns}")]
Fold = Annotated[Function, AcrossRole("folded", "output_size", r"\mathrm{fold}")]
Output = Annotated[Tensor, OutputRole()]
