"""CONTRIBUTING's new role is all that it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.engine import Backend
from torchrecurrent.equations import latex
from torchrecurrent.init import Initializer
from torchrecurrent.roles import Hidden, MapRole, State, role, weight

from .making import assert_same, gradients, randomize

CHOICES: list[Backend] = ["c", "reference"]
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def contributed() -> Any:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(@dataclass.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {**vars(weight), **vars(role), "__name__": __name__}
    exec(f"from dataclasses import dataclass\nfrom typing import Any\n{code}", names)
    return names["CentredRole"]


def test_the_role_of_contributing_runs_by_the_kernel_and_is_printed() -> None:
    centred: Any = Annotated[Tensor, contributed()()]
    of_input: Any = Annotated[Any, MapRole(weight.INPUT, columns="input_size")]

    class CentredCell(BaseRecurrentCell):
        mean_kernel_init: Initializer = "zeros"

        @staticmethod
        def step(h: State, x: centred, n: Hidden, W: of_input) -> Tensor:
            return tanh(n + W(x))

    layer = randomize(Recurrent(CentredCell, 3, 4, dtype=torch.float64))
    assert layer.cells[0].get_parameter("weight_mean").shape == (3,)
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    assert "c:" in layer.explain(input)
    found = []
    for choice in CHOICES:
        with backend(choice):
            output, state = layer(input)
            found.append([output, *gradients(layer, output, state).values()])
    assert_same(found[0], found[1])
    cell: Any = layer.cells[0]
    x, h = input[0], torch.zeros(2, 4, dtype=torch.float64)
    W, mean = cell.weight_ih, cell.weight_mean
    assert_same(cell(x, h), tanh((x - mean) @ W.T + cell.bias_ih + cell.bias_hh))
    assert r"(x_{t} - \mu_{x})" in latex(CentredCell)[0]
