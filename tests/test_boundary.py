"""A kernel takes pointers only where nobody watches, and of tensors that are as they must be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from torchrecurrent import LSTM, BaseRecurrentCell, LSTMCell, RecurrentLayer, backend
from torchrecurrent.engine import Backend

from .making import assert_same, input_for, make, states_for, tensors

T, N = 4, 2
PATHS: tuple[Backend, ...] = ("c", "reference")


def traces(test: Any) -> Any:
    """Without the warnings that torch has for TorchScript, and those of its tracer.

    The tracer warns of checks of shapes, whose outcome it keeps; outside tests torch itself
    silences it for packages whose names begin as its own.
    """
    for ignored in (":DeprecationWarning", ":FutureWarning:torch", ":torch.jit.TracerWarning"):
        test = pytest.mark.filterwarnings(f"ignore:{ignored}")(test)
    return test


def runs_fused(layer: Any, input: Tensor) -> bool:
    return ": c: " in layer.explain(input)


# What is traced, transformed or watched.


@traces
@pytest.mark.parametrize("how", ["training", "frozen", "no_grad", "inference"])
def test_a_traced_layer_computes_at_another_input(
    layer_class: type[RecurrentLayer], how: str
) -> None:
    layer = make(layer_class, 2).eval()
    if how == "frozen":
        layer.requires_grad_(False)
    guard = {"no_grad": torch.no_grad, "inference": torch.inference_mode}.get(
        how, torch.enable_grad
    )
    with guard():
        traced = torch.jit.trace(layer, input_for(layer, T, N), check_trace=False)
        input = input_for(layer, T, N)
        assert_same(traced(input), layer(input))


@traces
def test_a_traced_cell_computes_at_another_input(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class).eval()
    for guard in (torch.enable_grad, torch.no_grad):
        with guard():
            example = (input_for(cell, N), states_for(cell, N))
            traced = torch.jit.trace(cell, example, check_trace=False)
            input, hx = input_for(cell, N), states_for(cell, N)
            assert_same(traced(input, hx), cell(input, hx))


def test_symbolic_tracing_leaves_a_layer_and_a_cell_whole() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head, self.cell = LSTM(3, 4), nn.Linear(4, 3), LSTMCell(3, 4)

        def forward(self, input: Tensor) -> Any:
            return self.cell(self.head(self.rnn(input)[0])[-1])

    net = Net()
    traced = torch.fx.symbolic_trace(net)
    input = torch.randn(T, N, 3)
    assert_same(traced(input), net(input), 0)
    for alone in (net.rnn, net.cell):
        with pytest.raises(TypeError, match="trace a module that contains it"):
            torch.fx.symbolic_trace(alone)


def test_whoever_watches_operations_sees_those_of_the_loop(
    layer_class: type[RecurrentLayer],
) -> None:
    class Seeing(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.seen: list[str] = []

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    class Doubling(TorchFunctionMode):
        """Changes what a function of torch does, as a mode may."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            return 2 * result if func is nn.functional.linear else result

    layer = make(layer_class)
    input = input_for(layer, T, N)
    with torch.no_grad():
        expected = layer(input)
        with Seeing() as seeing:
            assert_same(layer(input), expected)
        assert len(seeing.seen) > T
        with Doubling(), backend("reference"):
            doubled = layer(input)
        with Doubling():
            assert_same(layer(input), doubled, 0)
            assert "reference: a TorchFunctionMode is active" in layer.explain(input)
        # One that only chooses where new tensors are changes nothing.
        with torch.device("cpu"):
            assert "TorchFunctionMode" not in layer.explain(input)


def test_what_is_not_plain_memory_is_read_right(layer_class: type[RecurrentLayer]) -> None:
    class Sub(Tensor):
        pass

    layer = make(layer_class)
    input = input_for(layer, T, N)
    expected = layer(input)
    assert_same(layer(input.as_subclass(Sub))[0].as_subclass(Tensor), expected[0])
    conjugate = torch.complex(torch.zeros_like(input), -input).conj()
    assert conjugate.imag.is_neg()
    assert_same(layer(conjugate.imag), expected)
    assert "is no plain memory" in layer.explain(conjugate.imag)


