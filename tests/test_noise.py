"""Dropout of recurrent products, and zoneout: each as written out in torch, on every path.

That kernel and loop agree for every cell, test_engine.py and test_triton.py show.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    BR,
    GRU,
    LRU,
    LSTM,
    BaseRecurrentCell,
    BRCell,
    GRUCell,
    GRUResetBeforeCell,
    IndRNNCell,
    LSTMCell,
    Recurrent,
    RNNCell,
    backend,
    tauGRUCell,
)
from torchrecurrent.catalog.listing import cells
from torchrecurrent.declaration.noise import DROPPED, ZONED, noise_of
from torchrecurrent.engine import Backend
from torchrecurrent.engine.run.kernels import Fused, fused

from .making import (
    assert_same,
    fitting,
    gradients,
    has_recurrent_weight,
    make,
    states_for,
    tensors,
)

F64 = torch.float64
T, N = 6, 4
LENGTHS = [6, 2, 5, 1]
BOTH: dict[str, Any] = {"recurrent_dropout": 0.4, "zoneout": 0.3}


def with_noise(cell_class: type[BaseRecurrentCell], **options: Any) -> Any:
    """A cell with as much of the noise as it takes."""
    return make(cell_class, **fitting(cell_class, options))


def layer_of(cell: Any) -> Recurrent:
    return Recurrent(cell, cell.input_size, cell.hidden_size)


def seeded(module: nn.Module, *args: Any, **call: Any) -> Any:
    torch.manual_seed(5)
    return module(*args, **call)


def flat(value: Any) -> list[Tensor]:
    return list(tensors(value))


def results(layer: Any, input: Tensor, choice: Backend, **call: Any) -> list[Tensor]:
    """Output, last states and gradients of everything, for one seed."""
    leaf = input.clone().requires_grad_()
    with backend(choice):
        output, last = seeded(layer, leaf, **call)
        found = gradients(layer, output, last)
    assert leaf.grad is not None
    return [output, *flat(last), *found.values(), leaf.grad]


def masks_of(cell: Any, input: Tensor) -> dict[str, Tensor]:
    """What a call with this seed draws."""
    torch.manual_seed(5)
    return dict(cell.draw_noise(input, cell.initial_states((input.size(1),), input)))


@pytest.mark.parametrize("choice", ["c", "reference"])
def test_recurrent_dropout_of_an_lstm(choice: Backend) -> None:
    """Every gate reads the same masked h, at all steps; c is not masked, nor is h elsewhere."""
    cell = make(LSTMCell, recurrent_dropout=0.4)
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with backend(choice):
        output, (_, last) = seeded(layer_of(cell), x)
    torch.manual_seed(5)
    mask = torch.empty(N, cell.hidden_size, dtype=F64).bernoulli_(0.6) / 0.6
    h = c = torch.zeros(N, cell.hidden_size, dtype=F64)
    theirs = torch.nn.LSTMCell(cell.input_size, cell.hidden_size, dtype=F64)
    theirs.load_state_dict(cell.state_dict())
    outputs = []
    for row in x:
        h, c = theirs(row, (h * mask, c))
        outputs.append(h)
    assert_same([output, last[0]], [torch.stack(outputs), c])


@pytest.mark.parametrize("choice", ["c", "reference"])
@pytest.mark.parametrize(
    ("cell_class", "options"),
    [
        (RNNCell, {}),
        (RNNCell, {"recurrence": "diagonal"}),
        (RNNCell, {"num_heads": 2}),
        (RNNCell, {"recurrent_bias": False}),
        (IndRNNCell, {}),
    ],
    ids=str,
)
def test_recurrent_dropout_of_one_product(
    cell_class: type[BaseRecurrentCell], options: dict[str, Any], choice: Backend
) -> None:
    """A cell that reads its state in a product only is the cell on the masked state."""
    cell = make(cell_class, recurrent_dropout=0.4, **options)
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with backend(choice):
        output = seeded(layer_of(cell), x)[0]
    torch.manual_seed(5)
    mask = torch.empty(N, cell.hidden_size, dtype=F64).bernoulli_(0.6) / 0.6
    cell.recurrent_dropout = 0.0
    h, outputs = torch.zeros(N, cell.hidden_size, dtype=F64), []
    for row in x:
        h = cell(row, h * mask)
        outputs.append(h)
    assert_same(output, torch.stack(outputs))


@pytest.mark.parametrize("choice", ["c", "reference"])
def test_recurrent_dropout_of_a_map(choice: Backend) -> None:
    """U (r h) drops the units of h that the gates drop; h itself goes on as it is."""
    cell = make(GRUResetBeforeCell, recurrent_dropout=0.4)
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with backend(choice):
        output = seeded(layer_of(cell), x)[0]
    torch.manual_seed(5)
    mask = torch.empty(N, cell.hidden_size, dtype=F64).bernoulli_(0.6) / 0.6

    def product(name: str, x: Tensor, h: Tensor) -> Any:
        rows = {key: cell.block(key, name) for key in ("weight_ih", "bias_ih")}
        return x @ rows["weight_ih"].T + rows["bias_ih"] + h

    def recurrent(name: str, h: Tensor) -> Any:
        return h @ cell.block("weight_hh", name).T + cell.block("bias_hh", name)

    h, outputs = torch.zeros(N, cell.hidden_size, dtype=F64), []
    for row in x:
        r, z = (torch.sigmoid(product(name, row, recurrent(name, h * mask))) for name in ("r", "z"))
        n = torch.tanh(product("n", row, recurrent("U", r * h * mask)))
        h = (1 - z) * n + z * h
        outputs.append(h)
    assert_same(output, torch.stack(outputs))


@pytest.mark.parametrize("choice", ["c", "reference"])
@pytest.mark.parametrize("rates", [0.3, (0.1, 0.6), (0.0, 0.5), (0.4, 0.0)], ids=str)
def test_zoneout_of_an_lstm(rates: Any, choice: Backend) -> None:
    """h follows the new c, also where c stays, as in the paper's equations."""
    cell = make(LSTMCell, zoneout=rates)
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with backend(choice):
        output, (_, last) = seeded(layer_of(cell), x)
    torch.manual_seed(5)
    of_h, of_c = rates if isinstance(rates, tuple) else (rates, rates)
    drawn = cell.draw_noise(x, cell.initial_states((N,), x))
    nowhere = torch.zeros(T, N, cell.hidden_size)
    stays_h, stays_c = (drawn.get(ZONED + name, nowhere) for name in ("h", "c"))
    assert [bool(each.any()) for each in (stays_h, stays_c)] == [of_h > 0, of_c > 0]
    h = c = torch.zeros(N, cell.hidden_size, dtype=F64)
    cell.zoneout = 0.0
    outputs = []
    for row, kept_h, kept_c in zip(x, stays_h, stays_c, strict=True):
        new_h, new_c = cell(row, (h, c))
        h, c = torch.where(kept_h == 1, h, new_h), torch.where(kept_c == 1, c, new_c)
        outputs.append(h)
    assert_same([output, last[0]], [torch.stack(outputs), c])


