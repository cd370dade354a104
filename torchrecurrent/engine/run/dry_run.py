"""One step of the reference without values: what a step returns is seen by its shapes alone."""

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
    """Run the step once on tensors that have shapes only, and so on nothing that is the cell's.

    Raises:
        StepError: as :func:`torchrecurrent.engine.run.reference.update`, but for branches.
    """

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    kernels = {name: empty(*shape) for name, shape in cell.parameter_shapes.items()}
    states = [empty(2, width) for width in cell.state_widths]
    try:
        update(cell, project(cell, empty(2, cell.input_size), kernels), states, kernels)
    except BranchError:  # which a single unit may take
        return
    except StepError:
        raise
    except Exception:  # what goes wrong without values need not go wrong with them
        return
