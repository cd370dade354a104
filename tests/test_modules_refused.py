"""What a kernel can't do in a module's place runs by the loop, and ``explain`` says why."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrecurrent import Recurrent, backend

SETTINGS = {"scale": 0.5}
FACTOR = 0.5


class Plain(nn.Module):
    """A cell that has a kernel; those below differ from it in ``combine``."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Linear(3, 5)
        self.h = nn.Linear(5, 5)
        self.register_buffer("count", torch.zeros(()))
        self.norm = nn.BatchNorm1d(5)
        self.alpha = 0.5
        self.trail: list[Tensor] = []

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.combine(self.x(x) + self.h(h), x, h)

    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a)


class Straight(torch.autograd.Function):
    """A sign that passes the gradient on, which is not its derivative."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.sign()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class Branches(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) if a.sum() > 0 else a


class Reads(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) * a.abs().max().item()


class Draws(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) + torch.randn_like(a)


class DrawsByPython(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) * random.random()


class DropsOut(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return functional.dropout(torch.tanh(a), 0.5, self.training)


class Normalises(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        result: Tensor = self.norm(a)
        return result.tanh()


class Counts(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        self.count = self.count + 1
        return torch.tanh(a)


class CountsInPlace(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        self.count.add_(1)
        return torch.tanh(a)


class Remembers(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        self.last = a = torch.tanh(a)
        return a


class Lists(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        self.trail.append(a)
        return torch.tanh(a)


class Overwrites(Plain):
    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        h.mul_(0.5)
        result: Tensor = 0.1 * (self.x(x) + self.h(h)) + h
        return result


class LooksUp(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) * SETTINGS["scale"]


class Stops(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        with torch.no_grad():
            gate = torch.sigmoid(a)
        return gate * h + (1 - gate) * torch.tanh(a)


class OwnGradient(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        result: Tensor = Straight.apply(a)  # type: ignore[no-untyped-call]
        return 0.5 * h + 0.1 * result


class MixesSequences(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a - a.mean(0))


class CountsSequences(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) / a.size(0)


class Squeezes(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) if len(a) > 1 else torch.tanh(a) * 0.5


class TwoValues(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a * torch.bmm(a.unsqueeze(1), h.unsqueeze(2)).squeeze(2))


class Sorts(Plain):
    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.sort(a, dim=1)[0].tanh()


REFUSED: list[tuple[type[Plain], str]] = [
    (Branches, "reads a number out of a tensor, as a branch on a value does"),
    (Reads, "reads a number out of a tensor"),
    (Draws, "draws random numbers (randn_like)"),
    (DrawsByPython, "reads 'random.random' (builtin_function_or_method) from outside"),
    (DropsOut, "draws random numbers"),
    (Normalises, "changes a tensor in place"),
    (Counts, "changes 'count' of the module"),
    (CountsInPlace, "changes a tensor in place"),
    (Remembers, "changes 'last' of the module"),
    (Lists, "changes 'trail' of the module"),
    (Overwrites, "changes a tensor in place"),
    (LooksUp, "reads 'SETTINGS'"),
    (Stops, "the gradient of its forward is not that of the operations that were traced"),
    (OwnGradient, "reads 'Straight.apply' (method) from outside"),
    (MixesSequences, "'mean' has a rule over the units of each sequence only"),
    (CountsSequences, "depends on the size of the batch"),
    (Squeezes, "the result of its forward is not that of the operations that were traced"),
    (TwoValues, "multiplies two values that both change in time"),
    (Sorts, "the operation 'sort' has no rule"),
]


def call(layer: Recurrent, seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    """The output of a call and the gradients of the parameters, after seeding torch's generator."""
    torch.manual_seed(seed)
    layer.zero_grad()
    output, _ = layer(torch.randn(4, 2, 3), torch.randn(1, 2, 5))
    grads = torch.autograd.grad(output.square().sum(), list(layer.parameters()), allow_unused=True)
    return output, [torch.zeros(()) if grad is None else grad for grad in grads]


def reason(layer: Recurrent) -> str:
    return layer.explain(torch.randn(4, 2, 3), torch.randn(1, 2, 5))


