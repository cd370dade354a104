"""What only a GPU can show. On machines without one conftest.py leaves this file out.

The kernels themselves are in test_triton.py, which runs on the GPU there too. Here is what lies
around them: kernels that are trusted by default, cuDNN, CUDA graphs, streams, torch.compile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from torchrecurrent import BR, GRU, LSTM, MGU, RNN, backend, coRNN, nBR
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.gpu.driver import driver_version

from .making import assert_same

DEVICE = torch.device("cuda")
T, N, I, H = 17, 6, 12, 20
#: A hundred roundings of float32: sums over T * N rows in another order.
NEAR = 100 * torch.finfo(torch.float32).eps
OURS: list[Any] = [BR, nBR, MGU, coRNN]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """No TF32 for anyone: the paths are compared."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def data(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)


def trained(layer: nn.Module, given: Any) -> list[Tensor]:
    """Output and all gradients."""
    layer.zero_grad(set_to_none=True)
    output = layer(given)[0]
    values = output if isinstance(output, Tensor) else output.data
    (values * torch.linspace(-1, 1, values.numel(), device=DEVICE).view_as(values)).sum().backward()
    gradients = [each.grad for each in layer.parameters() if each.grad is not None]
    return [values.detach(), *(each.clone() for each in gradients)]


def near(found: list[Tensor], expected: list[Tensor], tolerance: float = NEAR) -> None:
    largest = max(1.0, *(float(each.detach().abs().max()) for each in expected))
    assert all(each.isfinite().all() for each in found)
    assert_same(found, expected, tolerance * largest)


@pytest.mark.parametrize("kind", OURS)
def test_by_default_a_kernel_runs_that_has_proved_itself(kind: Any) -> None:
    layer, x = kind(I, H, device=DEVICE), data(T, N, I)
    with backend("reference"):
        expected = trained(layer, x)
    for _ in range(4):  # as it is, captured, replayed
        near(trained(layer, x), expected)
    explained = layer.explain(x)
    assert "triton: " in explained, explained
    assert "as checked on this device" in explained
    assert not any(each.fault for each in verdicts.every().values())


@pytest.mark.parametrize("kind", OURS)
def test_new_numbers_each_time(kind: Any) -> None:
    """An optimiser changes the weights in place; a graph has copies of them."""
    found = []
    for choice in ("reference", "auto"):
        torch.manual_seed(3)
        layer = kind(I, H, device=DEVICE)
        optimiser = torch.optim.SGD(layer.parameters(), 0.05)
        generator = torch.Generator().manual_seed(4)
        losses = []
        for _ in range(8):
            x = torch.randn(T, N, I, generator=generator).to(DEVICE)
            optimiser.zero_grad()
            with backend(choice):
                loss = layer(x)[0].square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        found.append([torch.stack(losses), *(p.detach() for p in layer.parameters())])
    near(found[1], found[0])


@pytest.mark.parametrize("kind", OURS)
def test_packed_sequences(kind: Any) -> None:
    layer, x = kind(I, H, device=DEVICE), data(T, N, I)
    given = pack_padded_sequence(x, [17, 3, 9, 1, 17, 8], enforce_sorted=False)
    with backend("reference"):
        expected = trained(layer, given)
    near(trained(layer, given), expected)
    assert "triton: " in layer.explain(given)


