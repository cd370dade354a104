"""A plan is complete when it is made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from torchrecurrent import BaseRecurrentCell, BRCell
from torchrecurrent.engine.cpu.emit import emit_c
from torchrecurrent.engine.gpu.emit import emit_triton
from torchrecurrent.engine.program.build import make_plan

from .making import make


def test_what_is_printed_from_it_does_not_change_it(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class, device="meta")
    plan = make_plan(cell)
    nodes = list(plan.graph.nodes)
    emit_c(plan, "float")
    text = emit_triton(plan, torch.float32).text
    assert plan.graph.nodes == nodes
    assert len(plan.node_widths) == len(nodes)
    assert emit_triton(make_plan(cell), torch.float32).text == text


def test_it_can_not_be_changed() -> None:
    plan = make_plan(BRCell(3, 4))
    with pytest.raises(FrozenInstanceError):
        plan.output = 1  # type: ignore[misc]
    with pytest.raises(RuntimeError, match="this graph is complete and has no Node"):
        plan.graph.number(123)
    plan.graph.copy().number(123)
