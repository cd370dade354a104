"""One fixture over the whole catalogue, so that a failure reads ``test_pickles[BRCell]``."""

from __future__ import annotations

import os

import pytest
import torch

# Before anyone imports Triton, which reads it then: without a GPU its kernels run in Python.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
    collect_ignore = ["test_gpu.py"]
# With a GPU, what torch.use_deterministic_algorithms asks for.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

from torchrecurrent import BaseRecurrentCell, RecurrentLayer
from torchrecurrent.catalog.listing import cells, layer_of

# The tensors here are tiny: a second thread costs more than it brings, also in the processes that
# tests start, while other tests are on all cores.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

CELLS = list(cells().values())


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=CELLS, ids=lambda cell: cell.__name__)
def cell_class(request: pytest.FixtureRequest) -> type[BaseRecurrentCell]:
    cell: type[BaseRecurrentCell] = request.param
    return cell


@pytest.fixture(params=CELLS, ids=lambda cell: layer_of(cell).__name__)
def layer_class(request: pytest.FixtureRequest) -> type[RecurrentLayer]:
    return layer_of(request.param)
