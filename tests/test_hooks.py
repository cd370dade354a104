"""A cell in a layer is a module: what torch and others hang on its call sees the sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import prune

from torchrecurrent import GRU, LSTM, RecurrentLayer, backend
from torchrecurrent.engine import Backend

from .making import assert_same, input_for, make, tensors

T, N = 4, 3
PATHS: tuple[Backend, ...] = ("c", "reference")


@pytest.mark.parametrize("path", PATHS)
def test_hooks_run_once_a_sequence(layer_class: type[RecurrentLayer], path: Backend) -> None:
    layer = make(layer_class, bidirectional=True)
    seen: dict[str, list[Any]] = {name: [] for name in ("before", "after", "backward")}

    def before(_: nn.Module, args: Any) -> None:
        seen["before"].append([each.shape for each in args])

    def after(module: Any, args: Any, result: Any) -> None:
        output, state = result
        states = [state] if isinstance(state, Tensor) else list(state)
        assert output.shape == (T, N, module.output_size)
        assert [each.shape for each in states] == [(N, width) for width in module.state_widths]
        seen["after"].append(output.detach().clone())

    def backward(_: nn.Module, grad_input: Any, grad_output: Any) -> None:
        seen["backward"].append((grad_input[0].shape, grad_output[0].shape))

    for cell in layer.cells:
        cell.register_forward_pre_hook(before)
        cell.register_forward_hook(after)
        cell.register_full_backward_hook(backward)
    input = input_for(layer, T, N).requires_grad_()
    with backend(path):
        output, _ = layer(input)
    output.sum().backward()
    widths = [cell.input_size for cell in layer.cells]
    assert seen["before"] == [[(T, N, width)] for width in widths]
    assert len(seen["after"]) == len(seen["backward"]) == 2
    # the second direction reads from the end
    assert_same(torch.cat([seen["after"][0], seen["after"][1].flip(0)], -1), output, 0)


@pytest.mark.parametrize("path", PATHS)
def test_a_hook_may_change_what_goes_in_and_comes_out(
    layer_class: type[RecurrentLayer], path: Backend
) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)
    with backend(path):
        expected, last = layer(2 * input)
        layer.cells[0].register_forward_pre_hook(lambda _, args: (2 * args[0], *args[1:]))
        layer.cells[0].register_forward_hook(lambda _, args, result: (-result[0], result[1]))
        assert_same(layer(input), (-expected, last), 0)


def test_ragged_sequences_are_seen_packed() -> None:
    layer, seen = LSTM(3, 4), []
    layer.cells[0].register_forward_hook(
        lambda _, args, kwargs, result: seen.append((args[0], kwargs["batch_sizes"], result[0])),
        with_kwargs=True,
    )
    layer(torch.randn(5, 3, 3), lengths=[2, 5, 1])
    ((data, sizes, output),) = seen
    assert sizes.tolist() == [3, 2, 1, 1, 1]
    assert data.shape == (8, 3)
    assert output.shape == (8, 4)


def recurrent_weight(cell: nn.Module) -> str:
    """A matrix of a cell, that of its state if it has one."""
    found = [name for name, value in cell.named_parameters(recurse=False) if value.dim() == 2]
    return "weight_hh" if "weight_hh" in found else found[0]


REPARAMETRISED: dict[str, Callable[[Any, str], Any]] = {
    "weight_norm": torch.nn.utils.weight_norm,
    "spectral_norm": torch.nn.utils.spectral_norm,
    "prune": lambda cell, name: prune.l1_unstructured(cell, name, amount=0.5),
    "parametrization": torch.nn.utils.parametrizations.weight_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("how", REPARAMETRISED)
def test_a_reparametrised_weight_trains_and_evaluates(
    layer_class: type[RecurrentLayer], how: str
) -> None:
    found = []
    for path in PATHS:
        torch.manual_seed(0)
        layer = make(layer_class)
        if all(value.dim() < 2 for value in layer.parameters()):
            return  # synapses, each by itself: no matrix to reparametrise
        REPARAMETRISED[how](layer.cells[0], recurrent_weight(layer.cells[0]))
        before = [value.detach().clone() for value in layer.parameters()]
        optimizer = torch.optim.SGD(layer.parameters(), 0.1)
        with backend(path):
            for _ in range(2):
                optimizer.zero_grad()
                layer(input_for(layer, T, N))[0].square().mean().backward()
                optimizer.step()
            moved = [
                not torch.equal(*pair) for pair in zip(before, layer.parameters(), strict=True)
            ]
            assert any(moved)
            found.append([*layer.parameters(), *tensors(layer.eval()(input_for(layer, T, N)))])
    # two steps of training, whose gradients are sums in another order
    assert_same([each.detach() for each in found[0]], [each.detach() for each in found[1]], 1e-10)


@pytest.fixture
def one_process() -> Iterator[None]:
    distributed: Any = torch.distributed
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore::UserWarning:torch.distributed")
@pytest.mark.filterwarnings("ignore::FutureWarning:torch.distributed")
@pytest.mark.usefixtures("one_process")
def test_sharded_cells_have_the_same_gradients(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class, 2)
    input = input_for(layer, T, N)
    layer(input)[0].square().mean().backward()
    expected = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    mesh = init_device_mesh("cpu", (1,))
    for cell in layer.cells:
        fully_shard(cell, mesh=mesh)
    fully_shard(layer, mesh=mesh)
    layer(input)[0].square().mean().backward()
    found = [parameter.grad.full_tensor() for parameter in layer.parameters()]
    assert_same(found, expected)


def test_captum_sees_a_layers_cell(layer_class: type[RecurrentLayer]) -> None:
    attr: Any = pytest.importorskip("captum.attr")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = make(layer_class, batch_first=True)

        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = self.rnn(input)[0]
            return output[:, -1]

    net = Net().eval()
    input = input_for(net.rnn, N, T)
    activations = attr.LayerActivation(net, net.rnn.cells[0]).attribute(input)
    assert_same(activations[0].transpose(0, 1), net.rnn(input)[0], 0)


class Stepping(nn.Module):
    """A cell stepped by hand."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, input: Tensor) -> list[Tensor]:
        output = hx = None
        for step in input.unbind(1):
            result = (
                self.cell(step, hx)
                if hx is None or isinstance(hx, Tensor)
                else (self.cell(step, hx=hx))
            )
            output, hx = result if self.cell.signature.has_output else (result, result)
        return list(tensors((output, hx)))


