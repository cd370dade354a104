"""One step of the reference on zeros: what a step returns is seen by its shapes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...declaration.step_contract import BranchError, StepError
from .reference import project, update

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["dry_run"]


def dry_run(cell: BaseRecurrentCell) -> None:
    """Run the step once on zeros, and so on nothing that is the cell's.

    They lie on the CPU: on tensors without memory torch imports its compiler for a product. Nothing
    here changes a mode: an export in which a kernel is first made would record that.

    Raises:
        StepError: as :func:`torchrecurrent.engine.run.reference.update`, but for branches.
    """

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, device="cpu", dtype=torch.float32)

    parameters = {name: zeros(*shape) for name, shape in cell.parameter_shapes.items()}
    states = [zeros(2, width) for width in cell.state_widths]
    try:
        update(cell, project(cell, zeros(2, cell.input_size), parameters), states, parameters)
    except BranchError:  # which a single unit may take
        return
    except StepError:
        raise
    except Exception:  # what goes wrong with zeros need not go wrong with values
        return