TWINS: list[tuple[Any, Any, dict[str, Any]]] = [
    (RNN, nn.RNN, {}),
    (GRU, nn.GRU, {}),
    (LSTM, nn.LSTM, {}),
    (LSTM, nn.LSTM, {"proj_size": 7}),
    (LSTM, nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    (GRU, nn.GRU, {"batch_first": True, "bias": False}),
]


@pytest.mark.parametrize(("kind", "torchs", "options"), TWINS, ids=str)
def test_cells_that_cudnn_has_run_there(kind: Any, torchs: Any, options: dict[str, Any]) -> None:
    layer, twin = kind(I, H, device=DEVICE, **options), torchs(I, H, device=DEVICE, **options)
    layer.load_state_dict(twin.state_dict())
    x = data(N, T, I) if "batch_first" in options else data(T, N, I)
    assert "cuDNN" in layer.explain(x)
    with backend("reference"):
        expected = trained(layer, x)
    near(trained(layer, x), expected)
    near([layer(x)[0]], [twin(x)[0]])
    with torch.autocast("cuda", torch.bfloat16):
        # as many roundings of bfloat16's eight bits
        near([layer(x)[0].float()], [twin(x)[0].float()], 0.03)


@pytest.mark.parametrize("kind", [*OURS, LSTM])
def test_within_a_graph_of_the_callers(kind: Any) -> None:
    layer, x = kind(I, H, device=DEVICE), data(T, N, I)
    static = x.clone()
    stream = torch.cuda.Stream()
    with torch.no_grad():
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                layer(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = layer(static)[0]
        for seed in range(2):
            torch.manual_seed(seed)
            other = torch.randn_like(x)
            static.copy_(other)
            graph.replay()
            with backend("reference"):
                near([output], [layer(other)[0]])


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("kind", [BR, MGU])
def test_compiled_by_inductor(kind: Any, mode: str) -> None:
    """Three layers, of which two share their kernels, and so would share graphs."""
    torch.manual_seed(0)
    layer, x = kind(I, H, num_layers=3, device=DEVICE), data(T, N, I)
    with backend("reference"):
        expected = trained(layer, x)
    compiled: Any = torch.compile(layer, mode=mode)
    for _ in range(4):
        torch.compiler.cudagraph_mark_step_begin()
        near([each.clone() for each in trained(compiled, x)], expected)
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", OURS)
def test_nothing_waits_for_the_gpu(kind: Any) -> None:
    layer, x = kind(I, H, device=DEVICE), data(T, N, I)
    given = pack_padded_sequence(x, [17, 12, 9, 8, 8, 1])
    for each in (x, given, x, given):
        trained(layer, each)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trained(layer, x)
        output = layer(given)[0].data
        output.sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", OURS)
def test_two_streams_at_once(kind: Any) -> None:
    layers = [kind(I, H, device=DEVICE) for _ in range(2)]
    inputs = [data(64, N, I), data(64, N, I) * 0.5]
    with torch.no_grad(), backend("reference"):
        expected = [layer(x)[0] for layer, x in zip(layers, inputs, strict=True)]
    streams = [torch.cuda.Stream() for _ in range(2)]
    torch.cuda.synchronize()
    found: list[Any] = [None, None]
    for _ in range(6):
        for k, stream in enumerate(streams):
            with torch.cuda.stream(stream), torch.no_grad():
                found[k] = layers[k](inputs[k])[0]
    torch.cuda.synchronize()
    near(found, expected)


def test_two_threads_at_once() -> None:
    layer, x = MGU(I, H, device=DEVICE), data(64, N, I)
    with torch.no_grad(), backend("reference"):
        expected = layer(x)[0]
    found: dict[int, Tensor] = {}

    def run(number: int) -> None:
        with torch.cuda.stream(torch.cuda.Stream()), torch.no_grad():
            for _ in range(10):
                found[number] = layer(x)[0]
            torch.cuda.current_stream().synchronize()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    near(list(found.values()), [expected] * 3)


OPTIONS: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "zoneout": ({"zoneout": 0.2}, dict),
    "recurrent_dropout": ({"recurrent_dropout": 0.3}, dict),
    "resets": (
        {"initial_state": "learned"},
        lambda: {"resets": torch.rand(T, N, device=DEVICE) < 0.2},
    ),
    "mask": ({}, lambda: {"mask": torch.rand(T, N, device=DEVICE) < 0.7}),
    "stacks": ({"num_layers": 2, "bidirectional": True, "merge": "sum"}, dict),
}


@pytest.mark.parametrize("kind", [BR, MGU, LSTM])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_layers(kind: Any, name: str) -> None:
    options, call = OPTIONS[name]
    layer, given, x = kind(I, H, device=DEVICE, **options), call(), data(T, N, I)
    found = []
    for choice in ("reference", "auto", "triton"):
        torch.manual_seed(7)
        layer.zero_grad(set_to_none=True)
        with backend(choice):
            output = layer(x, **given)[0]
        output.square().sum().backward()
        grads = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
        found.append([output.detach(), *grads])
    near(found[1], found[0])
    near(found[2], found[0])


@pytest.mark.parametrize("kind", [BR, MGU, LSTM])
def test_streaming(kind: Any) -> None:
    layer, x = kind(I, H, device=DEVICE), data(T, N, I)
    with torch.no_grad():
        expected, _ = layer(x)
        state, steps = None, []
        for row in x:
            output, state = layer.step(row, state)
            steps.append(output)
    near([torch.stack(steps)], [expected])


def test_the_driver_has_a_version() -> None:
    assert driver_version()


def test_gradients_are_scaled_under_amp() -> None:
    layer, x = BR(I, H, device=DEVICE), data(T, N, I)
    scaler, optimiser = torch.amp.GradScaler("cuda"), torch.optim.SGD(layer.parameters(), 0.1)
    with torch.autocast("cuda", torch.float16):
        loss = layer(x)[0].float().square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimiser)
    scaler.update()
    assert all(parameter.isfinite().all() for parameter in layer.parameters())
    assert scaler.get_scale() == 65536.0  # nothing overflowed


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_a_second_device() -> None:
    for index in (0, 1, 0):
        device = torch.device("cuda", index)
        layer, x = MGU(I, H, device=device), torch.randn(T, N, I, device=device)
        with torch.no_grad():
            for _ in range(3):
                found = layer(x)[0]
            with backend("reference"):
                near([found], [layer(x)[0]])