class Layered(nn.Module):
    """A layer, of whose results all have gradients; without output, the states alone."""

    def __init__(self, layer: Any, with_output: bool, ragged: bool) -> None:
        super().__init__()
        self.layer, self.with_output, self.ragged = layer, with_output, ragged

    def forward(self, input: Tensor) -> list[Tensor]:
        lengths = [1 + int(row[0, 0].item() > 0) for row in input] if self.ragged else None
        output, last = self.layer(input, lengths=lengths)
        states = [state.transpose(0, 1) for state in tensors(last) if state.dim() == 3]
        states += [state for state in tensors(last) if state.dim() == 2]
        return [output, *states] if self.with_output else states


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.parametrize("how", ["output", "states", "ragged", "stepped"])
def test_opacus_has_the_gradients_of_each_sample(
    layer_class: type[RecurrentLayer], how: str
) -> None:
    opacus: Any = pytest.importorskip("opacus")
    net: Any
    if how == "stepped":
        net = Stepping(make(layer_class.cell))
        input = input_for(net.cell, N, T)
    else:
        layer = make(layer_class, 2, batch_first=True)
        net = Layered(layer, how != "states", how == "ragged")
        input = input_for(layer, N, T)

    def loss(each: list[Tensor]) -> Tensor:
        return torch.stack([value.sin().sum() for value in each]).sum()

    watched = opacus.GradSampleModule(net, batch_first=True, loss_reduction="sum")
    loss(watched(input)).backward()
    found = {name: value.grad_sample for name, value in net.named_parameters()}
    watched.remove_hooks()
    for n in range(N):
        net.zero_grad()
        loss(net(input[n : n + 1])).backward()
        for name, parameter in net.named_parameters():
            expected = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            # a linear cell adds up what it is given: its gradients may be of a size of hundreds
            size = max(1.0, float(expected.abs().max()))
            assert_same(found[name][n], expected, 1e-12 * size)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.parametrize(
    ("options", "call", "message"),
    [
        ({}, {"resets": torch.ones(N, T, dtype=torch.bool)}, "the pieces of a sequence would be"),
        ({}, {"mask": torch.ones(N, T, dtype=torch.bool)}, "the pieces of a sequence would be"),
        ({"weight_dropout": 0.5}, {}, "weight_dropout: all samples share a mask"),
        ({"recurrent_dropout": 0.5}, {}, "recurrent_dropout: no masks are drawn sample by sample"),
        ({"zoneout": 0.5}, {}, "zoneout: no masks are drawn sample by sample"),
    ],
    ids=["resets", "mask", "weight_dropout", "recurrent_dropout", "zoneout"],
)
def test_opacus_gets_no_wrong_gradients(
    options: dict[str, Any], call: dict[str, Any], message: str
) -> None:
    opacus: Any = pytest.importorskip("opacus")
    layer = make(GRU, batch_first=True, **options)
    watched = opacus.GradSampleModule(layer, batch_first=True, loss_reduction="sum", strict=False)
    with pytest.raises(RuntimeError, match=message):
        watched(input_for(layer, N, T), **call)
    with torch.no_grad():
        watched(input_for(layer, N, T), **call)
    watched.eval()
    watched(input_for(layer, N, T), **call)


def test_opacus_refuses_learned_first_states() -> None:
    opacus: Any = pytest.importorskip("opacus")
    layer = make(GRU, initial_state="learned")
    with pytest.raises(NotImplementedError, match="initial_state='learned': opacus has no"):
        opacus.GradSampleModule(layer)
