"""Cells with matrices in their state do what their papers say in other forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    GLA,
    RWKV6,
    RWKV7,
    S6,
    DeltaNet,
    DeltaNetCell,
    GatedDeltaNet,
    GatedDeltaNetCell,
    GLACell,
    HGRN2Cell,
    RetNet,
    RetNetCell,
    RWKV6Cell,
    RWKV7Cell,
    backend,
    mLSTM,
    mLSTMCell,
)
from torchrecurrent.declaration.layout import Block

from .making import assert_same, randomize

F64 = torch.float64
HEADS, WIDTH = 2, 8
#: A few hundred roundings of float64, of numbers of a few units.
ROUNDING = 1e-12


def blocks(cell: Any) -> list[Block]:
    """The rows of the input's kernel, by argument."""
    return list(cell.layout.blocks(next(iter(cell.layout.stacks))))


def projected(layer: Any, x: Tensor) -> list[Tensor]:
    """The affine functions of the input, in their order."""
    cell = layer.cells[0]
    found = torch.nn.functional.linear(x, cell.weight_ih, cell.bias_ih)
    rows = [block.stop - block.start for block in blocks(cell)]
    return list(found.split(rows, -1))


def by_head(value: Tensor) -> Tensor:
    """A value of all heads as (T, N, heads, width)."""
    return value.view(*value.shape[:-1], HEADS, -1)


def by_key(value: Tensor) -> Tensor:
    """A key of all heads likewise; in it the heads take turns."""
    return value.view(*value.shape[:-1], -1, HEADS).transpose(-1, -2)


