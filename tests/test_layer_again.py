"""A layer's call that is run as the one before it: the same numbers, and no change goes unseen."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrize, prune
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from torchrecurrent import (
    BR,
    GRU,
    LRU,
    LSTM,
    RNN,
    BRCell,
    LSTMCell,
    Recurrent,
    RecurrentLayer,
    backend,
    sLSTM,
)
from torchrecurrent.cell import BaseRecurrentCell
from torchrecurrent.cells.ctrnn import CTRNN
from torchrecurrent.engine.run import torch_private
from torchrecurrent.roles import Gate, Projected, State

from .making import (
    LAYER_OPTIONS,
    assert_same,
    fitting,
    gradients,
    input_for,
    make,
    rebuilt,
    tensors,
)

T, N = 5, 3


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layers whose calls were looked at anew, from now on."""
    found: list[Any] = []

    def counted(name: str) -> None:
        known = getattr(Recurrent, name)

        def count(layer: Any, *args: Any, **kwargs: Any) -> Any:
            found.append(layer)
            return known(layer, *args, **kwargs)

        monkeypatch.setattr(Recurrent, name, count)

    counted("_run")
    return found


@pytest.fixture(params=["torch's", "ours"])
def either_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors are compared by torch's own call, and as where a version of torch has none."""
    if request.param == "ours":
        monkeypatch.delattr(torch._C._dynamo.guards, "TensorGuards")


def is_remembered(layer: Any) -> bool:
    """Whether the call of a layer may be remembered, from what its page says of it."""
    cells = list(layer.cells)
    widths = {cell.state_widths for cell in cells}
    roles = [argument.role for argument in cells[0].signature.states]
    apart = any(getattr(role, "width", None) == "input_size" for role in roles)
    own = all(cell.uses_its_parameters and not cell.signature.has_delay for cell in cells)
    return len(widths) == 1 and not apart and own


@torch.no_grad()
def first_states(layer: Any) -> Any:
    states = layer(input_for(layer, *((N, 1) if layer.batch_first else (1, N))))[1]
    return rebuilt(states, (state + 0.1 for state in tensors(states)))


def made(layer_class: type[RecurrentLayer], options: dict[str, Any]) -> Any:
    """A layer; a single one where another could not read what both directions make."""
    try:
        return make(layer_class, **options)
    except ValueError as error:
        if "input_size == hidden_size is needed" not in str(error):
            raise
        return make(layer_class, **(options | {"num_layers": 1}))


# The same numbers.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True, "batch_first": True},
    ],
    ids=str,
)
def test_every_layer_has_the_same_numbers(
    layer_class: type[RecurrentLayer], options: dict[str, Any], long_way: list[Any]
) -> None:
    layer = made(layer_class, options)
    remembered = is_remembered(layer)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            for steps in (1, T):
                for given in (False, True):
                    hx = [first_states(layer) if given else None for _ in range(3)]
                    x = [
                        input_for(layer, *((N, steps) if layer.batch_first else (steps, N)))
                        for _ in hx
                    ]
                    layer(x[0], hx[0])
                    long_way.clear()
                    found = [layer(*pair) for pair in zip(x[1:], hx[1:], strict=True)]
                    assert len(long_way) == (0 if remembered else 2)
                    with backend("reference"):
                        for each, *pair in zip(found, x[1:], hx[1:], strict=True):
                            expected = layer(*pair)
                            assert_same(each, expected)
                            if grad:
                                assert_same(
                                    list(gradients(layer, each).values()),
                                    list(gradients(layer, expected).values()),
                                    1e-10,  # sums over all steps, of values of a size of tens
                                )


@pytest.mark.parametrize("layer_class", [BR, GRU, LRU, LSTM, sLSTM])
@pytest.mark.parametrize(
    "options",
    [*LAYER_OPTIONS, {"return_sequences": False, "bidirectional": True, "batch_first": True}],
    ids=str,
)
@torch.no_grad()
def test_every_option_has_the_same_numbers(
    layer_class: type[RecurrentLayer], options: dict[str, Any]
) -> None:
    try:
        layer = make(layer_class, **fitting(layer_class, options)).eval()
    except ValueError:
        return  # it hasn't this option: test_options.py has which
    shape = (N, T) if layer.batch_first else (T, N)
    for _ in range(3):
        x, hx = input_for(layer, *shape), None
        found = layer(x, hx)
        with backend("reference"):
            assert_same(found, layer(x, hx))


