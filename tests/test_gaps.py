"""The time since the step before: what it means, with the loop written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torchrecurrent import LEM, LEMCell, Recurrent, backend
from torchrecurrent.catalog.listing import cells
from torchrecurrent.cell import BaseRecurrentCell
from torchrecurrent.engine import Backend, Given
from torchrecurrent.engine.program.given import NOTHING
from torchrecurrent.engine.run import dispatch
from torchrecurrent.engine.run.kernels import fused

from .making import assert_same, gradients, make, states_for, tensors

F64 = torch.float64
T, N = 7, 4
LENGTHS = [7, 2, 5, 1]
CHOICES: list[Backend] = ["c", "reference"]
TIMED = {name: kind for name, kind in cells().items() if kind.signature.gap is not None}
UNTIMED = {name: kind for name, kind in cells().items() if name not in TIMED}


def times(*shape: int) -> Tensor:
    """Times between steps, from 0.1 to 1.1."""
    return torch.rand(*shape, dtype=F64) + 0.1


def shown_and_kept(cell: BaseRecurrentCell, result: Any) -> tuple[Tensor, Any]:
    """The output of a step and its new states."""
    if cell.signature.has_output:
        return result[0], result[1]
    return result if isinstance(result, Tensor) else result[0], result


def stepped(cell: BaseRecurrentCell, x: Tensor, hx: Any, dt: Tensor) -> tuple[Tensor, Any]:
    """Step by step, for each sequence by itself, with a cell whose option is the time."""
    outputs, last, name = [], [], str(cell.signature.gap)
    for n in range(x.size(1)):
        state = hx[n : n + 1] if isinstance(hx, Tensor) else tuple(h[n : n + 1] for h in hx)
        shown = []
        for t in range(x.size(0)):
            setattr(cell, name, float(dt[t, n]))
            output, state = shown_and_kept(cell, cell(x[t, n : n + 1], state))
            shown.append(output)
        outputs.append(torch.stack(shown))
        last.append((state,) if isinstance(state, Tensor) else state)
    states = tuple(torch.cat(parts) for parts in zip(*last, strict=True))
    return torch.cat(outputs, 1), states[0] if len(states) == 1 else states


def test_these_cells_have_times() -> None:
    named = "AntisymmetricRNN CfC coRNN CTRNN GatedAntisymmetricRNN LEM LipschitzRNN UnICORNN"
    assert {f"{name}Cell" for name in named.split()} <= set(TIMED)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", TIMED)
def test_a_step_has_its_own_time_in_place_of_the_option(name: str, choice: Backend) -> None:
    cell = make(TIMED[name])
    x, dt, hx = torch.randn(T, N, cell.input_size, dtype=F64), times(T, N), states_for(cell, N)
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    given = hx.unsqueeze(0) if isinstance(hx, Tensor) else tuple(h.unsqueeze(0) for h in hx)
    with backend(choice):
        output, state = layer(x, given, dt=dt)
        one, _ = layer(x, given, dt=dt[0])
        alone = cell(x[0], hx, dt=dt[0])
        with torch.no_grad():
            assert_same(cell(x[0], hx, dt=dt[0]), alone)
    expected, last = stepped(cell, x, hx, dt)
    assert_same(output, expected)
    assert_same([each.squeeze(0) for each in tensors(state)], last)
    assert_same(shown_and_kept(cell, alone)[0], expected[0])
    assert_same(one, stepped(cell, x, hx, dt[0].expand(T, N))[0])


@pytest.mark.parametrize("name", TIMED)
def test_the_kernel_has_the_loops_gradients_of_times_too(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4)
    x, dt = torch.randn(T, N, 3, dtype=F64), times(T, N)
    found = []
    for choice in CHOICES:
        leaves = [x.clone().requires_grad_(), dt.clone().requires_grad_()]
        with backend(choice):
            assert choice in layer.explain(leaves[0], dt=leaves[1])
            output, state = layer(leaves[0], dt=leaves[1])
        grads = gradients(layer, output, state)
        found.append([output, state, *(leaf.grad for leaf in leaves), *grads.values()])
    assert_same(found[0], found[1], 1e-11)  # sums over more steps and units than one value's


@pytest.mark.parametrize("name", TIMED)
def test_gradcheck(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4)
    x, dt = torch.randn(3, 2, 3, dtype=F64), times(3, 2)
    for leaves in ([x, dt], [x, dt[0]]):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        assert torch.autograd.gradcheck(lambda x, dt: tuple(tensors(layer(x, dt=dt))), inputs)
    with backend("reference"):
        assert torch.autograd.gradgradcheck(
            lambda x, dt: layer(x, dt=dt)[0], [x.requires_grad_(), dt.requires_grad_()]
        )


@pytest.mark.parametrize("name", TIMED)
def test_packed_padded_and_reversed_sequences(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4, bidirectional=True)
    x, dt = torch.randn(T, N, 3, dtype=F64), times(T, N)
    packed, gaps = (pack_padded_sequence(each, LENGTHS, enforce_sorted=False) for each in (x, dt))
    output, state = layer(packed, dt=gaps)
    padded, last = layer(x, dt=dt, lengths=LENGTHS)
    assert_same([pad_packed_sequence(output, total_length=T)[0], state], [padded, last])
    for n, length in enumerate(LENGTHS):
        alone, _ = layer(x[:length, n], dt=dt[:length, n])
        assert_same(padded[:length, n], alone)
    one = layer(packed, dt=dt[0])[0]
    expected = layer(x, dt=dt[:1].expand(T, N), lengths=LENGTHS)[0]
    # backwards the first step has the sequence's number, not the option
    assert_same(pad_packed_sequence(one, total_length=T)[0][..., :4], expected[..., :4])


def test_backwards_a_step_has_the_time_to_the_one_after_it() -> None:
    layer = Recurrent(make(TIMED["LEMCell"], dt=0.7), 3, 4, bidirectional=True)
    x, dt = torch.randn(T, N, 3, dtype=F64), times(T, N)
    backwards = Recurrent(layer.cells[1], 3, 4)
    turned = torch.cat([torch.full((1, N), 0.7, dtype=F64), dt.flip(0)[:-1]])
    expected = backwards(x.flip(0), dt=turned)[0].flip(0)
    assert_same(layer(x, dt=dt)[0][..., 4:], expected)
    expected = backwards(x.flip(0), dt=dt[0])[0].flip(0)
    assert_same(layer(x, dt=dt[0])[0][..., 4:], expected)


def test_cells_further_up_a_stack_are_asked_at_their_own_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A narrower one is not taken to be given times by the input's last column."""
    seen: list[bool] = []

    def counted(cell: BaseRecurrentCell, given: Given = NOTHING) -> Any:
        seen.append(given.gaps)
        return fused(cell, given)

    monkeypatch.setattr(dispatch, "fused", counted)
    layer = LEM(5, 4, num_layers=2, dtype=F64)
    x = torch.randn(T, N, 5, dtype=F64)
    layer.explain(x)
    assert seen == [False, False]
    layer.explain(x, dt=times(T, N))
    assert seen[2:] == [True, True]


