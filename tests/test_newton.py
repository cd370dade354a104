"""All steps at once, by Newton's method: what the loop computes, or the loop."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn, tanh

from torchrecurrent import (
    BR,
    GRU,
    LRU,
    LSTM,
    QRNN,
    TRNN,
    BaseRecurrentCell,
    BRCell,
    IndRNN,
    ParaGRU,
    Recurrent,
    RecurrentLayer,
    backend,
    mLSTM,
    tauGRU,
)
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine import Backend
from torchrecurrent.engine.program.kind import recurrence_kind
from torchrecurrent.engine.run import at_once, newton
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.engine.run.linear_scan import by_steps, scan
from torchrecurrent.engine.run.newton import not_elementwise
from torchrecurrent.roles import Constant, Gate, Projected, State

from .making import (
    LAYER_OPTIONS,
    assert_same,
    fitting,
    input_for,
    make,
    randomize,
    rebuilt,
    tensors,
)
from .test_engine import build, results

F64 = torch.float64
KINDS: list[dict[str, Any]] = [{}, {"recurrence": "diagonal"}]
PATHS: tuple[Backend, ...] = ("newton", "reference")
TIMED = {name: kind for name, kind in cells().items() if kind.signature.gap is not None}
RAGGED = [7, 20, 1, 12, 20]
#: Where a number of iterations finds nothing, the loop runs.
LOOP = "loop"


@pytest.fixture
def iterations(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """How many iterations each call has taken."""
    found: list[int | str] = []
    solve = newton.solve

    def recorded(*args: Any, **kwargs: Any) -> newton.Solution | None:
        solution = solve(*args, **kwargs)
        found.append(LOOP if solution is None else solution.iterations)
        return solution

    monkeypatch.setattr(at_once, "solve", recorded)
    return found


def fused_of(layer: Any) -> Fused:
    found = fused(layer.cells[0])
    assert isinstance(found, Fused)
    return found


def assert_equals_the_loop(layer: Any, input: Tensor, **call: Any) -> None:
    """In output, last states, and all gradients.

    The tolerance is that of the kernels: sums over steps and sequences, in another order.
    """
    expected = results(layer, input, "reference", **call)
    largest = max(float(each.detach().abs().max()) for each in expected)
    assert_same(results(layer, input, "newton", **call), expected, 1e-12 * max(1.0, largest))


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_equals_the_reference(
    layer_class: type[RecurrentLayer], options: dict[str, Any], iterations: list[int | str]
) -> None:
    layer = build(layer_class, 5, dtype=F64, **options)
    input, plan = input_for(layer, 20, 5), fused_of(layer).plan
    reason = not_elementwise(plan)
    if reason:
        assert f": reference: {reason}" in explained(layer, input)
        with backend("newton"), pytest.raises(RuntimeError, match="backend='newton' can't run"):
            layer(input)
        return
    assert ": newton: " in explained(layer, input)
    with torch.no_grad():
        hx = layer(input)[1]
    assert_equals_the_loop(layer, input, hx=hx)
    assert_equals_the_loop(layer, input, hx=hx, lengths=RAGGED)
    if recurrence_kind(plan).endswith("linear"):
        assert iterations == [1, 1]
    assert LOOP not in iterations


def explained(layer: Any, input: Tensor, hx: Any = None) -> str:
    with backend("newton"):
        return str(layer.explain(input, hx))


@pytest.mark.parametrize("options", LAYER_OPTIONS, ids=str)
@pytest.mark.parametrize("kind", [BR, LSTM, LRU, QRNN, tauGRU], ids=lambda kind: kind.__name__)
def test_options_and_lengths(
    kind: type[RecurrentLayer], options: dict[str, Any], iterations: list[int | str]
) -> None:
    """Masks of a dropout and of zoneout too, which are drawn before the sequence runs."""
    options = {"recurrence": "diagonal", **fitting(kind, options)}
    if options["recurrence"] == "dense":
        return
    layer = build(kind, 6, dtype=F64, **options)
    input = input_for(layer, 5, 20) if "batch_first" in options else input_for(layer, 20, 5)
    if not_elementwise(fused_of(layer).plan):
        assert options.get("integration") == "layer_norm"  # an average joins units
        with backend("newton"), pytest.raises(RuntimeError, match="joins units of its state"):
            layer(input)
        return
    assert_equals_the_loop(layer, input)
    assert_equals_the_loop(layer, input, lengths=RAGGED)
    layer.eval()
    assert_equals_the_loop(layer, input)
    assert LOOP not in iterations


@pytest.mark.parametrize("name", TIMED)
def test_times_between_steps(name: str, iterations: list[int | str]) -> None:
    layer = build(layer_of(TIMED[name]), 5, dtype=F64, recurrence="diagonal")
    if not_elementwise(fused_of(layer).plan):
        return  # it is refused with and without them
    dt = torch.rand(20, 5, dtype=F64) + 0.1
    assert_equals_the_loop(layer, input_for(layer, 20, 5), dt=dt)
    assert iterations
    assert LOOP not in iterations


@pytest.mark.parametrize("call", [{}, {"lengths": [2, 3]}], ids=str)
@pytest.mark.parametrize(
    "make_layer",
    [
        partial(BR, 2, 3),
        partial(LSTM, 2, 3, recurrence="diagonal"),
        partial(LRU, 2, 3),  # with a readout
        partial(QRNN, 2, 3),  # with a state that is the input
        partial(tauGRU, 2, 3, recurrence="diagonal", delay=2),
        partial(BR, 2, 2, bidirectional=True),
    ],
    ids=lambda each: each.func.__name__,
)
def test_gradients_are_differences(make_layer: Any, call: dict[str, Any]) -> None:
    """Of the first and the second order, and many at once."""
    layer = randomize(make_layer(dtype=F64))
    names = [name for name, _ in layer.named_parameters()]
    input = input_for(layer, 3, 2)
    like = layer(input)[1]
    first = [torch.rand_like(each) for each in tensors(like)]
    leaves = [each.detach().clone().requires_grad_() for each in (input, *first)]
    leaves += [each.detach().clone().requires_grad_() for each in layer.parameters()]

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        hx = rebuilt(like, iter(values[1:]))
        parameters = dict(zip(names, values[1 + len(first) :], strict=True))
        with backend("newton"):
            called = torch.func.functional_call(layer, parameters, (values[0], hx), call)
        return tuple(tensors(called))

    assert torch.autograd.gradcheck(function, leaves, check_batched_grad=True)
    # at random directions, since there are many
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    layer = build(LSTM, 4, recurrence="diagonal", frozen=("weight_ih",), dtype=F64)
    input = input_for(layer, 6, 2)
    hx = tuple(torch.rand(1, 2, 4, dtype=F64) for _ in range(2))
    hx[1].requires_grad_()
    found = []
    for path in PATHS:
        layer.zero_grad()
        hx[1].grad = None
        with backend(path):
            layer(input, hx)[1][1].sum().backward()  # of the last state alone
        assert layer.cells[0].weight_ih.grad is None
        grads = [layer.cells[0].weight_hh.grad, hx[1].grad]
        found.append([grad.clone() for grad in grads if grad is not None])
    assert_same(found[0], found[1])
    assert len(found[0]) == 2


def test_a_few_iterations_find_a_long_sequence(iterations: list[int | str]) -> None:
    for kind in (GRU, LSTM, ParaGRU):
        for dtype in (torch.float32, F64):
            layer = kind(3, 8, dtype=dtype, recurrence="diagonal")
            input = torch.randn(1000, 4, 3, dtype=dtype)
            with torch.no_grad():
                with backend("newton"):
                    found = layer(input)
                with backend("reference"):
                    expected = layer(input)
            # what is left when an iteration changes nothing more: see newton.ROUNDINGS
            assert_same(found, expected, newton.ROUNDINGS * torch.finfo(dtype).eps)
    assert LOOP not in iterations
    assert all(each <= 7 for each in iterations if isinstance(each, int))


def test_errors_are_those_of_the_loop(layer_class: type[RecurrentLayer]) -> None:
    """In float32, over long sequences: within three times its error, as for the kernels.

    The largest of all numbers, and the mean of three draws, as a single one may be lucky.
    """
    errors = dict.fromkeys(PATHS, 0.0)
    for seed in range(3):
        torch.manual_seed(seed)
        layer = build(layer_class, 5, recurrence="diagonal")
        if not_elementwise(fused_of(layer).plan):
            return
        input = input_for(layer, 100, 3, dtype=torch.float32)
        exact = results(copy.deepcopy(layer).double(), input.double(), "reference")
        for path in PATHS:
            found = results(layer, input, path)
            errors[path] += max(
                float((one - other).abs().max() / other.abs().max())
                for one, other in zip(found, exact, strict=True)
                if other.any()
            )
    assert errors["newton"] <= 3 * errors["reference"]


def test_a_linear_cell_takes_one_iteration(iterations: list[int | str]) -> None:
    for layer in (TRNN(3, 8, dtype=F64), LRU(3, 8, dtype=F64), QRNN(3, 8, dtype=F64)):
        input = torch.randn(1000, 4, 3, dtype=F64)
        assert "newton: one linear scan over all time steps in torch.float64" in explained(
            layer, input
        )
        assert_equals_the_loop(layer, input)
    assert iterations == [1, 1, 1]


class DetachedCell(BaseRecurrentCell):
    """Linear in a state, of which half has no derivative."""

    @staticmethod
    def step(h: State, n: Gate) -> Tensor:
        return 0.4 * h + 0.5 * h.detach() + n


class ForgetfulCell(BaseRecurrentCell):
    """With a state of which nothing is left after a step."""

    @staticmethod
    def step(h: State, n: Projected) -> Tensor:
        return tanh(n)


class SumCell(BaseRecurrentCell):
    """The sine of a sum, whose derivative changes its sign from state to state."""

    gain: float = 5.0

    @staticmethod
    def step(h: State, n: Projected, gain: Constant) -> Tensor:
        return torch.sin(gain * h + n)


def test_steps_that_have_not_their_derivative(iterations: list[int | str]) -> None:
    """Each iteration is right at one more step, whatever the matrices are."""
    layer = build_of(DetachedCell, recurrence="diagonal")
    assert_equals_the_loop(layer, input_for(layer, 9, 5))
    assert iterations[0] not in (LOOP, 1)
    layer = build_of(ForgetfulCell)
    assert_equals_the_loop(layer, input_for(layer, 9, 5))
    assert iterations[1] == 0


def build_of(cell: type[BaseRecurrentCell], **options: Any) -> Any:
    return randomize(Recurrent(cell, 3, 5, dtype=F64, **options))


def test_what_is_not_found_is_the_loops(
    iterations: list[int | str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chaotic = build_of(SumCell)
    input = input_for(chaotic, 60, 2)
    expected = results(chaotic, input, "reference")
    assert_same(results(chaotic, input, "newton"), expected, 0)  # the same loop
    assert_same(
        results(chaotic, input, "newton", lengths=[60, 41]),
        results(chaotic, input, "reference", lengths=[60, 41]),
        0,
    )
    assert iterations == [LOOP, LOOP]
    layer = build(BR, 5, dtype=F64)
    monkeypatch.setattr(at_once, "solve", partial(vars(at_once)["solve"], most=2))
    input = input_for(layer, 20, 5)
    assert_same(results(layer, input, "newton"), results(layer, input, "reference"), 0)
    assert iterations[2:] == [LOOP]


def test_what_is_not_finite_is_the_loops(iterations: list[int | str]) -> None:
    layer = build(BR, 5, dtype=F64)
    input = input_for(layer, 9, 3)
    input[4, 1] = torch.nan
    input[5, 2] = torch.inf
    with backend("newton"):
        found = layer(input)
    with backend("reference"):
        expected = layer(input)
    for one, other in zip(tensors(found), tensors(expected), strict=True):
        assert other.isnan().any()
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert iterations == [LOOP]


@pytest.mark.parametrize("place", [0, 4])
def test_a_product_that_overflows_spoils_nothing(place: int) -> None:
    """Each step multiplies a positive state by 1e20, and in a float32 two of them overflow."""
    layer = IndRNN(3, 5, nonlinearity="relu", bias=False)
    for name, parameter in layer.named_parameters():
        nn.init.constant_(parameter, 1e20 if name.endswith("vector_u") else 0.1)
    input = torch.zeros(11, 2, 3)
    input[place] = 1e-25
    found = []
    for path in PATHS:
        leaf = input.clone().requires_grad_()
        with backend(path):
            output = layer(leaf)[0]
        output[place].sum().backward()
        assert leaf.grad is not None
        found.append((output.detach(), leaf.grad))
    assert_same(found[0], found[1], 0)
    assert found[0][1].isfinite().all()


def test_gradients_go_step_by_step_where_a_product_overflows() -> None:
    slopes = torch.full((1, 1, 6, 1, 1), 1e200, dtype=F64)
    passed = torch.zeros(1, 6, 1, 1, dtype=F64)
    passed[0, 1] = 1e-100
    expected = torch.tensor([1e100, 1e-100, 0, 0, 0, 0], dtype=F64)
    torch.testing.assert_close(
        at_once._backwards(slopes, passed).flatten(), expected, rtol=1e-15, atol=0
    )


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 13, 64])
def test_a_scan_is_the_loop(steps: int, size: int) -> None:
    matrices = torch.randn(size, size, steps, 2, 3, dtype=F64) / size
    vectors = torch.randn(size, steps, 2, 3, dtype=F64)
    matrices[:, :, 0] = torch.nan  # there is nothing that it would multiply
    state, expected = torch.zeros(size, 2, 3, dtype=F64), []
    for t in range(steps):
        moved = torch.einsum("ij...,j...->i...", matrices[:, :, t], state) if t else state
        state = moved + vectors[:, t]
        expected.append(state)
    assert_same(scan(matrices, vectors), torch.stack(expected, 1))
    assert_same(by_steps(matrices, vectors), torch.stack(expected, 1))


def test_what_joins_units_is_refused_and_says_why() -> None:
    class OwnCell(BRCell):
        def update(self, *args: Any) -> Any:
            return super().update(*args)

    input = torch.randn(4, 2, 3)
    cases: list[tuple[Any, str]] = [
        (LSTM(3, 5), "its step multiplies the state 'h' by the matrix 'weight_hh', and only units"),
        (mLSTM(3, 5), "its step joins units of its state"),
        (Recurrent(OwnCell, 3, 5), "OwnCell overrides update"),
        (Recurrent(nn.GRUCell, 3, 5), "multiplies the state"),
    ]
    for layer, reason in cases:
        assert ": reference: " in explained(layer, input)
        assert reason in explained(layer, input)
        with backend("newton"), pytest.raises(RuntimeError, match=f"can't run .*: .*{reason}"):
            layer(input)


def test_the_sentence_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, input = BR(3, 5), torch.randn(4, 2, 3)
    monkeypatch.setenv("TORCHRECURRENT_BACKEND", "newton")
    assert (
        "newton: all time steps at once in torch.float32, in at most 32 iterations; the reference "
        "loop where these do not find the states"
    ) in layer.explain(input)
    assert "torch.float32" in BR(3, 5, dtype=torch.bfloat16).explain(input.bfloat16())
    assert "reference: there is nothing to compute" in layer.explain(input[:, :0])


class UnitsCell(nn.Module):
    """A module from outside whose units see themselves alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.own = nn.Linear(3, 5), nn.Parameter(torch.rand(5))

    def forward(self, input: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.inward(input) + self.own * h)