@pytest.mark.parametrize("cell_class", cells().values(), ids=lambda cell: cell.__name__)
def test_expectation_in_evaluation(cell_class: type[BaseRecurrentCell]) -> None:
    """Each state is the mean of old and new; nothing is dropped; and no number is drawn."""
    cell = with_noise(cell_class, **BOTH).eval()
    plain = make(cell_class)
    plain.load_state_dict(cell.state_dict())
    plain.eval()
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    before = torch.get_rng_state()
    found = {}
    for choice in ("c", "reference"):
        with backend(choice), torch.no_grad():
            found[choice] = layer_of(cell)(x)
    assert torch.equal(before, torch.get_rng_state())
    assert_same(flat(found["c"]), flat(found["reference"]))
    states, outputs = cell.initial_states((N,), x), []
    moving = len(states) - plain.signature.has_delay
    with torch.no_grad(), backend("reference"):
        for row in x:
            result = plain(row, states if len(states) > 1 else states[0])
            shown, new = result if plain.signature.has_output else (None, result)
            new = (new,) if isinstance(new, Tensor) else tuple(new)
            mixed = [0.3 * old + 0.7 * now for old, now in zip(states, new, strict=True)]
            states = (*mixed[:moving], *new[moving:])  # a delay line holds what was
            outputs.append(states[0] if shown is None else shown)
    assert_same(found["c"][0], torch.stack(outputs))


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.5}, {"zoneout": 0.5}, BOTH], ids=str)
@pytest.mark.parametrize("cell_class", [BRCell, LSTMCell, tauGRUCell, GRUResetBeforeCell])
def test_derivatives(cell_class: type[BaseRecurrentCell], options: dict[str, Any]) -> None:
    """By finite differences, of first and second order, of the input, states and parameters."""
    layer = layer_of(make(cell_class, **options))
    cell: Any = layer.cells[0]
    x = torch.randn(3, 2, cell.input_size, dtype=F64, requires_grad=True)
    states = [each.requires_grad_() for each in flat(states_for(cell, 1, 2))]

    def run(x: Tensor, *given: Tensor) -> Any:
        output, last = seeded(layer, x, given if len(given) > 1 else given[0])
        return (output, *flat(last))

    with backend("c"):
        assert torch.autograd.gradcheck(run, (x, *states))
        assert torch.autograd.gradgradcheck(run, (x, *states))