def test_operations_are_counted_as_the_loop_has_them(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    input = input_for(layer, T, N).requires_grad_()
    counts = []
    for path in ("auto", "reference"):
        with backend(path), FlopCounterMode(display=False) as counter:
            torch.stack([each.sum() for each in tensors(layer(input))]).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1]
    assert (counts[0] > 0) is any(each.dim() > 1 for each in layer.parameters())


def test_a_profile_names_the_cell(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)
    assert runs_fused(layer, input)
    name = layer_class.cell.__name__
    given = {name, f"{name}Backward"}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(input)[0].sum().backward()
    names = {event.key for event in profile.key_averages()}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for each in given:
            with torch.profiler.record_function(each):
                pass
    # As torch prints them: it takes GRU3Cell for a name that a compiler of C++ has made.
    printed = {event.key for event in profile.key_averages()}
    assert len(printed) == 2
    assert printed <= names


# What is not as the layout says.


def misfits(parameter: Tensor) -> list[Tensor]:
    """Values that can't stand in for a parameter: of other shapes, dtype and device."""
    flat = parameter.detach().flatten()
    shapes = [[max(1, size // 2) for size in parameter.shape], [2 * s for s in parameter.shape]]
    others = [flat.new_zeros(shape) for shape in shapes if tuple(shape) != parameter.shape]
    return [
        *others,
        flat.expand(3, -1),
        parameter.detach().float(),
        torch.empty_like(parameter, device="meta"),
    ]


@pytest.mark.parametrize("path", ["auto", "reference"])
def test_a_misfitting_parameter_is_an_error(
    layer_class: type[RecurrentLayer], path: Backend
) -> None:
    layer = make(layer_class)
    cell = layer.cells[0]
    input, hx = input_for(layer, T, N), states_for(cell, N)
    for name, parameter in cell.named_parameters():
        for value in misfits(parameter):
            for grad in (True, False):
                with torch.set_grad_enabled(grad), backend(path):
                    # ValueError where the parameter is what the input is compared with
                    with pytest.raises((RuntimeError, ValueError)):
                        torch.func.functional_call(layer, {f"cells.0.{name}": value}, (input,))
                    with pytest.raises((RuntimeError, ValueError)):
                        torch.func.functional_call(cell, {name: value}, (input[0], hx))


def test_a_sparse_parameter_never_reaches_a_kernel(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)
    expected = layer(input)
    for name, parameter in layer.named_parameters():
        sparse = {name: parameter.detach().to_sparse()}
        try:
            found = torch.func.functional_call(layer, sparse, (input,))
        except (RuntimeError, NotImplementedError, TypeError):
            continue  # some of torch's functions take it, most don't
        assert_same(found, expected)


def test_the_error_names_parameter_given_and_expected() -> None:
    layer = LSTM(8, 32)
    layer.cells[0].weight_ih = nn.Parameter(torch.randn(48, 8))
    for mode in (True, False):
        with pytest.raises(
            RuntimeError, match=r"weight_ih: expected shape \(128, 8\), got \(48, 8\)"
        ):
            layer.train(mode)(torch.randn(T, N, 8))


def test_saved_tensors_that_come_back_otherwise_are_an_error() -> None:
    layer = LSTM(3, 4)

    def unpack(tensor: Tensor) -> Tensor:
        return tensor[:1] if tensor.dim() == 1 and not tensor.requires_grad else tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        output = layer(torch.randn(T, N, 3))[0]
    with pytest.raises(RuntimeError, match=r"kept for the backward pass: expected shape \("):
        output.sum().backward()


def test_sizes_of_a_packed_sequence_are_those_of_its_rows() -> None:
    layer = LSTM(3, 4)
    for sizes in ([2, 2, 9], [1, 2, 2], [2, 0, 3], [2, 2, 2]):
        packed = nn.utils.rnn.PackedSequence(torch.randn(5, 3), torch.tensor(sizes))
        with pytest.raises(RuntimeError, match="batch_sizes: expected"):
            layer(packed)