@torch.no_grad()
def test_a_step_of_every_layer_has_the_same_numbers(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    hx = ours = None
    for _ in range(4):
        x = input_for(layer, N)
        output, ours = layer.step(x, ours)
        with backend("reference"):
            expected, hx = layer.step(x, hx)
        assert_same((output, ours), (expected, hx))


@pytest.mark.usefixtures("either_guard")
@torch.no_grad()
def test_a_stream_never_takes_the_long_way(long_way: list[Any]) -> None:
    layer, hx = LSTM(3, 4, 2), None
    for _ in range(2):  # once without states, once with them
        hx = layer(torch.randn(1, N, 3), hx)[1]
    long_way.clear()
    for _ in range(3):
        output, hx = layer(torch.randn(1, N, 3), hx)
        output, hx = layer.step(torch.randn(N, 3), hx)
    assert not long_way
    assert output.shape == (N, 4)


@torch.no_grad()
def test_results_share_no_memory_and_states_given_are_kept() -> None:
    for layer in (LSTM(3, 4), GRU(3, 4, 2), LSTM(3, 4, batch_first=True)):
        for steps in (1, T):
            shape = (N, steps, 3) if layer.batch_first else (steps, N, 3)
            hx: Any = layer(torch.randn(shape))[1]
            for _ in range(2):
                before = [state.clone() for state in tensors(hx)]
                output, last = layer(torch.randn(shape), hx)
                assert_same(list(tensors(hx)), before, 0)
                found = [output, *tensors(last), *tensors(hx)]
                starts = {each.untyped_storage().data_ptr() for each in found}
                assert len(starts) == len(found)
                hx = last


def test_remembered_calls_have_gradients_of_states_and_input() -> None:
    layer = make(GRU, 2)
    for _ in range(3):
        x, h = input_for(layer, T, N).requires_grad_(), torch.rand(2, N, 4).double()
        h.requires_grad_()
        found = torch.autograd.grad(torch.stack([v.sum() for v in layer(x, h)]).sum(), (x, h))
        with backend("reference"):
            expected = torch.autograd.grad(
                torch.stack([v.sum() for v in layer(x, h)]).sum(), (x, h)
            )
        assert_same(found, expected)


def test_remembered_calls_have_second_derivatives_and_see_changes_in_place() -> None:
    layer = make(LSTM)
    x = input_for(layer, T, N).requires_grad_()
    layer(x)
    results = []
    for path in ("auto", "reference"):
        with backend(path):
            output, _ = layer(x)
            (first,) = torch.autograd.grad(output.sin().sum(), x, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), x)
            output, _ = layer(x)
            output.mul_(2)
            (changed,) = torch.autograd.grad(output.sum(), x)
            _, (h, c) = layer(x)
            h.mul_(2), c.mul_(3)
            (of_states,) = torch.autograd.grad((h * c).sum(), x)
        results.append([first, second, changed, of_states])
    assert_same(results[0], results[1])


# What may change between two calls.


def lstm() -> Any:
    """A layer that was called with and without gradients, and by itself would go the short way."""
    layer = LSTM(3, 4)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            call(layer)
            call(layer)
    return layer