@pytest.mark.parametrize("form", ["packed", "resets", "mask", "bidirectional", "unbatched"])
def test_forms_of_the_input(form: str) -> None:
    layer = make(LSTM, bidirectional=form == "bidirectional", num_layers=2, **BOTH)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    call: dict[str, Any] = {}
    if form == "resets":
        call = {"resets": torch.rand(T, N) < 0.3}
    elif form == "mask":
        call = {"mask": torch.rand(T, N) < 0.7, "lengths": LENGTHS}
    elif form == "unbatched":
        x = x[:, 0]
    if form != "packed":
        assert_same(results(layer, x, "c", **call), results(layer, x, "reference", **call), 1e-11)
        return
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), enforce_sorted=False)
    padded = seeded(layer, x, lengths=LENGTHS)
    output, last = seeded(layer, packed)
    again, _ = nn.utils.rnn.pad_packed_sequence(output, total_length=T)
    assert_same(flat((again, last)), flat(padded))


def test_a_masked_step_moves_no_state() -> None:
    layer = make(GRU, zoneout=0.5)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    mask = torch.ones(T, N, dtype=torch.bool)
    mask[2:] = False
    assert_same(seeded(layer, x, mask=mask)[1], seeded(layer, x[:2])[1], 0)


def test_frequencies() -> None:
    """Of 64000 and 6400 draws: four deviations are 0.007 and 0.025."""
    cell: Any = LSTMCell(3, 64, recurrent_dropout=0.5, zoneout=(0.25, 0.1))
    masks = masks_of(cell, torch.zeros(10, 100, 3))
    assert {name: mask.dtype for name, mask in masks.items()} == {
        DROPPED + "h": torch.float32,
        ZONED + "h": torch.uint8,
        ZONED + "c": torch.uint8,
    }
    assert abs(float((masks[DROPPED + "h"] == 0).double().mean()) - 0.5) < 0.025
    assert set(masks[DROPPED + "h"].unique().tolist()) == {0.0, 2.0}
    for name, rate in (("h", 0.25), ("c", 0.1)):
        assert abs(float(masks[ZONED + name].double().mean()) - rate) < 0.007
    assert not torch.equal(masks[ZONED + "h"], masks[ZONED + "c"])


