"""Modules take and return their states in many manners, and run by a kernel in each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrecurrent import Recurrent, backend, declare

from .test_modules import HIDDEN, INPUT, check, results

State = tuple[Tensor, Tensor]

# torch.jit is deprecated, and still what many repositories use.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Gates(nn.Module):
    """The parameters of an LSTM without peepholes, and its equations."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.on_input = nn.Linear(input_size, 4 * hidden_size)
        self.on_hidden = nn.Linear(hidden_size, 4 * hidden_size)

    def new(self, x: Tensor, h: Tensor, c: Tensor) -> State:
        i, f, g, o = (self.on_input(x) + self.on_hidden(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Pair(Gates):
    """Has to be given a pair."""

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hx, cx = state
        new = self.new(x, hx, cx)
        return new[0], new


class Apart(Gates):
    """Takes its states one by one, and makes them in a method, in torch's default dtype."""

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> State:
        return self.new(x, hidden, cell)

    def init_hidden(self, batch_size: int) -> State:
        return torch.zeros(batch_size, self.hidden_size), torch.zeros(batch_size, self.hidden_size)


class ApartOrNone(Gates):
    """The same, but for states that may be left out."""

    def forward(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> State:
        zeros = x.new_zeros(x.size(0), self.hidden_size)
        return self.new(x, zeros if h is None else h, zeros if c is None else c)


class AllFlat(Gates):
    """Returns the output and its states side by side."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h, c = self.new(x, h, c)
        return torch.relu(h), h, c


class ListOfTwo(Gates):
    """Takes and returns a list."""

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if not isinstance(state, list):
            raise TypeError("expected a list")
        h, c = self.new(x, *state)
        return h, [h, c]


class TakesDefaults(nn.Module):
    """Says that its state may be left out, and fails without."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.kernels = nn.ParameterDict(
            {
                name: nn.Parameter(torch.randn(rows, hidden_size) * 0.4)
                for name, rows in (("zx", input_size), ("rx", input_size), ("hx", input_size),
                                   ("zh", hidden_size), ("rh", hidden_size))
            }
        )  # fmt: skip
        self.biases = nn.ParameterList([nn.Parameter(torch.randn(hidden_size)) for _ in range(2)])

    def forward(self, x: Tensor, h: Tensor = None) -> Tensor:  # type: ignore[assignment]
        w, (b_z, b_r) = self.kernels, self.biases
        z = torch.sigmoid(torch.matmul(x, w["zx"]) + torch.matmul(h, w["zh"]) + b_z)
        r = torch.tanh(torch.matmul(x, w["rx"]) + torch.matmul(h, w["rh"]) + b_r) + 1
        return z * h + (1.0 - z) * torch.tanh(torch.matmul(x, w["hx"]) + r * h)


class OfATutorial(nn.Module):
    """Returns an output of another layer before its one state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, hidden: Tensor) -> State:
        hidden = torch.tanh(self.i2h(torch.cat((x, hidden), 1)))
        return self.i2o(hidden), hidden


class TutorialFromNone(OfATutorial):
    """The same, and it makes its first state."""

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> State:
        if hidden is None:
            hidden = torch.zeros(x.size(0), self.hidden_size, dtype=x.dtype, device=x.device)
        return super().forward(x, hidden)


class Unbatched(nn.Module):
    """Takes rows as well, has buffers of zeros for absent biases, and activations as modules."""

    bias_hh: Tensor

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.act, self.gate_act, self.out_act = nn.Tanh(), nn.Hardsigmoid(), nn.Softplus()
        self.weight_ih = nn.Parameter(torch.randn(2 * hidden_size, input_size) * 0.4)
        self.weight_hh = nn.Parameter(torch.randn(2 * hidden_size, hidden_size) * 0.4)
        self.bias_ih = nn.Parameter(torch.zeros(2 * hidden_size))
        self.register_buffer("bias_hh", torch.zeros(2 * hidden_size))
        self.config = {"kernel": "xavier_uniform", "bias": "zeros"}

    def forward(self, inp: Tensor, state: Tensor | None = None) -> Tensor:
        if inp.dim() not in (1, 2):
            raise ValueError("expected one or two dimensions")
        batched = inp.dim() == 2
        rows = inp if batched else inp.unsqueeze(0)
        if state is None:
            h = torch.zeros(rows.size(0), self.hidden_size, device=rows.device, dtype=rows.dtype)
        else:
            h = state if batched else state.unsqueeze(0)
        w_g, w_z = self.weight_hh.chunk(2, 0)
        b_g, b_z = self.bias_hh.chunk(2, 0)
        x_g, x_z = (rows @ self.weight_ih.t() + self.bias_ih).chunk(2, 1)
        g = self.act((x_g * h) @ w_g.t() + b_g)
        z = self.gate_act(x_z + h @ w_z.t() + b_z)
        h = (1.0 - z) * h + z * self.out_act(g * h)
        found: Tensor = h if batched else h.squeeze(0)
        return found


F = TypeVar("F", bound=Callable[..., Any])


def script_method(forward: F) -> F:
    made: F = vars(torch.jit)["script_method"](forward)
    return made


def leak_as_written(h: Tensor, candidate: Tensor, z: Tensor) -> Tensor:
    return z * h + (1 - z) * candidate


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    leak: Any = torch.jit.script(leak_as_written)


class CallsCompiled(nn.Module):
    """Calls a function that torch.jit has compiled."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2 * hidden_size, input_size + hidden_size) * 0.4)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        z, n = functional.linear(torch.cat((x, h), -1), self.weight).chunk(2, -1)
        new: Tensor = leak(h, torch.tanh(n), torch.sigmoid(z))
        return new


class Plain(nn.Module):
    """What the modules below are compiled from."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)
        self.scale, self.count = 0.5, 0

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.linear(torch.cat((x, h), 1))) - self.scale * h


class Counts(Plain):
    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        self.count += 1
        return torch.tanh(self.linear(torch.cat((x, h), 1))) - self.scale * h


def scripted(input_size: int, hidden_size: int) -> nn.Module:
    module: nn.Module = torch.jit.script(Plain(input_size, hidden_size))
    return module


class Inside(nn.Module):
    """A plain module around a compiled one."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.compiled = scripted(input_size, hidden_size)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        new: Tensor = self.compiled(x, h)
        return new * 2


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    class OneInAList(torch.jit.ScriptModule):
        """Is compiled itself, and its one state is in a list."""

        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__()
            self.hidden_size = hidden_size
            self.on_input = nn.Parameter(torch.randn(input_size, 3 * hidden_size) * 0.4)
            self.on_hidden = nn.Parameter(torch.randn(2 * hidden_size))
            self.bias = nn.Parameter(torch.randn(3 * hidden_size))

        def init_hidden(self, batch_size: int) -> list[Tensor]:
            return [torch.zeros(batch_size, self.hidden_size, device=self.bias.device)]

        @script_method
        def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            (h,) = state
            columns = x @ self.on_input
            columns += self.bias
            a, c, n = columns.chunk(3, dim=-1)
            on_a, on_c = (torch.cat([h, h], dim=-1) * self.on_hidden).chunk(2, dim=-1)
            a, c = 1 + torch.tanh(a + on_a), torch.sigmoid(c + on_c)
            h = c * h + (1 - c) * torch.tanh(n + a * h)
            return h, [h]


ONE, TWO = (HIDDEN,), (HIDDEN, HIDDEN)
#: The modules, and the widths of their states.
MODULES: list[tuple[Any, tuple[int, ...]]] = [
    (Pair, TWO),
    (Apart, TWO),
    (ApartOrNone, TWO),
    (AllFlat, TWO),
    (ListOfTwo, TWO),
    (TakesDefaults, ONE),
    (OfATutorial, ONE),
    (TutorialFromNone, ONE),
    (Unbatched, ONE),
    (CallsCompiled, ONE),
    (scripted, ONE),
    (Inside, ONE),
    (OneInAList, ONE),
]


@pytest.mark.parametrize(("kind", "widths"), MODULES)
def test_with_and_without_given_states(kind: Any, widths: tuple[int, ...]) -> None:
    # the sixth in torch's gradient of hardsigmoid is rounded to float32
    rounding = 1e-6 if kind is Unbatched else 1e-9
    check(kind(INPUT, HIDDEN), rounding=rounding)
    check(kind(INPUT, HIDDEN), widths, rounding)


@pytest.mark.parametrize(("kind", "widths"), MODULES)
def test_the_loop_begins_in_the_same_way(kind: Any, widths: tuple[int, ...]) -> None:
    """Whether or not a kernel was there before."""
    layer = Recurrent([kind(INPUT, HIDDEN)], INPUT, HIDDEN)
    x = torch.randn(6, 4, INPUT)
    zeros = tuple(torch.zeros(1, 4, width) for width in widths)
    with backend("reference"):
        begun, given = results(layer, x), results(layer, x, zeros if zeros[1:] else zeros[0])
        step = layer.step(x[0])[0]
    assert len(given) == len(begun) + len(widths)
    assert torch.equal(begun[0], given[0])
    assert torch.equal(begun[0][0], step)


def test_it_is_declared_too() -> None:
    assert "h: State, c: State" in declare(Pair(3, 5), 3)
    assert "def step(h: State" in declare(scripted(3, 5), 3, 5)


def hx() -> Tensor:
    return torch.randn(1, 2, 5)


def test_compiled_attributes() -> None:
    """A number that torch.jit keeps is traced anew; what a step changes stays the loop's."""
    layer, x, h = Recurrent([scripted(3, 5)], 3, 5), torch.randn(4, 2, 3), hx()
    module: Any = layer.cells[0]
    for scale in (0.5, 0.25):
        module.scale = scale
        with backend("c"):
            ours = layer(x, h)[0]
        with backend("reference"):
            theirs = layer(x, h)[0]
        # float32; only the order of sums differs
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    counting: Any = torch.jit.script(Counts(3, 5))
    layer = Recurrent([counting], 3, 5)
    assert "its forward changes 'count' of the module" in layer.explain(x, h)
    assert counting.count == 0
    layer(x, h)
    assert counting.count == len(x)


def test_hooks_of_compiled_modules() -> None:
    layer = Recurrent([OneInAList(3, 5)], 3, 5)
    x = torch.randn(4, 2, 3)
    assert ": c: one fused kernel" in layer.explain(x)
    handle = layer.cells[0].register_forward_hook(lambda *_: None)
    assert "hooks would not see the steps" in layer.explain(x)
    handle.remove()
    assert ": c: one fused kernel" in layer.explain(x)


class WantsMore(Gates):
    def forward(self, x: Tensor, h: Tensor, c: Tensor, mask: Tensor) -> State:
        return self.new(x, h, c * mask)


class Three(Gates):
    def forward(self, x: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> Any:
        h, c, n = state
        h, c = self.new(x, h, c)
        return h, (h, c, n + 1)


class Numbers(Gates):
    def forward(self, x: Tensor, state: State) -> Any:
        return {"h": self.new(x, *state)[0]}


REFUSED: list[tuple[type[Gates], str]] = [
    (WantsMore, "missing . required positional arguments?: .*'mask'"),
    (Three, "cannot unpack non-iterable NoneType object"),
    (Numbers, "expected a state that is a Tensor or a tuple of Tensors"),
]


@pytest.mark.parametrize(("kind", "why"), REFUSED)
def test_what_no_manner_fits(kind: type[Gates], why: str) -> None:
    """The module's own error is shown, and raised."""
    layer, x = Recurrent([kind(3, 5)], 3, 5), torch.randn(4, 2, 3)
    given = None if kind is Three else (hx(), hx())
    assert re.search(why, layer.explain(x, given))
    with pytest.raises(TypeError, match=why):
        layer(x, given)
    three = (hx(), hx(), hx())
    assert (": c: one fused kernel" in layer.explain(x, three)) == (kind is Three)


class Watched(Plain):
    """Sees how often it is called, and with what."""

    def __init__(self) -> None:
        super().__init__(3, 5)
        self.seen: list[torch.Size] = []

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        self.seen.append(x.shape)
        return super().forward(x, h)


def test_a_trial_leaves_nothing_behind() -> None:
    module = Watched()
    layer, x = Recurrent([module], 3, 5), torch.randn(4, 2, 3)
    layer(x, hx())
    assert module.seen == [(2, 3)] * 4
    assert [*module.state_dict()] == ["linear.weight", "linear.bias"]


def parts(output: Tensor, state: Any) -> Iterator[Tensor]:
    yield output
    yield from state if isinstance(state, tuple) else (state,)


def test_several_layers_and_lengths() -> None:
    layer = Recurrent(Pair, 3, 5, num_layers=2, bidirectional=True).double()
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    with backend("c"):
        ours = layer(x, lengths=[2, 6, 1, 3])
    with backend("reference"):
        theirs = layer(x, lengths=[2, 6, 1, 3])
    for a, b in zip(parts(*ours), parts(*theirs), strict=True):
        # both are float64; only the order of sums differs
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
