"""Within a launch no program meets another in memory: over the whole catalogue, in every form."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="there is no Triton for this platform")

from torchrecurrent import BR, LSTM, RecurrentLayer, backend
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine.gpu import grid as triton_grid
from torchrecurrent.engine.gpu.grid import Cut, Grid
from torchrecurrent.engine.gpu.hoisted import is_elementwise
from torchrecurrent.engine.gpu.load import interpreted, load_text
from torchrecurrent.engine.gpu.run_elementwise import Loops

from .making import input_for
from .test_engine import build, results
from .test_triton_scan import plan_of

if not interpreted():
    pytest.skip("Triton's interpreter sees every address; a GPU does not", allow_module_level=True)

from .watching import watched

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

#: A first step, an inner and a last one; in three chunks, or in two of which the last is shorter.
STEPS, LENGTHS = 3, [3, 1, 2]
#: Tiles, of sequences and of units, at most; batches and widths that don't fill them.
TALL, WIDE = 2, 2
SIZES = [(3, 2), (2, 3)]


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_grid, "_FEW_LANES", TALL * WIDE)
    monkeypatch.setattr(triton_grid, "_FEW_UNITS", WIDE)


def cut_in(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """Cut what can be cut; and no chunk's matrix is believed, so that each reads the others."""

    def cut(self: Grid, name: str, steps: int, *others: Any) -> Cut:
        can_be = chunks > 1 and self.kernels(f"{name} ends") is not None
        length = -(-steps // chunks) if can_be else steps
        return Cut(length, -(-steps // length))

    def doubting(text: str) -> Any:
        return load_text(text.replace("< float('inf'))", "< -1.0)"))

    monkeypatch.setattr(Grid, "cut", cut)
    monkeypatch.setattr(triton_grid, "load_text", doubting)


def faults(layer: Any, ragged: bool, batch: int = 3) -> set[str]:
    """What is found in a training step, and in a call without gradients."""
    call: dict[str, Any] = {"lengths": LENGTHS[:batch]} if ragged else {}
    input = input_for(layer, STEPS, batch, dtype=torch.float32)
    with watched() as found:
        results(layer, input, "triton", **call)
        with torch.no_grad(), backend("triton"):
            layer(input, **call)
    return found


#: Each cell as declared and diagonal, and each of these in one of two forms.
KINDS = [
    (layer_of(cell), recurrence, (k + turn) % 2)
    for k, cell in enumerate(cells().values())
    for turn, recurrence in enumerate(("declared", "diagonal"))
]


@pytest.mark.parametrize(
    ("layer_class", "recurrence", "form"),
    KINDS,
    ids=[f"{layer.__name__}-{recurrence}" for layer, recurrence, _ in KINDS],
)
def test_no_program_meets_another(
    layer_class: type[RecurrentLayer], recurrence: str, form: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {} if recurrence == "declared" else {"recurrence": recurrence}
    batch, width = SIZES[form]
    layer = build(layer_class, width, **options)
    if not is_elementwise(plan_of(layer)):
        assert not faults(layer, form == 0, batch)
        return
    for chunks in (3 - form, 1):
        cut_in(monkeypatch, chunks)
        assert not faults(layer, (form == 0) != (chunks == 1), batch)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("make", [lambda: BR(3, 3), lambda: LSTM(3, 3, recurrence="diagonal")])
def test_a_planted_race_is_found(make: Any, ragged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of Z in Z's place, while other chunks read it."""
    cut_in(monkeypatch, 3)
    assert not faults(make(), ragged)
    monkeypatch.setattr(Loops, "reads_its_own", lambda self, batch: True)  # as it once was
    assert faults(make(), ragged) == {"backward_0: a program loads what another stores"}


PLANTED = {
    "a load outside every argument": ("(row + n) * (w0)", "(row + n + 1000) * (w0)"),
    "a store outside every argument": ("(n) * (w0)", "(n + 1000) * (w0)"),
    "two programs store to one address": ("n = (tl.program_id(0) * ROWS", "n = (0 * ROWS"),
    "two lanes store to one address": ("tl.arange(0, ROWS))", "0 * tl.arange(0, ROWS))"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_other_planted_faults_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = BR(3, 3)

    def spoilt(text: str) -> Any:
        wrong = text.replace(*PLANTED[fault])
        assert wrong != text
        return load_text(wrong)

    monkeypatch.setattr(triton_grid, "load_text", spoilt)
    assert any(each.endswith(fault) for each in faults(layer, False))