def test_each_call_each_cell_and_each_direction_draw_their_own() -> None:
    layer = BR(3, 40, num_layers=2, bidirectional=True, **BOTH)
    x = torch.randn(T, N, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert_same(flat(seeded(layer, x)), flat(seeded(layer, x)), 0)
    drawn: list[dict[str, Tensor]] = []
    for cell in layer.cells:
        assert isinstance(cell, BRCell)
        kept = cell.draw_noise
        cell.draw_noise = lambda *args, kept=kept: drawn.append(kept(*args)) or drawn[-1]  # type: ignore[method-assign, func-returns-value]
    layer(x)
    assert len(drawn) == 4
    assert len({tuple(each[DROPPED + "h"].flatten().tolist()) for each in drawn}) == 4


def test_probabilities_of_zero_and_one() -> None:
    x = torch.randn(T, N, 3)
    bare = BR(3, 5)
    assert torch.equal(BR(3, 5, zoneout=0.0).eval()(x)[1], torch.zeros(1, N, 5)) is False
    for choice in ("c", "reference"):
        with backend(choice):
            assert not BR(3, 5, zoneout=1.0)(x)[0].any()  # it stays zero
            layer = GRU(3, 5, recurrent_dropout=1.0)
            assert layer(x)[0].isfinite().all()
    assert noise_of(bare.cells[0]).masks == ()  # type: ignore[arg-type]


def test_both_parts_of_a_complex_state_stay_together() -> None:
    layer = make(LRU, zoneout=0.5)
    cell: Any = layer.cells[0]
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    assert list(masks_of(cell, x)) == [ZONED + "h"]
    real, imaginary = seeded(layer, x[:1])[1]
    assert ((real == 0) == (imaginary == 0)).all()
    assert (real == 0).any()


def test_a_step_draws_for_itself() -> None:
    """A layer's step and a cell called by itself, with and without gradients, on both paths."""
    layer = make(LSTM, num_layers=2, **BOTH)
    x = torch.randn(N, layer.input_size, dtype=F64)
    expected = seeded(layer, x.unsqueeze(0))
    torch.manual_seed(5)
    found = layer.step(x)
    assert_same(flat(found), [expected[0][0], *flat(expected[1])])
    for choice in ("c", "reference"):
        with torch.no_grad(), backend(choice):
            torch.manual_seed(5)
            assert_same(flat(layer.step(x)), flat(found))
    layer.eval()
    with torch.no_grad():
        assert_same(layer.step(x)[0], layer(x.unsqueeze(0))[0][0])


@pytest.mark.parametrize("layer_class", [BR, LSTM])
@pytest.mark.parametrize("training", [True, False])
def test_compiled(layer_class: Any, training: bool) -> None:
    """Traced, the masks are drawn as torch's compiled code draws them; here eagerly."""
    torch._dynamo.reset()  # or what other tests have compiled counts towards its limit
    layer = make(layer_class, num_layers=2, **BOTH).train(training)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="eager")
    output, last = seeded(compiled, x)
    expected, state = seeded(layer, x)
    assert_same([output, *flat(last)], [expected, *flat(state)])
    found = gradients(layer, output, last)
    assert_same(list(found.values()), list(gradients(layer, expected, state).values()))
    layer.train(not training)
    assert_same(seeded(compiled, x)[0], seeded(layer, x)[0])


@pytest.mark.parametrize("training", [True, False])
def test_exported(training: bool) -> None:
    layer = make(LSTM, **BOTH).train(training)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    program = torch.export.export(layer, (x,)).module()
    assert_same(flat(seeded(program, x)), flat(seeded(layer, x)))


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.5}, {"zoneout": 0.5}, BOTH], ids=str)
def test_the_operator_is_well_formed(options: dict[str, Any]) -> None:
    """As tests/test_backend.py asks of it without noise."""
    cell: Any = LSTMCell(4, 4, **options)
    found = fused(cell)
    assert isinstance(found, Fused)
    data = torch.randn(6, 4)
    states = [torch.randn(2, 4, requires_grad=True) for _ in cell.state_names]
    for sequences, sizes in ((data.view(3, 2, 4), None), (data, torch.tensor([2, 2, 1, 1]))):
        masks = list(cell.draw_noise(sequences, tuple(states)).values())
        weights = list(cell.parameters())
        arguments: Any = (found.key, sequences, sizes, weights, [*states, *masks], [], True)
        torch.library.opcheck(torch.ops.torchrecurrent.sequence, arguments)
        wrong = [mask[..., :3] for mask in masks]
        with pytest.raises(RuntimeError, match=r"mask [hc]: expected shape"):
            torch.ops.torchrecurrent.sequence(*arguments[:4], [*states, *wrong], [], False)


