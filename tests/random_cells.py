"""Cells with random steps, of arguments of every role.

A cell is written as text, so that its step is a function like any other, and what fails can be
read and run by itself.
"""

from __future__ import annotations

import linecache
import random
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torchrecurrent import BaseRecurrentCell

from .random_steps import Writer

__all__ = ["RandomCell", "random_cell"]

HEAD = """\
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.activations import Activation
from torchrecurrent.init import Initializer
from torchrecurrent.roles import *
from torchrecurrent.roles import (
    CELL, INPUT, RECURRENT, Weight, MapRole, MapsRole, NormRole, ProductRole, StateRole, VectorRole
)

Affine = Callable[[Tensor], Tensor]


def bent(value: Tensor) -> Tensor:
    return torch.sin(value) + 0.1 * value


class RandomCell(BaseRecurrentCell):
"""


@dataclass(frozen=True)
class RandomCell:
    """A class of cells, its source, and the options of a layer of them."""

    kind: type[BaseRecurrentCell]
    text: str
    options: dict[str, Any]


def random_cell(seed: int) -> RandomCell:
    """The same for the same seed."""
    writer = Writer(random.Random(seed))
    text = HEAD + "".join(f"    {line}\n" for line in writer.cell())
    name = f"{__name__}_{seed}"
    module = ModuleType(name)
    sys.modules[name] = module  # annotations are looked up there
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), module.__dict__)
    kind: type[BaseRecurrentCell] = module.RandomCell
    return RandomCell(kind, text, writer.options)