def call(layer: Any, watched: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    dtype = next(iter(layer.cells[0]._parameters.values()), torch.ones(())).dtype
    x = torch.randn(T, N, 3, generator=generator).to(dtype).requires_grad_(watched)
    return list(tensors(layer(x)))


def in_place(cell: Any) -> None:
    cell.weight_ih.mul_(2)


def of_its_data(cell: Any) -> None:
    cell.weight_ih.data.mul_(2)


def other_memory(cell: Any) -> None:
    cell.weight_ih.data = torch.randn(16, 3)


def other_parameter(cell: Any) -> None:
    cell.weight_ih = nn.Parameter(torch.randn(16, 3))


def by_dictionary(cell: Any) -> None:
    cell._parameters["weight_ih"] = nn.Parameter(torch.randn(16, 3))


def other_dictionary(cell: Any) -> None:
    doubled = {name: nn.Parameter(2 * value) for name, value in cell.named_parameters()}
    cell._parameters = doubled


def strided(cell: Any) -> None:
    cell.weight_ih.data = torch.randn(3, 16).T


def wider(cell: Any) -> None:
    cell.double()


def without_bias(cell: Any) -> None:
    cell.bias_ih.mul_(3)
    cell.bias_hh = None


def loaded(cell: Any) -> None:
    cell.load_state_dict({name: 2 * value for name, value in cell.state_dict().items()})


def assigned(cell: Any) -> None:
    state = {name: 2 * value for name, value in cell.state_dict().items()}
    cell.load_state_dict(state, assign=True)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def parametrized(cell: Any) -> None:
    parametrize.register_parametrization(cell, "weight_ih", Doubled())


def pruned(cell: Any) -> None:
    prune.l1_unstructured(cell, "weight_ih", amount=0.5)


def normed(cell: Any) -> None:
    torch.nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    cell.parametrizations.weight_hh.original0.mul_(2)


def by_attribute(cell: Any) -> None:
    """As the hooks of torch's older reparametrisations do."""
    del cell._parameters["weight_ih"]
    cell.weight_ih = torch.randn(16, 3)


def own_kernel(cell: Any) -> None:
    cell.recurrent_kernel = lambda: 2 * cell.weight_hh


def own_parameters(cell: Any) -> None:
    known = cell.effective_parameters
    cell.effective_parameters = lambda: {**known(), "weight_hh": 2 * cell.weight_hh}


def own_forward(cell: Any) -> None:
    known = cell.forward
    cell.forward = lambda input, *args, **kwargs: known(2 * input, *args, **kwargs)


def before_it(cell: Any) -> None:
    cell.register_forward_pre_hook(lambda _, args: (2 * args[0], *args[1:]))


def before_it_with_keywords(cell: Any) -> None:
    cell.register_forward_pre_hook(
        lambda _, args, kwargs: ((2 * args[0],), kwargs), with_kwargs=True
    )


def after_it(cell: Any) -> None:
    cell.register_forward_hook(lambda _, args, result: (-result[0], result[1]))


CHANGES: list[Callable[[Any], None]] = [
    in_place,
    of_its_data,
    other_memory,
    other_parameter,
    by_dictionary,
    other_dictionary,
    strided,
    wider,
    without_bias,
    loaded,
    assigned,
    parametrized,
    pruned,
    normed,
    by_attribute,
    own_kernel,
    own_parameters,
    own_forward,
    before_it,
    before_it_with_keywords,
    after_it,
]


@pytest.mark.usefixtures("either_guard")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("grad", [False, True])
def test_cells_that_change(change: Callable[[Any], None], grad: bool) -> None:
    layer = lstm()
    with torch.no_grad():
        before = call(layer)
        change(layer.cells[0])
    with torch.set_grad_enabled(grad):
        for _ in range(3):  # the first is remembered, if it may be
            found = call(layer)
            with backend("reference"):
                assert_same(found, call(layer), 1e-6)  # ten roundings of float32, at values up to 1
        assert change is wider or not torch.equal(before[0], found[0])


def test_hooks_that_watch_are_called() -> None:
    layer, seen = lstm(), list[str]()
    layer.cells[0].register_full_backward_pre_hook(lambda *_: seen.append("before it"))
    layer.cells[0].register_full_backward_hook(lambda *_: seen.append("after it"))
    call(layer, True)[0].sum().backward()
    assert seen == ["before it", "after it"]
    for register, name in (
        (nn.modules.module.register_module_forward_pre_hook, "LSTMCell"),
        (nn.modules.module.register_module_forward_hook, "LSTMCell"),
        (nn.modules.module.register_module_full_backward_pre_hook, "LSTMCell"),
        (nn.modules.module.register_module_full_backward_hook, "LSTMCell"),
    ):
        layer, names = lstm(), list[str]()
        handle = register(lambda module, *_, names=names: names.append(type(module).__name__))
        try:
            call(layer, True)[0].sum().backward()
        finally:
            handle.remove()
        assert name in names


class Own(BaseRecurrentCell):
    @staticmethod
    def step(h: State, n: Projected, a: Gate) -> Tensor:
        return torch.tanh(n + a)


class Kin(Own):
    @staticmethod
    def step(h: State, n: Projected, a: Gate) -> Tensor:
        return torch.sin(n + a)


@torch.no_grad()
def test_cells_that_are_exchanged() -> None:
    layer, other = lstm(), LSTMCell(3, 4)
    layer.cells[0] = other
    assert_same(call(layer), call(Recurrent(other, 3, 4)), 0)
    layer.cells = nn.ModuleList([LSTMCell(3, 4)])
    with backend("reference"):
        expected = call(layer)
    assert_same(call(layer), expected, 1e-6)
    layer = Recurrent(Own, 3, 4)
    before = [call(layer), call(layer)]
    layer.cells[0].__class__ = Kin
    with backend("reference"):
        expected = call(layer)
    assert_same(call(layer), expected, 1e-6)
    assert not torch.equal(before[1][0], expected[0])


@torch.no_grad()
def test_a_class_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Recurrent(Own, 3, 4, dtype=torch.float64)

    def differs() -> None:
        for _ in range(2):
            found = call(layer)
            with backend("reference"):
                assert_same(found, call(layer))
            seen.append(found[0])

    seen: list[Tensor] = []
    differs()
    monkeypatch.setattr(Own, "step", staticmethod(lambda h, n, a: torch.sin(n + a)))
    differs()
    with monkeypatch.context() as patch:
        patch.setattr(Own, "recurrent_kernel", lambda cell: 2 * cell.weight_hh)
        differs()
    with monkeypatch.context() as patch:
        known = BaseRecurrentCell.effective_parameters
        patch.setattr(
            Own,
            "effective_parameters",
            lambda cell: {**known(cell), "weight_hh": 3 * cell.weight_hh},
        )
        differs()
    differs()
    assert all(torch.equal(seen[k], seen[k + 1]) for k in range(0, 10, 2))
    assert len({float(each.sum()) for each in seen}) == 4  # the last as after the first change


FACTOR = 1.0


class ReadsOutside(BaseRecurrentCell):
    @staticmethod
    def step(h: State, a: Gate) -> Tensor:
        return FACTOR * torch.tanh(a)


@torch.no_grad()
def test_what_a_step_reads_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Recurrent(ReadsOutside, 3, 4)
    before = [call(layer), call(layer)]
    monkeypatch.setitem(globals(), "FACTOR", 0.5)
    found = call(layer)
    with backend("reference"):
        assert_same(found, call(layer), 1e-6)
    assert not torch.equal(before[1][0], found[0])


@torch.no_grad()
def test_options_of_cells_that_change() -> None:
    layer: Any = CTRNN(3, 4, dtype=torch.float64)
    (cell,) = layer.cells
    seen = [call(layer), call(layer)]
    for name, value in (("dt", 0.03), ("nonlinearity", "sigmoid"), ("zoneout", [0.0])):
        setattr(cell, name, value)
        layer.eval()
        seen += [call(layer), call(layer)]
        with backend("reference"):
            assert_same(seen[-1], call(layer))
    cell.zoneout[0] = 0.5  # the same list
    seen += [call(layer), call(layer)]
    with backend("reference"):
        assert_same(seen[-1], call(layer))
    assert len({float(each[0].sum()) for each in seen}) == 4
    layer.train()
    assert not torch.equal(call(layer)[0], call(layer)[0])  # zoneout draws


@pytest.mark.parametrize("name", ["weight_dropout", "recurrent_dropout"])
@torch.no_grad()
def test_noise_draws_at_each_call(name: str) -> None:
    layer = lstm()
    setattr(layer.cells[0], name, 0.5)
    assert not torch.equal(call(layer)[0], call(layer)[0])
    layer.eval()
    assert torch.equal(call(layer)[0], call(layer)[0])
    layer.train()
    assert not torch.equal(call(layer)[0], call(layer)[0])


@torch.no_grad()
def test_options_of_the_layer_that_change() -> None:
    layer: Any = make(GRU, 2, bidirectional=True)
    x = torch.randn(4, 4, 3, dtype=torch.float64)
    for name, value in (
        ("batch_first", True),
        ("return_sequences", False),
        ("merge", "sum"),
        ("batch_first", False),
        ("return_sequences", True),
    ):
        for _ in range(2):
            layer(x)
        setattr(layer, name, value)
        if name == "merge":  # the second layer then reads half as much
            layer.cells[2], layer.cells[3] = (make(type(layer).cell) for _ in range(2))
            layer.cells[2] = randomized(type(layer).cell(4, 4, dtype=torch.float64))
            layer.cells[3] = randomized(type(layer).cell(4, 4, dtype=torch.float64))
        found = layer(x)
        with backend("reference"):
            assert_same(found, layer(x))
    layer = make(GRU, 2)
    layer(x), layer(x)
    layer.residual = True
    found = layer(x)
    with backend("reference"):
        assert_same(found, layer(x))


def randomized(cell: Any) -> Any:
    for parameter in cell.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return cell


@torch.no_grad()
def test_dropout_draws_at_each_call() -> None:
    layer: Any = LSTM(3, 4, 2, dropout=0.5).eval()
    assert torch.equal(call(layer)[0], call(layer)[0])
    layer.train()
    assert not torch.equal(call(layer)[0], call(layer)[0])
    layer.dropout = 0.0
    assert torch.equal(call(layer)[0], call(layer)[0])
    layer.input_dropout = 0.5
    assert not torch.equal(call(layer)[0], call(layer)[0])


def test_learned_first_states() -> None:
    layer: Any = make(GRU, initial_state="learned")
    x, h = input_for(layer, T, N), torch.rand(1, N, 4).double()
    for _ in range(2):
        for hx in (None, h):
            found = layer(x, hx)
            with backend("reference"):
                assert_same(found, layer(x, hx))
        with torch.no_grad():
            layer.initial_h_l0.add_(1)
    assert "initial_h_l0" in gradients(layer, layer(x))


def test_steps_computed_again() -> None:
    layer: Any = make(GRU)
    x = input_for(layer, T, N)
    layer(x), layer(x)
    layer.checkpoint_every = 2
    output, _ = layer(x)
    with pytest.raises(RuntimeError):  # of torch: a checkpoint has no second derivative
        torch.autograd.grad(
            torch.autograd.grad(output.sum(), [*layer.parameters()], create_graph=True)[0].sum(),
            [*layer.parameters()],
        )


def test_requiring_gradients_and_not() -> None:
    layer = lstm()
    assert call(layer)[0].requires_grad
    with torch.no_grad():
        assert not call(layer)[0].requires_grad
    layer.requires_grad_(False)
    for _ in range(2):
        assert not call(layer)[0].requires_grad
    x = torch.randn(T, N, 3, requires_grad=True)
    assert layer(x)[0].requires_grad
    layer.cells[0].bias_hh.requires_grad_()
    for _ in range(2):
        output = call(layer)[0]
        assert output.requires_grad
    output.sum().backward()
    assert layer.cells[0].bias_hh.grad is not None
    assert layer.cells[0].weight_hh.grad is None
    with torch.inference_mode():
        for _ in range(2):
            assert call(layer)[0].is_inference()
    assert call(layer)[0].requires_grad


def test_the_choice_of_a_path_counts(long_way: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    layer = lstm()
    long_way.clear()
    with backend("c"):
        call(layer)
    assert not long_way
    with backend("reference"):
        call(layer)
    assert len(long_way) == 1
    monkeypatch.setenv("TORCHRECURRENT_BACKEND", "reference")
    call(layer)
    assert len(long_way) == 2


def dispatched(layer: Any, x: Tensor) -> None:
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() > 0


def faked(layer: Any, x: Tensor) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert layer(x)[0].fake_mode is mode


def changed_functions(layer: Any, x: Tensor) -> None:
    class Doubling(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            return 2 * result if func is nn.functional.linear else result

    plain = layer(x)[0]
    with Doubling():
        assert not torch.equal(layer(x)[0], plain)


def narrowed(layer: Any, x: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)[0]
        with backend("reference"):
            expected = layer(x)[0]
    assert found.dtype == expected.dtype
    assert_same(found, expected, 0.05)  # bfloat16 has eight bits


def mapped(layer: Any, x: Tensor) -> None:
    many = torch.stack([x, 2 * x])
    found = torch.func.vmap(lambda each: layer(each)[0])(many)
    assert_same(found, torch.stack([layer(each)[0] for each in many]), 1e-6)


def differentiated_forward(layer: Any, x: Tensor) -> None:
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        output = layer(dual)[0]
        assert torch.autograd.forward_ad.unpack_dual(output).tangent is not None


def differentiated(layer: Any, x: Tensor) -> None:
    found = torch.func.grad(lambda each: layer(each)[0].sum())(x)
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        (expected,) = torch.autograd.grad(layer(leaf)[0].sum(), leaf)
    assert_same(found, expected, 1e-5)  # sums over all steps, in another order


def functional(layer: Any, x: Tensor) -> None:
    others = {name: 2 * value for name, value in layer.state_dict().items()}
    found = torch.func.functional_call(layer, others, (x,))[0]
    assert not torch.equal(found, layer(x)[0])
    wrong = {name: value[:1] for name, value in others.items()}
    with pytest.raises(RuntimeError, match="expected shape"):
        torch.func.functional_call(layer, wrong, (x,))


def profiled(layer: Any, x: Tensor) -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(x)
    assert "LSTMCell" in {event.key for event in profile.key_averages()}


def traced(layer: Any, x: Tensor) -> None:
    made = torch.jit.trace(layer, x, check_trace=False)
    assert_same(made(2 * x), layer(2 * x), 1e-6)


def exported(layer: Any, x: Tensor) -> None:
    program = torch.export.export(layer, (x,))
    assert_same(program.module()(2 * x), layer(2 * x), 1e-6)


def compiled(layer: Any, x: Tensor) -> None:
    made: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert_same(made(2 * x), layer(2 * x), 1e-6)
    with torch.no_grad():
        assert_same(made(2 * x), layer(2 * x), 1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "mode",
    [
        dispatched,
        faked,
        changed_functions,
        narrowed,
        mapped,
        differentiated_forward,
        differentiated,
        functional,
        profiled,
        traced,
        exported,
        compiled,
    ],
)
def test_modes_of_torch(
    mode: Callable[[Any, Tensor], None], grad: bool, long_way: list[Any]
) -> None:
    layer, x = lstm(), torch.randn(T, N, 3)
    with torch.set_grad_enabled(grad):
        before = layer(x)
        mode(layer, x)
        for _ in range(2):
            assert_same(layer(x), before, 1e-6)
        long_way.clear()
        layer(x)
        assert not long_way


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x.as_subclass(type("Sub", (Tensor,), {})),
        lambda x: torch.complex(torch.zeros_like(x), -x).conj().imag,
        lambda x: x.expand(T, N, 3).flip(0).flip(0)[:, :, :],
        lambda x: torch.randn(T, 3, N).transpose(1, 2),
        lambda x: torch.randn(2 * T, N, 3)[::2],
    ],
    ids=["subclass", "negative view", "copy", "strided", "slice"],
)
@torch.no_grad()
def test_tensors_of_other_kinds(made: Callable[[Tensor], Tensor]) -> None:
    layer, x = lstm(), made(torch.randn(T, N, 3))
    for _ in range(2):
        found = layer(x)
        with backend("reference"):
            assert_same(
                [each.as_subclass(Tensor) for each in tensors(found)],
                [each.as_subclass(Tensor) for each in tensors(layer(x))],
                1e-6,
            )


@pytest.mark.parametrize(
    ("input", "hx"),
    [
        ((T, N, 5), None),
        ((0, N, 3), None),
        ((3,), None),
        ((T, N, 3), [(1, N, 4)]),
        ((T, N, 3), []),
        ((T, N, 3), [(1, N, 4)] * 3),
        ((T, N, 3), [(1, 2, 4), (1, 2, 4)]),
        ((T, N, 3), [(1, N, 4), (1, N, 5)]),
        ((T, N, 3), [(2, N, 4), (2, N, 4)]),
        ((T, N, 3), [(N, 4), (N, 4)]),
    ],
    ids=str,
)
@torch.no_grad()
def test_bad_input_is_the_same_error_as_at_first(input: Any, hx: Any) -> None:
    x, states = torch.randn(input), None
    if hx is not None:
        states = tuple(torch.randn(each) for each in hx)
    messages = []
    for layer in (LSTM(3, 4), lstm(), with_states()):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
            layer(x, states)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1
    for layer in (LSTM(3, 4), with_states()):
        for wrong in (x.double(), x.long(), x.to("meta"), [x]):
            with pytest.raises((RuntimeError, ValueError, TypeError)):
                layer(wrong)


def with_states() -> Any:
    layer = LSTM(3, 4)
    for _ in range(2):
        hx = layer(torch.randn(T, N, 3), (torch.randn(1, N, 4), torch.randn(1, N, 4)))[1]
    layer.step(torch.randn(N, 3), hx)
    return layer


@torch.no_grad()
def test_an_empty_batch_and_states_given_twice() -> None:
    layer = with_states()
    assert layer(torch.randn(T, 0, 3))[0].shape == (T, 0, 4)
    h = torch.randn(1, N, 4)
    for _ in range(2):
        x = torch.randn(T, N, 3)
        found = layer(x, (h, h))
        with backend("reference"):
            assert_same(found, layer(x, (h, h)), 1e-6)


# What a memory must not do.


@torch.no_grad()
def test_copies_remember_nothing_of_each_other() -> None:
    layer = lstm()
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(buffer, weights_only=False),
    ):
        assert_same(call(other), call(layer), 0)
        other.cells[0].weight_ih.mul_(2)
        assert not torch.equal(call(other)[0], call(layer)[0])