def test_a_mode_has_its_own_kernel() -> None:
    layer = GRU(3, 5, zoneout=0.5)
    cell: Any = layer.cells[0]
    training, plain = fused(cell), fused(GRUCell(3, 5))
    layer.eval()
    assert isinstance(training, Fused)
    assert isinstance(plain, Fused)
    assert len({training.key, fused(cell).key, plain.key}) == 3  # type: ignore[union-attr]
    cell.zoneout = 0.25  # other rates are the same kernel
    assert fused(cell).key != training.key  # type: ignore[union-attr]
    layer.train()
    assert fused(cell) is training
    assert "const uint8_t *" in layer.kernel_source()


def test_narrow() -> None:
    """bfloat16 has the same masks; the kernel computes it in float32."""
    layer = LSTM(3, 5, **BOTH)
    x = torch.randn(T, N, 3)
    wide = seeded(layer, x)[0]
    narrow = seeded(layer.bfloat16(), x.bfloat16())[0]
    assert_same(narrow.float(), wide, 0.05)  # some roundings of eight bits
    with torch.autocast("cpu", torch.bfloat16):
        assert seeded(layer.float(), x)[0].isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrent_dropout": 1.5}, r"recurrent_dropout should be a number in range \[0, 1\]"),
        ({"recurrent_dropout": -0.1}, r"recurrent_dropout should be a number in range \[0, 1\]"),
        ({"zoneout": 1.5}, r"zoneout should be a number in range \[0, 1\].* got 1\.5"),
        ({"zoneout": (0.1, -0.5)}, r"zoneout should be a number in range \[0, 1\].* got -0\.5"),
        ({"zoneout": (0.1,)}, r"zoneout: expected .* one for each of the states \(h, c\)"),
        ({"zoneout": float("nan")}, "zoneout must be a finite number"),
        ({"recurrent_dropout": 0.5, "checkpoint_every": 3}, "recurrent_dropout draws a mask at"),
    ],
    ids=str,
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LSTM(3, 5, **options)


@pytest.mark.parametrize("name", ["recurrent_dropout", "zoneout"])
@pytest.mark.parametrize("value", [True, "0.5", None], ids=str)
def test_values_of_another_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} should be of type float"):
        LSTM(3, 5, **{name: value})


WITHOUT = [each for each in cells().values() if not has_recurrent_weight(each)]


@pytest.mark.parametrize("cell_class", WITHOUT, ids=lambda cell: cell.__name__)
def test_nothing_to_drop(cell_class: type[BaseRecurrentCell]) -> None:
    name = cell_class.__name__
    with pytest.raises(ValueError, match=f"{name} has no recurrent weight that multiplies"):
        make(cell_class, recurrent_dropout=0.5)


def test_steps_that_are_computed_again_have_the_same_masks() -> None:
    layer = make(LSTM, zoneout=0.5, checkpoint_every=2)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    first = results(layer, x, "c")
    assert_same(results(layer, x, "reference"), first)
    assert not torch.equal(first[0], results(layer, x[:, :1].expand_as(x), "c")[0])


def test_an_export_to_onnx_in_training() -> None:
    pytest.importorskip("onnx", reason="the exporter needs it")
    layer = LSTM(3, 5, zoneout=0.5)
    with (
        pytest.warns(UserWarning, match="while it is in training mode"),
        pytest.raises(torch.onnx.errors.OnnxExporterError) as found,
    ):
        torch.onnx.export(layer, (torch.randn(T, N, 3),), dynamo=True, verbose=False)
    assert "draw masks in training" in str(found.value.__cause__)


def test_repr() -> None:
    layer = LSTM(3, 5, recurrent_dropout=0.5, zoneout=(0.1, 0.2))
    assert "recurrent_dropout=0.5, zoneout=(0.1, 0.2)" in repr(layer)
    assert "zoneout" not in repr(LSTM(3, 5))