def test_a_module_from_outside(iterations: list[int | str]) -> None:
    layer = Recurrent([UnitsCell()], 3, 5).double()
    input = torch.randn(20, 5, 3, dtype=F64)
    assert_equals_the_loop(layer, input, hx=torch.randn(1, 5, 5, dtype=F64))
    assert_equals_the_loop(layer, input, lengths=RAGGED)
    assert len(iterations) == 2
    assert LOOP not in iterations


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_what_is_traced_or_transformed_runs_the_loop(iterations: list[int | str]) -> None:
    layer = build(BR, 5, dtype=F64)
    input = input_for(layer, 4, 2)
    sentences: list[str] = []

    def seen(one: Tensor) -> Tensor:
        sentences.append(layer.explain(one))
        found: Tensor = layer(one)[0]
        return found

    with backend("reference"):
        expected = layer(input)[0]
    with backend("newton"):
        assert_same(torch.func.vmap(seen, in_dims=1, out_dims=1)(input), expected)
        torch.func.jvp(seen, (input,), (input,))
        compiled = torch.compile(lambda one: layer(one)[0], backend="eager")(input)
        assert_same(compiled, expected)
    assert all("reference: operations are being traced" in each for each in sentences)
    assert not iterations


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_numbers_are_computed_in_float32(
    narrow: torch.dtype, iterations: list[int | str]
) -> None:
    layer = build(BR, 5, dtype=torch.float32)
    input = torch.randn(9, 3, 3)
    exact = layer(input)[0].detach()
    for given in (torch.float32, narrow):
        leaf = input.to(given, copy=True).requires_grad_()
        with torch.autocast("cpu", narrow), backend("newton"):
            found = layer(leaf)
        assert {each.dtype for each in tensors(found)} == {given}
        found[0].float().sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.dtype == given
        # the input and the results are rounded to eight bits
        assert_same(found[0].float(), exact, 0.02)
    layer = layer.to(narrow)
    with backend("newton"):
        assert layer(input.to(narrow))[0].dtype == narrow
    assert len(iterations) == 3