def test_layouts() -> None:
    layer = make(LEM)
    first = make(LEM, batch_first=True)
    first.load_state_dict(layer.state_dict())
    x, dt = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N)
    expected, _ = layer(x, dt=dt)
    assert_same(first(x.transpose(0, 1), dt=dt.T)[0].transpose(0, 1), expected)
    assert_same(first(x.transpose(0, 1), dt=dt[0])[0].transpose(0, 1), layer(x, dt=dt[0])[0])
    assert_same(layer(x[:, 0], dt=dt[:, 0])[0], expected[:, 0])
    assert_same(layer.step(x[0], dt=dt[0])[0], expected[0])
    assert_same(layer.step(x[0, 0], dt=dt[0, 0])[0], expected[0, 0])


@pytest.mark.parametrize("choice", CHOICES)
def test_time_passes_in_masked_steps_but_not_across_resets(choice: Backend) -> None:
    layer = make(LEM)
    x, dt = torch.randn(T, 2, layer.input_size, dtype=F64), times(T, 2)
    mask = torch.ones(T, 2, dtype=torch.bool)
    mask[2:4, 0] = False
    with backend(choice):
        output, _ = layer(x, dt=dt, mask=mask)
        kept = [0, 1, 4, 5, 6]
        longer = dt[kept, :1].clone()
        longer[2] += dt[2:4, :1].sum(0)
        assert_same(output[kept, :1], layer(x[kept, :1], dt=longer)[0])
        assert_same(output[:, 1:], layer(x[:, 1:], dt=dt[:, 1:])[0])
        resets = torch.zeros(T, 2, dtype=torch.bool)
        resets[3, 0] = True  # the time of step 2, which is masked, was before it
        output, _ = layer(x, dt=dt, mask=mask, resets=resets)
        longer = dt[4:, :1].clone()
        longer[0] += dt[3, :1]
        assert_same(output[4:, :1], layer(x[4:, :1], dt=longer)[0])


def test_a_time_of_zero_is_no_time() -> None:
    layer = make(LEM)
    x, dt = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N)
    dt[3] = 0
    output, _ = layer(x, dt=dt)
    assert_same(output[3], output[2])


