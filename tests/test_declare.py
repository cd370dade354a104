"""A module written as a declared step is the same function, to be pasted and printed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import BaseRecurrentCell, BRCell, Recurrent, declare, equations
from torchrecurrent.declaring import declared_of
from torchrecurrent.foreign import ForeignCell

from .paper_cells import PAPER_CELLS
from .test_modules import HIDDEN, INPUT, OF_TORCH

CELLS = [*((kind, None) for kind in OF_TORCH), *PAPER_CELLS]
#: Cells of papers whose step has no class here, and why.
REFUSED: dict[str, str] = {
    "Normalised": "it takes a mean over units",
    "ClosedForm": "its values are 5 and 7 wide",
    "Mogrified": "its values are 5 and 3 wide",
    "Slow": "its values are 5 and 4 wide",
}


def pasted(text: str, folder: Path) -> type[BaseRecurrentCell]:
    file = folder / "pasted.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("pasted", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, BaseRecurrentCell)
        and each is not BaseRecurrentCell
    )  # fmt: skip
    return found


def check(module: nn.Module, widths: tuple[int, ...] | None, folder: Path) -> None:
    module = module.double()
    found, traced = declared_of(module, INPUT, HIDDEN, widths)
    cell: Any = pasted(found.text, folder)(INPUT, HIDDEN, dtype=torch.float64)
    made = traced.parameters(module)
    rows = {
        name: torch.cat(
            [made[each.parameter][each.start : each.start + each.rows] for each in parts]
        )
        for name, parts in found.parts.items()
    }
    rows = {name: value.view(cell.get_parameter(name).shape) for name, value in rows.items()}
    assert rows.keys() == dict(cell.named_parameters()).keys()
    x = torch.randn(4, INPUT, dtype=torch.float64, requires_grad=True)
    states = [
        torch.randn(4, width, dtype=torch.float64, requires_grad=True) for width in traced.widths
    ]
    step = ForeignCell(module, HIDDEN).update
    output, new = step((x,), tuple(states), {})
    ours = torch.func.functional_call(
        cell, rows, (x, tuple(states) if len(states) > 1 else states[0])
    )
    theirs = [*new]
    if cell.signature.has_output:
        ours, theirs = [ours[0], *tensors(ours[1])], [output, *new]
    leaves = [x, *states, *module.parameters()]
    results = []
    for made_of in (tensors(ours), theirs):
        loss = torch.stack([(each * (k + 1)).sin().sum() for k, each in enumerate(made_of)]).sum()
        grads = torch.autograd.grad(loss, leaves, allow_unused=True, retain_graph=True)
        zeros = [
            torch.zeros_like(leaf) if g is None else g
            for g, leaf in zip(grads, leaves, strict=True)
        ]
        results.append([*made_of, *zeros])
    for a, b in zip(*results, strict=True):
        # both are float64; only the order of sums differs
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert equations.latex(type(cell))
    assert "kernel runs" in Recurrent([cell], INPUT, HIDDEN).explain(x.detach().unsqueeze(0))


def tensors(value: Any) -> list[Tensor]:
    return (
        [value] if isinstance(value, Tensor) else [part for each in value for part in tensors(each)]
    )


@pytest.mark.parametrize(("kind", "widths"), CELLS)
def test_the_class_computes_what_the_module_does(
    kind: Any, widths: tuple[int, ...] | None, tmp_path: Path
) -> None:
    name = getattr(kind, "__name__", "")
    if name in REFUSED:
        with pytest.raises(TypeError, match=f"{name} can't be declared: {REFUSED[name]}"):
            declare(kind(INPUT, HIDDEN), INPUT, HIDDEN, widths)
    else:
        check(kind(INPUT, HIDDEN), widths, tmp_path)


def test_what_is_printed() -> None:
    assert (
        declare(nn.GRUCell(3, 5))
        == '''\
from torch import Tensor, sigmoid, tanh

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.roles import Gate, Hidden, Projected, State


class GRUCell(BaseRecurrentCell):
    """What GRUCell computes."""

    @staticmethod
    def step(h: State, a: Gate, b: Gate, c: Projected, d: Hidden) -> Tensor:
        e = tanh(c + d * sigmoid(a))
        return (h - e) * sigmoid(b) + e
'''
    )


def test_what_can_not_be_declared() -> None:
    class Noisy(nn.Module):
        def forward(self, input: Tensor, state: Tensor) -> Tensor:
            return torch.dropout(state, 0.5, True) + input

    noisy = Noisy()
    with pytest.raises(TypeError, match="Noisy has no attribute 'input_size'; give it"):
        declare(noisy)
    with pytest.raises(TypeError, match="Noisy can't be declared: its forward draws random"):
        declare(noisy, 5, 5, [5])
    with pytest.raises(TypeError, match="declare: BRCell is a declared cell"):
        declare(BRCell(3, 5))
