"""A kernel of the parent in forked children, and other numbers of threads than this process has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchrecurrent import GRU, Recurrent, backend

from .making import assert_same, gradients, input_for
from .processes import status_of_child
from .test_engine import build

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    # Python 3.12 warns of what is tested here, also where a DataLoader forks.
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]

#: Enough work for several threads to share it.
STEPS, BATCH, WIDTH = 40, 8, 64


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def make_layer() -> Recurrent:
    layer: Recurrent = build(GRU, WIDTH, dtype=torch.float64)
    assert ": c: " in layer.explain(input_for(layer, STEPS, BATCH))
    return layer


def trained(layer: Recurrent, input: Tensor) -> list[Tensor]:
    """The output, and the gradient of every parameter."""
    output, _ = layer(input)
    return [output.detach(), *gradients(layer, output).values()]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    """Equal but for the order of sums, of up to STEPS * BATCH terms."""
    largest = max(float(each.abs().max()) for each in expected)
    assert_same(found, expected, 1e-12 * max(1.0, largest))


class Trials(Dataset[Tensor]):
    """Inputs of a sequence each."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Tensor:
        return self.inputs[index]


def test_in_the_workers_of_a_data_loader(two_threads: None) -> None:
    layer = make_layer()
    inputs = input_for(layer, 3 * BATCH, STEPS)

    def collate(trials: list[Tensor]) -> tuple[int, list[Tensor]]:
        with backend("c"):
            return os.getpid(), trained(layer, torch.stack(trials, 1))

    # The parent's own first: it compiles the kernel and starts torch's threads.
    expected = [collate(list(batch))[1] for batch in inputs.split(BATCH)]
    loader = DataLoader(
        Trials(inputs),
        batch_size=BATCH,
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context="fork",
        timeout=60,
    )
    workers = set()
    for (worker, found), wanted in zip(loader, expected, strict=True):
        workers.add(worker)
        assert_close(found, wanted)  # a worker has one thread, and sums in another order
    assert len(workers) == 2
    assert os.getpid() not in workers


def test_in_a_child_with_several_threads(two_threads: None) -> None:
    """OpenMP's threads, which the parent shares its work among, are not in the child."""
    layer = make_layer()
    input = input_for(layer, STEPS, BATCH)
    with torch.no_grad():
        expected = layer(input)[0]

    def same() -> bool:
        with torch.no_grad(), backend("c"):
            return torch.get_num_threads() == 2 and torch.equal(layer(input)[0], expected)

    assert status_of_child(same) == 0


SCRIPT = """
import torch
from torchrecurrent import backend
from tests.making import input_for
from tests.test_workers import BATCH, STEPS, assert_close, make_layer, trained

torch.manual_seed(0)
layer = make_layer()
input = input_for(layer, STEPS, BATCH)
found = trained(layer, input)
with backend("reference"):
    assert_close(found, trained(layer, input))
print("the same")
"""


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("OMP_NUM_THREADS", "import torch; assert torch.get_num_threads() == 1"),
        # One thread comes where two are asked for.
        ("OMP_THREAD_LIMIT", "import torch; torch.set_num_threads(2)"),
    ],
    ids=["OMP_NUM_THREADS", "OMP_THREAD_LIMIT"],
)
def test_one_thread_by_environment(name: str, first: str) -> None:
    command = [sys.executable, "-c", f"{first}\n{SCRIPT}"]
    environment = {**os.environ, name: "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "the same\n", done.stderr
