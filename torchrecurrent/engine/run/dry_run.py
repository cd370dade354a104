"""Runs one reference step on zeros: the shapes of its results are enough to check them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...declaration.noise import noise_of
from ...declaration.step_contract import BranchError, StepError
from .reference import project, update

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["dry_run"]


def dry_run(cell: BaseRecurrentCell) -> None:
    """Run the step once on zeros, without the cell's parameters or states.

    They are on the CPU: for a product of tensors without memory torch imports its compiler. Nothing
    here changes a mode: an export in which a kernel is first made would record that.

    Raises:
        StepError: as :func:`torchrecurrent.engine.run.reference.update`, except for branches.
    """

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, device="cpu", dtype=torch.float32)

    parameters = {name: zeros(*shape) for name, shape in cell.parameter_shapes.items()}
    states = [zeros(2, width) for width in cell.state_widths]
    widths = dict(zip(cell.state_names, cell.state_widths, strict=True))
    own = torch.Generator()  # torch's own would give other numbers afterwards
    parameters |= noise_of(cell).draw(widths, (2,), states[0], (2,), own)
    try:
        update(cell, project(cell, zeros(2, cell.input_size), parameters), states, parameters)
    except BranchError:  # a cell with a single unit may branch
        return
    except StepError:
        raise
    except Exception:  # a step that fails on zeros need not fail on values
        return