def test_inference_mode(iterations: list[int | str]) -> None:
    layer = build(BR, 5, dtype=F64)
    with torch.inference_mode():
        input = input_for(layer, 9, 3)
        with backend("newton"):
            found = layer(input)[0]
        with backend("reference"):
            assert_same(found, layer(input)[0])
    assert iterations[0] != LOOP


def test_the_output_may_be_changed_in_place() -> None:
    layer = build(LSTM, 5, dtype=F64, recurrence="diagonal")
    input, found = input_for(layer, 9, 3), []
    for path in PATHS:
        leaf = input.clone().requires_grad_()
        with backend(path):
            output, (h, _) = layer(leaf)
        (output.mul(2) if path == "reference" else output.mul_(2)).sum().backward(retain_graph=True)
        h.sum().backward()  # and run backwards twice
        assert leaf.grad is not None
        found.append(leaf.grad)
    assert_same(found[0], found[1])


@pytest.mark.filterwarnings("ignore:torch.utils.checkpoint")
def test_checkpoints(iterations: list[int | str]) -> None:
    plain, again = build(BR, 5, dtype=F64), build(BR, 5, dtype=F64, checkpoint_every=4)
    again.load_state_dict(plain.state_dict())
    input = input_for(plain, 9, 3)
    assert_same(results(again, input, "newton"), results(plain, input, "reference"))
    assert iterations
    assert LOOP not in iterations

    def whole(leaf: Tensor) -> Tensor:
        found: Tensor = torch.utils.checkpoint.checkpoint(
            lambda one: plain(one)[0], leaf, use_reentrant=False
        )
        return found

    found = []
    for path in PATHS:
        leaf = input.clone().requires_grad_()
        with backend(path):
            (whole(leaf) if path == "newton" else plain(leaf)[0]).sin().sum().backward()
        assert leaf.grad is not None
        found.append(leaf.grad)
    assert_same(found[0], found[1])


def test_an_option_that_changes_before_the_backward_pass() -> None:
    layer = build_of(SumCell)
    layer.cells[0].gain = 0.5
    with backend("newton"):
        output = layer(input_for(layer, 9, 3))[0]
    layer.cells[0].gain = 0.6
    with pytest.raises(RuntimeError, match="an option was changed between the forward and the"):
        output.sum().backward()


def test_a_cell_by_itself_takes_its_step() -> None:
    cell: Any = make(BR.cell)
    input = input_for(cell, 3)
    with backend("reference"):
        expected = cell(input)
    with backend("newton"):
        assert_same(cell(input), expected)
        with torch.no_grad():
            assert_same(cell(input), expected)