def attention(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """What queries read of all values up to theirs, each weighed by its key and by ``weights``."""
    scores = torch.einsum("tnhd,snhd->nhts", q, k) * weights
    return torch.einsum("nhts,snhd->tnhd", scores, v)


def test_mlstm_is_attention_with_exponential_gates() -> None:
    """Beck et al. (2024), appendix A.3: the parallel form, which has no state."""
    layer = randomize(mLSTM(3, WIDTH, num_heads=HEADS, epsilon=0.0, dtype=F64))
    x = torch.randn(6, 4, 3, dtype=F64)
    q, k, v, o, i, f = projected(layer, x)
    kept = torch.nn.functional.logsigmoid(f).cumsum(0)  # (T, N, heads)
    logs = (kept[:, None] - kept[None] + i[None]).permute(2, 3, 0, 1)
    logs = logs.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    # The state begins with the stabiliser 0, so it is never below what is kept of it.
    most = torch.maximum(logs.amax(-1), kept.permute(1, 2, 0))
    weights = torch.exp(logs - most[..., None])
    key = by_key(k) / (WIDTH // HEADS) ** 0.5
    below = torch.einsum("tnhd,snhd->nhts", by_key(q), key).mul(weights).sum(-1).abs()
    below = torch.maximum(below, torch.exp(-most)).permute(2, 0, 1)[..., None]
    expected = attention(by_key(q), key, by_head(v), weights) / below
    assert_same(layer(x)[0], torch.sigmoid(o) * expected.flatten(-2), ROUNDING)


def test_gla_is_attention_that_fades() -> None:
    """Yang et al. (2024), equation 4."""
    layer: Any = randomize(GLA(3, WIDTH, num_heads=HEADS, tau=2.0, dtype=F64))
    cell = layer.cells[0]
    x = torch.randn(6, 4, 3, dtype=F64)
    q, k, v, z = projected(layer, x)
    gate = torch.nn.functional.linear(z, cell.weight_gate, cell.bias_gate)
    kept = by_key(torch.nn.functional.logsigmoid(gate).div(2.0).cumsum(0))
    q, k = by_key(q) * kept.exp(), by_key(k) * torch.exp(-kept)
    expected = attention(q, k, by_head(v), torch.ones(6, 6, dtype=F64).tril())
    expected = expected.flatten(-2) / (WIDTH // HEADS) ** 0.5
    assert_same(layer(x)[0], expected, ROUNDING)


def turned(value: Tensor, theta: Tensor) -> Tensor:
    """Pairs of real numbers, each at its place in the sequence turned as often by its angle."""
    one, other = value
    angle = torch.arange(len(one))[:, None, None, None] * theta
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


def test_retention_is_attention_that_fades_between_keys_that_turn() -> None:
    """Sun et al. (2023): attention with a decay, and the gated norm, in real numbers."""
    layer: Any = randomize(RetNet(3, WIDTH, num_heads=HEADS, dtype=F64))
    cell = layer.cells[0]
    x = torch.randn(6, 4, 3, dtype=F64)
    q_re, q_im, k_re, k_im, v, g = projected(layer, x)
    theta = by_key(cell.weight_theta)
    q = turned(torch.stack([by_key(q_re), by_key(q_im)]), theta)
    k = turned(torch.stack([by_key(k_re), by_key(k_im)]), theta)
    gamma = 1 - torch.exp(-cell.weight_decay)
    age = torch.arange(6)[:, None] - torch.arange(6)
    weights = (gamma[:, None, None] ** age.clamp(min=0)).tril() / (2 * WIDTH / HEADS) ** 0.5
    found = attention(q, k, by_head(v), weights).flatten(-2)
    normed = torch.nn.functional.group_norm(found.flatten(0, 1), HEADS, eps=1e-6)
    gated = torch.nn.functional.silu(g) * normed.view_as(g)
    assert_same(layer(x)[0], torch.nn.functional.linear(gated, cell.weight_out), ROUNDING)


def test_retention_fades_at_the_rates_of_the_paper() -> None:
    """Sun et al. (2023); the angles are those of the authors' code."""
    cell: Any = RetNetCell(3, WIDTH, num_heads=HEADS, dtype=F64)
    assert_same(1 - torch.exp(-cell.weight_decay), torch.tensor([31 / 32, 63 / 64], dtype=F64))
    angles = torch.tensor([1, 10 ** (-4 / 3), 10 ** (-8 / 3), 1e-4], dtype=F64)
    assert_same(by_key(cell.weight_theta), angles.expand(HEADS, 4), 1e-7)  # of float32


def test_the_time_mixing_of_rwkv_6_is_attention_with_a_bonus_for_the_newest() -> None:
    """Peng et al. (2024): a sum over the past, with products of decays as weights."""
    layer: Any = randomize(RWKV6(3, WIDTH, num_heads=HEADS, mix_rank=2, decay_rank=5, dtype=F64))
    cell = layer.cells[0]
    linear = torch.nn.functional.linear
    x = torch.randn(6, 4, 3, dtype=F64)
    change = torch.cat([torch.zeros_like(x[:1]), x[:-1]]) - x
    down = linear(x + cell.weight_shift * change, cell.weight_mix_down).tanh().chunk(5, -1)
    parts = zip(down, cell.weight_mix.chunk(5), cell.bias_mix.chunk(5), strict=True)
    *mixed, mixed_w = (x + change * linear(each, up, mu) for each, up, mu in parts)
    parts = zip(mixed, cell.weight_ih.chunk(4), cell.bias_ih.chunk(4), strict=True)
    k, v, r, g = (linear(each, weight, bias) for each, weight, bias in parts)
    narrow = linear(mixed_w, cell.weight_decay_down).tanh()
    logs = -linear(narrow, cell.weight_decay, cell.bias_decay).exp()
    kept = by_key(logs.cumsum(0))
    before = (by_key(r) * (kept - by_key(logs)).exp(), by_key(k) * torch.exp(-kept))
    earlier = torch.ones(6, 6, dtype=F64).tril(-1)
    found = attention(*before, by_head(v), earlier)
    found = found + attention(by_key(r * cell.weight_bonus), by_key(k), by_head(v), torch.eye(6))
    gain, shift = cell.weight_norm.chunk(2)
    normed = torch.nn.functional.group_norm(
        found.flatten(-2).flatten(0, 1), HEADS, gain, shift, eps=64e-5
    )
    gated = torch.nn.functional.silu(g) * normed.view_as(g)
    assert_same(layer(x)[0], linear(gated, cell.weight_out), 1e-10)  # kept may be small


def test_rwkv_6_begins_as_its_authors_do() -> None:
    """Each head has decays of all lengths only if the heads are those of the authors' code."""
    cell: Any = RWKV6Cell(4, WIDTH, num_heads=HEADS, dtype=F64)
    decay = -6 + 5 * (torch.arange(8.0, dtype=F64) / 7) ** 0.7
    assert_same(by_key(cell.bias_decay), decay.view(HEADS, -1), 1e-6)  # of float32
    zigzag = torch.tensor([[0, 0.1, -0.1, 0], [0.1, -0.1, 0, 0.1]], dtype=F64)
    assert_same(by_key(cell.weight_bonus), zigzag, 1e-8)
    assert_same(cell.block("bias_mix", "B_k"), torch.tensor([1, 0.75, 0.5, 0.25], dtype=F64))
    assert_same(cell.block("bias_mix", "B_g")[1], torch.tensor(0.5, dtype=F64))


def test_the_time_mixing_of_rwkv_7_is_a_sum_over_products_of_transitions() -> None:
    """Peng et al. (2025): what is stored goes through a transition at each step after it.

    No transition makes anything grow, however many there are: none has an eigenvalue beyond 1.
    """
    layer: Any = randomize(RWKV7(3, WIDTH, num_heads=HEADS, decay_rank=2, rate_rank=5, dtype=F64))
    cell = layer.cells[0]
    linear = torch.nn.functional.linear
    x = torch.randn(6, 4, 3, dtype=F64)
    change = torch.cat([torch.zeros_like(x[:1]), x[:-1]]) - x
    *mixed, x_w, x_a, x_g = (x + change * mu for mu in cell.weight_mix.chunk(6))
    parts = zip(mixed, cell.weight_ih.chunk(3), cell.bias_ih.chunk(3), strict=True)
    r, k, v = (linear(each, weight, bias) for each, weight, bias in parts)
    down_w, down_a, down_g = cell.weight_down.split([2, 5, 32])
    d = linear(linear(x_w, down_w).tanh(), cell.weight_decay, cell.bias_decay)
    w = torch.exp(-torch.exp(-torch.nn.functional.softplus(-d) - 0.5))
    a = torch.sigmoid(linear(linear(x_a, down_a), cell.weight_rate, cell.bias_rate))
    g = linear(torch.sigmoid(linear(x_g, down_g)), cell.weight_gate)
    xi, alpha = cell.weight_key.chunk(2)
    kappa = torch.nn.functional.normalize(by_key(xi * k), dim=-1)  # (T, N, heads, width)
    key = by_key(k * torch.lerp(torch.ones_like(a), a, alpha))
    moves = by_key(w).diag_embed() - (by_key(a) * kappa)[..., None] * kappa[..., None, :]
    assert torch.linalg.eigvals(moves).abs().max() <= 1
    found = torch.zeros(6, 4, HEADS, WIDTH // HEADS, dtype=F64)
    for t in range(6):
        query = by_key(r)[t]
        for s in range(t, -1, -1):
            found[t] += (query * key[s]).sum(-1, keepdim=True) * by_head(v)[s]
            query = torch.einsum("nhd,nhde->nhe", query, moves[s])
    gain, shift = cell.weight_norm.chunk(2)
    normed = torch.nn.functional.group_norm(
        found.flatten(-2).flatten(0, 1), HEADS, gain, shift, eps=64e-5
    )
    bonus = (by_key(r * cell.weight_bonus) * key).sum(-1, keepdim=True) * by_head(v)
    expected = linear(g * (normed.view_as(g) + bonus.flatten(-2)), cell.weight_out)
    assert_same(layer(x)[0], expected, 1e-10)  # of kappa's norm, to whose square 1e-12 is added


@torch.no_grad()
def test_rwkv_7_replaces_what_is_under_a_key() -> None:
    """Here nothing fades, and all that is under a key of length 1 is taken out."""
    cell: Any = randomize(RWKV7Cell(3, WIDTH, num_heads=HEADS, dtype=F64))
    for name, bias in (("bias_decay", -50.0), ("bias_rate", 50.0)):
        cell.get_parameter(name).fill_(bias)
    for name in ("weight_decay", "weight_rate", "weight_mix"):
        cell.get_parameter(name).zero_()  # what is decided before the bias, and the input before
    cell.block("weight_key", "xi").fill_(1)
    cell.block("weight_ih", "K").zero_()
    key = cell.block("bias_ih", "K")
    length = key.view(-1, HEADS).norm(dim=0, keepdim=True)
    key.copy_((key.view(-1, HEADS) / length).flatten())
    one, other = torch.randn(2, 1, 3, dtype=F64)
    _, state = cell(one)
    _, after = cell(other, state)
    _, fresh = cell(other)
    assert_same(after[0], fresh[0], 1e-11)  # of the 1e-12 beside kappa's square
    assert (after[0] - state[0]).abs().max() > 0.01


def test_rwkv_7_begins_as_its_authors_do() -> None:
    cell: Any = RWKV7Cell(4, WIDTH, num_heads=HEADS, dtype=F64)
    m = torch.arange(8.0, dtype=F64) / 7 - 0.5
    z = ((torch.arange(8.0, dtype=F64) % 4) - 1.5) / 1.5
    z = z * z.abs()
    decay = -6 + 6 * (m + 0.5) + 0.5 + 2.5 * z
    for found, expected in (
        (cell.bias_decay, decay),
        (cell.bias_rate, -0.19 + 0.3 * z + 0.4 * m),
        (cell.block("weight_key", "xi"), 0.71 - 0.1 * m),
        (cell.block("weight_key", "alpha"), torch.full((8,), 1.02, dtype=F64)),
        (cell.weight_bonus, torch.full((8,), -0.04, dtype=F64)),
    ):
        assert_same(by_key(found), expected.view(HEADS, -1), 1e-6)  # of float32
    for name, power in zip("rkvwag", (0.2, 0.7, 0.7, 0.9, 0.9, 0.2), strict=True):
        mu = cell.block("weight_mix", f"mu_{name}")
        assert_same(mu, 1 - (torch.arange(4.0, dtype=F64) / 4) ** power, 1e-6)
    # 32 columns and 8 rows: each row has the norm 0.1 times the root of 32 / 8
    assert_same(cell.weight_rate @ cell.weight_rate.T, 0.04 * torch.eye(8, dtype=F64))


def test_s6_keeps_each_input_for_as_long_as_the_time_that_passes() -> None:
    """Gu and Dao (2023), section 3.5.2: the state is a sum over the past, exact for any times."""
    layer: Any = randomize(S6(3, 4, dtype=F64))
    cell = layer.cells[0]
    x = torch.randn(6, 2, 3, dtype=F64)
    z, B, C = projected(layer, x)
    pace = torch.nn.functional.linear(z, cell.weight_dt, cell.bias_dt)
    pace = torch.nn.functional.softplus(pace)
    time = pace.cumsum(0)
    between = time[:, None] - time[None]  # (t, s, N, I)
    rates = cell.weight_a.exp().unflatten(0, (4, 3))
    kept = torch.exp(-between[..., None, :] * rates)
    kept = kept * torch.ones(6, 6, dtype=F64).tril()[..., None, None, None]
    expected = torch.einsum("tnk,tsnki,snk,sni->tni", C, kept, B, pace * x)
    assert_same(layer(x)[0], expected + cell.weight_skip * x, ROUNDING)


@pytest.mark.parametrize("kind", [DeltaNetCell, GatedDeltaNetCell])
def test_the_delta_rule_replaces_what_is_under_a_key(kind: Any) -> None:
    """Yang et al. (2024), section 2.2; here nothing is forgotten, and all is written."""
    cell = kind(3, WIDTH, num_heads=HEADS, epsilon=0.0, dtype=F64)
    found = {each.name: each for each in blocks(cell)}
    with torch.no_grad():
        randomize(cell)
        for name, bias in (("b", 50.0), ("a", -50.0)):  # sigmoid is 1, softplus is 0
            if name in found:
                block = found[name]
                cell.weight_ih[block.start : block.stop] = 0
                cell.bias_ih[block.start : block.stop] = bias
        q, k = found["q"], found["k"]
        cell.weight_ih[q.start : q.stop] = cell.weight_ih[k.start : k.stop]
        cell.bias_ih[q.start : q.stop] = cell.bias_ih[k.start : k.stop]
        # A key that sees only the first number, a value that sees the others.
        cell.weight_ih[q.start : k.stop, 1:] = 0
        one = torch.tensor([[0.7, 1.0, -2.0]], dtype=F64)
        other = torch.tensor([[0.7, -1.5, 0.3]], dtype=F64)
        state = cell.init_hidden(1)
        read, state = cell(one, state)
        again, after = cell(one, state)
        assert_same(again, read, ROUNDING)
        assert_same(after, state, ROUNDING)
        replaced, _ = cell(other, state)
        fresh, _ = cell(other, cell.init_hidden(1))
        assert_same(replaced, fresh, ROUNDING)
        assert (replaced - read).abs().max() > 0.01


def test_hgrn2_has_means_of_its_values() -> None:
    """Of a constant value each tends to it, and never goes beyond."""
    cell: Any = randomize(HGRN2Cell(3, 4, dtype=F64))
    x = torch.randn(1, 3, dtype=F64)
    value = blocks(cell)[-1]
    stored = torch.nn.functional.linear(x, cell.weight_ih, cell.bias_ih)[:, value.start :]
    state = cell.init_hidden(1)
    with torch.no_grad():
        for _ in range(400):
            _, state = cell(x, state)
            parts = state.unflatten(-1, (4, 4)) / stored[:, None]
            assert ((parts >= 0) & (parts <= 1 + ROUNDING)).all()
    matrix = state.unflatten(-1, (4, 4))
    assert_same(matrix, stored[:, None].expand(1, 4, 4), 1e-9)  # what is left of 0 after 400 steps


@pytest.mark.parametrize(
    "kind",
    [
        mLSTMCell,
        DeltaNetCell,
        GatedDeltaNetCell,
        GLACell,
        HGRN2Cell,
        RetNetCell,
        RWKV6Cell,
        RWKV7Cell,
    ],
)
def test_heads_divide_the_width(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"num_heads should divide hidden_size, 8, got 3"):
        kind(3, 8, num_heads=3)


@pytest.mark.parametrize("kind", [mLSTM, DeltaNet, GatedDeltaNet, GLA, RetNet, RWKV6, RWKV7])
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 12])
def test_kernels_read_copies_at_any_number_of_heads(kind: Any, heads: int) -> None:
    layer = randomize(kind(3, 12, num_heads=heads, frozen=(), dtype=F64))
    found = []
    for choice in ("c", "reference"):
        x = torch.linspace(-1, 1, 5 * 2 * 3, dtype=F64).view(5, 2, 3).requires_grad_()
        with backend(choice):
            output, _ = layer(x)
        found.append([output, *torch.autograd.grad(output.sin().sum(), [x, *layer.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        assert_same(ours, theirs, 1e-10)  # sums over steps of float64


@pytest.mark.parametrize("kind", [mLSTMCell, DeltaNetCell, GatedDeltaNetCell, GLACell, HGRN2Cell])
def test_the_numbers_of_a_key_have_no_order_and_those_of_a_value_keep_theirs(kind: Any) -> None:
    cell = randomize(kind(3, 4, dtype=F64))
    twin = kind(3, 4, dtype=F64)
    twin.load_state_dict(cell.state_dict())
    keys, values = torch.tensor([3, 1, 0, 2]), torch.tensor([1, 3, 2, 0])
    with torch.no_grad():
        for weight, parts in cell.layout.stacks.items():
            for part in parts:
                order = values if part.name in "vio" and part.stop - part.start == 4 else keys
                rows = cell.block(weight.name, part.name)
                if rows.size(0) == 4:
                    twin.block(weight.name, part.name).copy_(rows[order])
                if weight.bias in cell.state_dict() and rows.size(0) == 4:
                    rows = cell.block(weight.bias, part.name)
                    twin.block(weight.bias, part.name).copy_(rows[order])
    states: list[Any] = [cell.init_hidden(2), twin.init_hidden(2)]
    for _ in range(3):
        x = torch.randn(2, 3, dtype=F64)
        (output, states[0]), (permuted, states[1]) = cell(x, states[0]), twin(x, states[1])
        assert_same(permuted, output[:, values], ROUNDING)
