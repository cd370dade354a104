"""The first values that a class declares for its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, CIFGLSTMCell
from torchrecurrent.declaration.initial import First
from torchrecurrent.init import Initializer, gain
from torchrecurrent.roles import Gate, MapsRole, State, Vector, Weight

Layers = Annotated[
    tuple[Callable[[Tensor], Tensor], ...],
    MapsRole(Weight("weight_lh", "bias_lh", "layer_"), first=1),
]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"bias_ih": 1.5, "bias_hh": 0}),
        ({"recurrent_bias": False}, {"bias_ih": 1.5}),
        ({"bias": False, "recurrent_bias": True}, {"bias_hh": 1.5}),
        ({"bias": False}, {}),
    ],
    ids=str,
)
def test_a_first_bias_is_added_once(options: dict[str, Any], expected: dict[str, float]) -> None:
    cell = CIFGLSTMCell(3, 4, forget_bias=1.5, **options)
    found = {name: cell.block(name, "f") for name in cell.state_dict() if name.startswith("bias")}
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert bool((value == expected[name]).all())
        assert not cell.block(name, "o").any()


def counting(tensor: Tensor) -> Tensor:
    return tensor.copy_(torch.arange(1.0, 1 + tensor.numel()).view_as(tensor))


def minus(one: Tensor, other: Tensor) -> Tensor:
    return other.copy_(-one)


class BeginningCell(BaseRecurrentCell):
    """Each kind of declaration, of each kind of argument."""

    depth: int = 3
    start: Initializer = "ones"
    never: float = 0.0
    layer_bias: bool | None = None
    layer_kernel_init: Initializer = "zeros"
    layer_bias_init: Initializer = "zeros"
    vector_kernel_init: Initializer = "ones"
    first: ClassVar[First] = {
        "f": "start",
        "g": 0.5,
        "R": "doubled",
        "v": counting,
        "q": "nothing",
        "weight_ih.g": counting,
        "weight_hh.g": gain(3.0),
        ("f", "q"): minus,
    }

    @property
    def doubled(self) -> float:
        return 2.0 * self.depth

    @property
    def nothing(self) -> None:
        return None

    @staticmethod
    def step(h: State, f: Gate, g: Gate, q: Gate, v: Vector, R: Layers) -> Tensor:
        h = torch.tanh(f + g + q + v * h)
        for R_l in R:
            h = R_l(h)
        return h


@pytest.mark.parametrize(
    ("options", "filled", "zero"),
    [
        ({}, "bias_ih", "bias_hh"),
        ({"recurrent_bias": False}, "bias_ih", ""),
        ({"bias": False, "recurrent_bias": True}, "bias_hh", ""),
        ({"bias": False}, "", ""),
    ],
    ids=str,
)
def test_arguments_begin_as_declared(options: dict[str, Any], filled: str, zero: str) -> None:
    ones: dict[str, Any] = dict.fromkeys(("bias_init", "recurrent_bias_init"), "ones")
    cell = BeginningCell(2, 3, recurrent_kernel_init="ones", **ones, **options)
    state = cell.state_dict()
    assert ("bias_ih" in state, "bias_hh" in state) == (
        "bias_ih" in (filled, zero),
        "bias_hh" in (filled, zero),
    )
    expected = {"f": 1.0, "g": 1.5, "q": -1.0}
    for name, value in expected.items() if filled else ():
        assert (cell.block(filled, name) == value).all()
    for name, value in {"f": 0.0, "g": 1.0, "q": 0.0}.items() if zero else ():
        assert (cell.block(zero, name) == value).all()
    assert cell.block("weight_vh", "v").tolist() == [1.0, 2.0, 3.0]
    assert cell.block("weight_ih", "g").tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert (cell.block("weight_hh", "g") == 3).all()
    assert (cell.block("weight_hh", "f") == 1).all()
    for layer in ("R1", "R2") if "bias_lh" in state else ():
        assert (cell.block("bias_lh", layer) == 6).all()