@pytest.mark.parametrize(("kind", "why"), REFUSED)
def test_refused(kind: type[Plain], why: str) -> None:
    layer = Recurrent([kind()], 3, 5)
    x, hx = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    state = torch.get_rng_state()
    found = layer.explain(x, hx)
    assert ": reference: " in found
    assert why in found
    assert torch.equal(torch.get_rng_state(), state), "asking draws no number"
    module: Any = layer.cells[0]
    assert not module.count
    assert not module.trail
    assert not hasattr(module, "last")
    random.seed(0)
    ours = call(layer)
    with backend("reference"):
        random.seed(0)
        module.count.zero_()
        theirs = call(layer)
    for a, b in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
        assert torch.equal(a, b)
    with backend("c"), pytest.raises(RuntimeError, match="backend='c' can't run"):
        layer(x, hx)


@contextmanager
def registered(handle: Any) -> Iterator[None]:
    yield
    handle.remove()


HOOKS: list[Callable[[Plain], Any]] = [
    lambda cell: cell.register_forward_hook(lambda *_: None),
    lambda cell: cell.register_forward_pre_hook(lambda *_: None),
    lambda cell: cell.register_full_backward_hook(lambda *_: None),
    lambda cell: cell.register_full_backward_pre_hook(lambda *_: None),
    lambda cell: cell.x.register_forward_hook(lambda *_: None),
    lambda cell: nn.modules.module.register_module_forward_hook(lambda *_: None),
    lambda cell: nn.modules.module.register_module_full_backward_hook(lambda *_: None),
]


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_see_every_step(hook: Callable[[Plain], Any]) -> None:
    layer = Recurrent([Plain()], 3, 5)
    assert ": c: one fused kernel" in reason(layer)
    with registered(hook(layer.cells[0])):  # type: ignore[arg-type]
        assert "hooks" in reason(layer)
    assert ": c: one fused kernel" in reason(layer)


def test_a_mode_is_traced_by_itself() -> None:
    for kind in (DropsOut, Normalises):
        layer = Recurrent([kind()], 3, 5)
        assert ": reference: " in reason(layer)
        layer.eval()
        assert ": c: one fused kernel" in reason(layer)
        ours = call(layer)
        with backend("reference"):
            theirs = call(layer)
        for a, b in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
            # float32; only the order of sums differs
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        layer.train()
        assert ": reference: " in reason(layer)


class Scaled(Plain):
    shift = 0.0

    def combine(self, a: Tensor, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(a) * self.alpha * FACTOR + self.shift


def test_numbers_are_traced_anew_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Recurrent([Scaled()], 3, 5)
    module: Any = layer.cells[0]

    def same() -> None:
        with backend("c"):
            ours = call(layer)
        with backend("reference"):
            theirs = call(layer)
        for a, b in zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True):
            # float32; only the order of sums differs
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    same()
    module.alpha = 0.25
    same()
    monkeypatch.setattr(f"{__name__}.FACTOR", 0.75)
    same()
    monkeypatch.setattr(Scaled, "shift", 0.5)
    same()
    module.combine = lambda a, x, h: a.sigmoid()
    same()
    for k in range(20):
        module.alpha = k + 0.1
        layer(torch.randn(4, 2, 3), torch.randn(1, 2, 5))
    assert "changes too often" in reason(layer)


class Config:
    scale = 0.5


ATTRIBUTES = [
    (Config(), "its attribute 'alpha' (Config) may change unseen by a kernel"),
    (torch.ones(5), "its attribute 'alpha' is a Tensor that is no parameter and no buffer"),
    ({"config": Config()}, "its attribute 'alpha' (Config) may change unseen by a kernel"),
]


@pytest.mark.parametrize(("value", "why"), ATTRIBUTES)
def test_attributes(value: Any, why: str) -> None:
    layer = Recurrent([Plain()], 3, 5)
    module: Any = layer.cells[0]
    module.alpha = value
    assert why in reason(layer)


class Learned(Plain):
    """Begins with a state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        if h is None:
            h = self.first.expand(len(x), -1)
        return super().forward(x, h)


class Matrix(Plain):
    """Has a matrix for a state, for each sequence."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Any:
        h = x.new_zeros(len(x), 5, 1) if h is None else h
        a = torch.tanh(self.x(x) + self.h(h.squeeze(-1)))
        return a, (a.unsqueeze(-1),)


def test_states() -> None:
    x = torch.randn(4, 2, 3)
    assert "the state that it begins with is not zero" in Recurrent([Learned()], 3, 5).explain(x)
    assert ": c: " in Recurrent([Learned()], 3, 5).explain(x, torch.randn(1, 2, 5))
    assert "it makes a state of the shape" in Recurrent([Matrix()], 3, 5).explain(x)
    for kind in (Learned, Matrix):
        layer = Recurrent([kind()], 3, 5)
        with backend("reference"):
            theirs = layer(x)[0]
        assert torch.equal(layer(x)[0], theirs)
