"""Measures times on the GPU, and the least time that the bytes and products of a cell allow."""

from __future__ import annotations

import importlib.util
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import torchrecurrent as tr
from torchrecurrent import backend
from torchrecurrent.engine.program.plan import Plan
from torchrecurrent.engine.run.kernels import Fused, fused

__all__ = [
    "OURS",
    "Ceilings",
    "Shape",
    "ceilings",
    "floors",
    "interleave",
    "kernels_alone",
    "rows",
    "run_once",
]

#: T, N, I, H.
Shape = tuple[int, int, int, int]
Call = Callable[[], object]
OURS: dict[str, Callable[..., nn.Module]] = {
    "BR": tr.BR,
    "IndRNN": tr.IndRNN,
    "LSTM, diagonal": lambda *sizes, **o: tr.LSTM(*sizes, recurrence="diagonal", **o),
    "LSTM": tr.LSTM,
    "GRU": tr.GRU,
    "nBR": tr.nBR,
    "MGU": tr.MGU,
    "URLSTM": tr.URLSTM,
}


@dataclass(frozen=True)
class Ceilings:
    """The best measured rates of this GPU."""

    bytes_per_second: float  # read and written by a large copy
    flops_per_second: Mapping[torch.dtype, float]  # of a large product


def milliseconds(call: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def interleave(
    calls: Mapping[str, Call], repeats: int, slow: Sequence[str] = ()
) -> dict[str, float]:
    """Return median milliseconds; a slow call takes part in a quarter of the rounds."""
    for name, call in calls.items():  # compiles; captures; replays
        for _ in range(1 if name in slow else 4):
            call()
    torch.cuda.synchronize()
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for turn in range(repeats):
        due = [name for name in calls if name not in slow or turn % 4 == 0]
        order.shuffle(due)  # so that no call always follows the same one
        for name in due:
            times[name].append(milliseconds(calls[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def ceilings(repeats: int = 20) -> Ceilings:
    source = torch.randn(1 << 28, device="cuda")  # a gibibyte: far more than any cache
    target = torch.empty_like(source)
    time = interleave({"copy": lambda: target.copy_(source)}, repeats)["copy"]
    rates = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        size = 8192
        a, b = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
        product = interleave({"mm": lambda a=a, b=b: a @ b}, repeats)["mm"]  # type: ignore[misc]
        rates[dtype] = 2 * size**3 / product * 1000
    return Ceilings(2 * source.numel() * 4 / time * 1000, rates)


def rows(shape: Shape, dtype: torch.dtype, loops: bool = True) -> tuple[dict[str, Call], list[str]]:
    """Return the calls to time, forward and training, and the names of the slow ones.

    Args:
        shape: of the input, and the number of units.
        dtype: of all tensors.
        loops: whether our cells also run by the eager loop, which is what is slow.
    """
    steps, batch, width, hidden = shape
    x = torch.randn(steps, batch, width, device="cuda").to(dtype)
    calls: dict[str, Call] = {}
    slow: list[str] = []
    modules: dict[str, nn.Module] = {}
    for name, kind in (("nn.LSTM", nn.LSTM), ("nn.GRU", nn.GRU)):
        modules[name] = kind(width, hidden, device="cuda", dtype=dtype)
    for name, make in OURS.items():
        modules[name] = make(width, hidden, device="cuda", dtype=dtype)
    for name, module in modules.items():
        calls |= _pair(name, module, x, "triton" if name in OURS else "auto")
        if name in OURS and loops:
            pair = _pair(f"{name}, eager loop", module, x, "reference")
            calls |= pair
            slow += pair
    if importlib.util.find_spec("flashrnn") is not None:
        calls |= _flashrnn(shape, dtype)
    return calls, slow


def _pair(name: str, module: nn.Module, x: Tensor, path: Any) -> dict[str, Call]:
    def forward() -> None:
        with torch.no_grad(), backend(path):
            module(x)

    def train() -> None:
        module.zero_grad(set_to_none=True)
        with backend(path):
            module(x)[0].sum().backward()

    return {f"{name} forward": forward, f"{name} train": train}


def run_once(name: str, shape: Shape, dtype: torch.dtype) -> None:
    """Run one of our layers, both ways, so that its kernels are compiled."""
    steps, batch, width, hidden = shape
    layer = OURS[name](width, hidden, device="cuda", dtype=dtype)
    x = torch.randn(steps, batch, width, device="cuda").to(dtype)
    for call in _pair(name, layer, x, "triton").values():
        call()
    torch.cuda.synchronize()


def _flashrnn(shape: Shape, dtype: torch.dtype) -> dict[str, Call]:
    """Return flashrnn's LSTM with one head, after the same projection of the input; bfloat16 only.

    It has two backends for a head of this width; one that refuses is left out.
    """
    if dtype != torch.bfloat16:
        return {}
    flashrnn: Any = importlib.import_module("flashrnn").flashrnn
    steps, batch, width, hidden = shape
    x = torch.randn(batch, steps, width, device="cuda").to(dtype)
    projection = nn.Linear(width, 4 * hidden, bias=False, device="cuda", dtype=dtype)
    kernel = (torch.randn(4, 1, hidden, hidden, device="cuda") / hidden**0.5).to(dtype)
    kernel.requires_grad_()
    bias = torch.zeros(4, 1, hidden, device="cuda", dtype=dtype, requires_grad=True)
    states = torch.zeros(2, batch, 1, 1, hidden, device="cuda", dtype=dtype)
    calls: dict[str, Call] = {}
    for path in ("cuda_fused", "cuda"):

        def run(path: str = path) -> Tensor:
            given = projection(x).view(batch, steps, 4, 1, hidden)
            found = flashrnn(given, kernel, bias, states=states, function="lstm", backend=path)
            output: Tensor = found[0][0]
            return output

        def forward(run: Callable[[], Tensor] = run) -> None:
            with torch.no_grad():
                run()

        def train(run: Callable[[], Tensor] = run) -> None:
            projection.zero_grad(set_to_none=True)
            kernel.grad = bias.grad = None
            run().sum().backward()

        try:
            train()
        except Exception as error:  # from a peer, at a size that it does not support
            print(f"flashrnn, {path}: {type(error).__name__}: {error}".splitlines()[0])
            continue
        calls |= {f"flashrnn LSTM, {path} forward": forward, f"flashrnn LSTM, {path} train": train}
    return calls


def floors(shape: Shape, dtype: torch.dtype, limits: Ceilings) -> dict[str, float]:
    """Return a lower bound in milliseconds: bytes or products at the best rates.

    Forward reads the input and writes the output, and everything else stays on the chip;
    training also reads both again and writes the input's gradient, and multiplies three times
    as much. The weights are counted once.
    """
    steps, batch, width, hidden = shape
    found = {}
    for name, make in OURS.items():
        plan = plan_of(make(width, hidden))
        weights = _weights(plan, width)
        flops = 2 * steps * batch * weights
        moved = (
            steps * batch * (width + plan.widths[plan.output_width]) + weights
        ) * dtype.itemsize
        for kind, factor, bytes_moved in (("forward", 1, moved), ("train", 3, 3 * moved)):
            seconds = max(
                bytes_moved / limits.bytes_per_second,
                factor * flops / limits.flops_per_second[dtype],
            )
            found[f"{name} {kind}"] = 1000 * seconds
    return found


def plan_of(layer: Any) -> Plan:
    found = fused(layer.cells[0])
    assert isinstance(found, Fused), found
    return found.plan


def _weights(plan: Plan, width: int) -> int:
    """Return the number of weights that a row is multiplied with in a step."""
    total = plan.units(list(plan.columns.values())[: plan.inputs]) * width
    for product in plan.products:
        inner = plan.widths[plan.states[product.state]]
        total += plan.units(plan.columns[name] for name in product.columns) * inner // product.heads
    for each in plan.maps:
        inner = plan.widths[plan.node_widths[each.argument]]
        total += plan.units(plan.mapped[name] for name in each.names) * inner // each.heads
    return total


def kernels_alone(name: str, shape: Shape, dtype: torch.dtype, limits: Ceilings) -> float:
    """Return the bandwidth of an elementwise cell's two loops over that of a copy.

    They have to move these bytes: Z and the states forward; Z, the states, the output's gradient
    and dZ backward.
    """
    steps, batch, width, hidden = shape
    layer: Any = OURS[name](width, hidden, device="cuda", dtype=dtype)
    plan = plan_of(layer)
    x = torch.randn(steps, batch, width, device="cuda").to(dtype)
    train = _pair(name, layer, x, "triton")[f"{name} train"]
    for _ in range(3):
        train()
    repeats = 10
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(repeats):
            train()
        torch.cuda.synchronize()
    loops = ("forward_", "backward_")
    micro = sum(
        event.device_time_total for event in profile.key_averages() if event.key.startswith(loops)
    )
    z, states = plan.units(plan.columns.values()), plan.units(plan.states.values())
    output = plan.widths[plan.output_width]
    numbers = (z + states) + (z + states + output + z)
    moved = steps * batch * numbers * dtype.itemsize * repeats
    return moved / (micro * 1e-6) / limits.bytes_per_second if micro else float("nan")