def test_layers_are_freed_even_if_they_refer_to_themselves() -> None:
    layer = lstm()
    layer.owner = [layer]
    layer.cells[0].owner = [layer]
    call(layer)
    gone = [weakref.ref(layer), weakref.ref(layer.cells[0])]
    del layer
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_a_cell_in_two_layers() -> None:
    cell = BRCell(3, 4)
    first, second = Recurrent(cell, 3, 4), Recurrent(cell, 3, 4, batch_first=True)
    x = torch.randn(T, N, 3)
    for _ in range(2):
        assert_same(first(x)[0], second(x.transpose(0, 1))[0].transpose(0, 1), 0)


def test_threads_have_their_own_modes_and_choices() -> None:
    layer, x = make(RNN), torch.randn(T, N, 3, dtype=torch.float64)
    expected, failures = layer(x)[0].detach(), list[BaseException]()

    def work(grad: bool, path: Any) -> None:
        try:
            for k in range(50):
                with torch.set_grad_enabled(grad), backend(path):
                    scaled = x if k % 2 else x[:, :1]
                    output = layer(scaled)[0]
                    assert output.requires_grad == grad
                    assert_same(output.detach(), expected[:, : scaled.size(1)])
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=(grad, path))
        for grad in (True, False)
        for path in ("auto", "reference")
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures


def test_guards_see_what_they_have_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds() -> Iterator[Tensor]:
        plain = torch.randn(2, 3)
        yield plain.clone()
        yield plain.double()
        yield torch.randn(3, 2)
        yield torch.randn(3, 2).T
        yield plain.to("meta")
        yield nn.Parameter(plain)
        yield plain.clone().requires_grad_()
        yield plain.to_sparse()
        yield torch.complex(plain, -plain).conj().imag

    for _ in range(2):
        for k, one in enumerate(kinds()):
            if one.layout is not torch.strided:
                continue
            same = torch_private.same_tensors([one])
            found = [same([other]) for other in kinds()]
            assert found == [k == place for place in range(len(found))]
            assert not same([None])
            with torch.no_grad():
                assert torch_private.same_tensors([one])([one])
        monkeypatch.delattr(torch._C._dynamo.guards, "TensorGuards", raising=False)