def test_steps_that_are_computed_again_have_the_same_times() -> None:
    plain, again = make(LEM), make(LEM, checkpoint_every=2)
    again.load_state_dict(plain.state_dict())
    x, dt = torch.randn(T, N, plain.input_size, dtype=F64), times(T, N)
    found = []
    for layer in (plain, again):
        leaves = [x.clone().requires_grad_(), dt.clone().requires_grad_()]
        output, state = layer(leaves[0], dt=leaves[1])
        grads = gradients(layer, output, state)
        found.append([output, *(leaf.grad for leaf in leaves), *grads.values()])
    assert_same(found[0], found[1])


def test_compiled_and_exported() -> None:
    layer = make(LEM, num_layers=2)
    x, dt = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N)
    expected, _ = layer(x, dt=dt)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert_same(compiled(x, dt=dt)[0], expected)
    assert_same(compiled(x)[0], layer(x)[0])
    program = torch.export.export(layer, (x,), {"dt": dt}).module()
    assert_same(program(x, dt=dt)[0], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch.func's own code
def test_transformed() -> None:
    layer = make(LEM)
    x, dt = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N)
    expected, _ = layer(x, dt=dt)
    mapped = torch.func.vmap(lambda x, dt: layer(x, dt=dt)[0], in_dims=1, out_dims=1)(x, dt)
    assert_same(mapped, expected)
    tangent = torch.func.jvp(lambda dt: layer(x, dt=dt)[0], (dt,), (torch.ones_like(dt),))[1]
    step = 1e-6
    ahead, behind = (layer(x, dt=dt + sign * step)[0] for sign in (1, -1))
    assert_same(tangent, (ahead - behind) / (2 * step), 1e-8)  # the step squared, and roundings


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_in_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the exporter needs it")
    onnxruntime = pytest.importorskip("onnxruntime", reason="it runs what is exported")
    layer = LEM(3, 4).eval()
    x, dt = torch.randn(T, N, 3), times(T, N).float()
    path = str(tmp_path / "lem.onnx")
    torch.onnx.export(layer, (x,), path, kwargs={"dt": dt}, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    found = session.run(None, {"input": x.numpy(), "dt": dt.numpy()})[0]
    assert_same(torch.from_numpy(found), layer(x, dt=dt)[0], 1e-5)  # as tests/test_onnx.py asks


def test_with_noise() -> None:
    layer = make(LEM, recurrent_dropout=0.3, zoneout=0.2)
    x, dt, found = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N), []
    for choice in CHOICES:
        torch.manual_seed(3)
        with backend(choice):
            found.append(layer(x, dt=dt)[0])
    assert_same(found[0], found[1])


@pytest.mark.parametrize("name", UNTIMED)
def test_other_cells_refuse_times(name: str) -> None:
    cell = make(UNTIMED[name])
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    message = f"dt: the step of {name} doesn't depend on the time since the step before"
    x = torch.randn(T, N, cell.input_size, dtype=F64)
    with pytest.raises(TypeError, match=message):
        layer(x, dt=times(T, N))
    with pytest.raises(TypeError, match=message):
        cell(x[0], dt=times(N))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda dt: dt[:3], ValueError, r"dt: expected shape \(7, 4\), a number for each step, or"),
        (lambda dt: dt.unsqueeze(-1), ValueError, r"dt: expected shape .* got \(7, 4, 1\)"),
        (lambda dt: dt.float(), ValueError, "dt: RNN input dtype"),
        (lambda dt: -dt, ValueError, "dt: expected finite numbers from 0, got some from -1"),
        (lambda dt: dt * torch.nan, ValueError, "dt: expected finite numbers from 0, got some"),
        (lambda dt: dt / 0, ValueError, "dt: expected finite numbers from 0, got .* to inf"),
        (lambda dt: 0.1, TypeError, "dt should be a Tensor, got: float"),
    ],
)
def test_other_times_are_refused(change: Any, error: type[Exception], message: str) -> None:
    layer = make(LEM)
    dt = times(T, N)
    dt[0] += 1
    with pytest.raises(error, match=message):
        layer(torch.randn(T, N, layer.input_size, dtype=F64), dt=change(dt))


def test_packed_times_are_of_the_inputs_lengths() -> None:
    layer = make(LEM)
    x, dt = torch.randn(T, N, layer.input_size, dtype=F64), times(T, N)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    others = pack_padded_sequence(dt, [7, 7, 5, 1], enforce_sorted=False)
    with pytest.raises(ValueError, match="dt: expected sequences of the lengths of the input's"):
        layer(packed, dt=others)
    with pytest.raises(TypeError, match="dt should be a PackedSequence, as the input is"):
        layer(packed, dt=[1.0])


def test_a_cell_that_projects_by_itself_has_no_times() -> None:
    class OwnProjection(LEMCell):
        def project(self, input: Tensor) -> Any:
            return super().project(input)

    layer = Recurrent(make(OwnProjection), 3, 4)
    with pytest.raises(TypeError, match="dt: OwnProjection overrides project"):
        layer(torch.randn(T, N, 3, dtype=F64), dt=times(T, N))
