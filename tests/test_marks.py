"""Masks and resets of single steps: what they mean, written out with sequences that are cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from torchrecurrent import LSTM, GRUCell, LRUCell, LSTMCell, Recurrent, RecurrentLayer, backend
from torchrecurrent.engine import Backend, Given, no_kernel
from torchrecurrent.layers.running import Running

from .making import assert_same, compile_quickly, gradients, make, randomize, tensors

F64 = torch.float64
T, N = 7, 4
CHOICES: list[Backend] = ["c", "reference"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
]


def marks(seed: int) -> tuple[Tensor, Tensor]:
    """A mask and resets; one sequence has neither, another is masked at both ends."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(T, N, generator=generator) < 0.6
    resets = torch.rand(T, N, generator=generator) < 0.3
    mask[:, 0], resets[:, 0] = True, False
    mask[0, 1] = mask[-1, 1] = False
    return mask, resets


def states_of(layer: Any, batch: int) -> Any:
    """A random first state."""
    zeros = layer.init_hidden(batch)
    generator = torch.Generator().manual_seed(0)

    def drawn(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.rand(value.shape, generator=generator, dtype=value.dtype) + 0.1
        return type(value)(map(drawn, value))

    return drawn(zeros)


def row(state: Any, n: int) -> Any:
    """The state of one sequence of a batch."""
    if isinstance(state, Tensor):
        return state[..., n : n + 1, :]
    return type(state)(row(each, n) for each in state)


def by_hand(
    layer: Any, x: Tensor, hx: Any, mask: Tensor | None, resets: Tensor | None
) -> tuple[Tensor, list[Any]]:
    """One sequence after the other, in pieces; the layer runs one direction."""
    outputs, last = [], []
    for n in range(x.size(1)):
        state = None if hx is None else row(hx, n)
        shown = x.new_zeros(1, 1, layer.output_size)
        steps = []
        for t in range(x.size(0)):
            if resets is not None and resets[t, n]:
                state = layer.init_hidden(1)
            if mask is None or mask[t, n]:
                shown, state = layer(x[t : t + 1, n : n + 1], state)
            steps.append(shown)
        outputs.append(torch.cat(steps))
        last.append(layer.init_hidden(1) if state is None else state)
    return torch.cat(outputs, 1), last


@pytest.mark.parametrize("given", [True, False], ids=["hx", "zeros"])
def test_masks_and_resets_mean_what_they_say(
    layer_class: type[RecurrentLayer], given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_quickly(monkeypatch)
    layer = make(layer_class)
    x = torch.randn(T, N, layer.input_size, dtype=F64)
    hx = states_of(layer, N) if given else None
    mask, resets = marks(len(layer_class.__name__))
    for options in ({"resets": resets}, {"mask": mask}, {"mask": mask, "resets": resets}):
        output, state = layer(x, hx, **options)
        expected, last = by_hand(layer, x, hx, options.get("mask"), options.get("resets"))
        assert_same(output, expected)
        for n, each in enumerate(last):
            assert_same(row(state, n), each)


@pytest.mark.parametrize("form", ["resets", "mask", "lengths and resets", "lengths and mask"])
def test_gradients_within_the_kernel_are_those_of_the_pieces(
    layer_class: type[RecurrentLayer], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What masked steps read changes nothing, be it infinite or no number."""
    layer = make(layer_class)
    mask, resets = marks(len(layer_class.__name__))
    options: dict[str, Any] = {"resets": resets} if "resets" in form else {"mask": mask}
    if "lengths" in form:
        options["lengths"] = torch.tensor([7, 5, 0, 3])
    x, hx = torch.randn(T, N, layer.input_size, dtype=F64), states_of(layer, N)
    if "mask" in form:
        x[~mask] = (
            torch.tensor([torch.nan, torch.inf, -1e300], dtype=F64)
            .repeat(T * N)[: int((~mask).sum())]
            .unsqueeze(-1)
        )

    def tried() -> list[Any]:
        given = x.clone().requires_grad_()
        output, state = layer(given, hx, **options)
        found = gradients(layer, output, state)
        assert given.grad is not None
        return [output, state, given.grad, *found.values()]

    compile_quickly(monkeypatch)
    within = tried()
    cell = layer.cells[0]
    given = Given(resets="resets" in options, masks="mask" in options)
    if given.masks and cell.signature.has_output:
        assert "the output is no state" in no_kernel(cell, given=given)
    else:
        assert bool(no_kernel(cell, given=given)) is bool(no_kernel(cell))
    monkeypatch.setattr(Running, "_sees_to", lambda *_: False)
    assert_same(within, tried())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_resets_cut_all_layers_and_directions(options: dict[str, Any]) -> None:
    """As a batch of the pieces would run; the first has the given state, backwards the last."""
    layer = randomize(LSTM(3, 4, dtype=F64, **options))
    x, hx = torch.randn(T, 1, 3, dtype=F64), states_of(layer, 1)
    resets = torch.zeros(T, 1, dtype=torch.bool)
    resets[3] = resets[5] = True
    output, (h, c) = layer(x, hx, resets=resets)
    zeros = layer.init_hidden(1)

    def first(k: int) -> tuple[Tensor, ...]:
        """The first state of piece k."""
        states = [each.clone() for each in zeros]
        directions = layer.num_directions
        for mine, given in zip(states, hx, strict=True):
            if k == 0:
                mine[0::directions] = given[0::directions]
            if k == 2 and directions == 2:
                mine[1::2] = given[1::2]
        return tuple(states)

    found = [layer(piece, first(k)) for k, piece in enumerate(x.split([3, 2, 2]))]
    assert_same(output, torch.cat([each for each, _ in found]))
    for ours, state in ((h, 0), (c, 1)):
        ends = [each[1][state] for each in found]
        assert_same(ours[0 :: layer.num_directions], ends[2][0 :: layer.num_directions])
        if layer.bidirectional:
            assert_same(ours[1::2], ends[0][1::2])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_masked_step_is_as_if_it_were_not_there(options: dict[str, Any]) -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, **options))
    x, hx = torch.randn(T, 1, 3, dtype=F64), states_of(layer, 1)
    mask = torch.tensor([0, 1, 1, 0, 0, 1, 0]).bool().unsqueeze(1)
    output, state = layer(x, hx, mask=mask)
    expected, last = layer(x[mask[:, 0]], hx)
    assert_same(state, last)
    assert_same(output[mask[:, 0]], expected)
    ahead = output[..., :4]
    assert_same(ahead[0], torch.zeros_like(ahead[0]))
    assert_same(ahead[[3, 4, 6]], expected[[1, 1, 2]][..., :4])
    if layer.bidirectional:  # there the step before is the one after
        assert_same(output[[0, 3, 4]][..., 4:], expected[[0, 2, 2]][..., 4:])
        assert_same(output[6][..., 4:], torch.zeros(1, 4, dtype=F64))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_last_output_is_that_of_the_last_step(
    options: dict[str, Any], batch_first: bool
) -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, batch_first=batch_first, **options))
    x, (mask, resets) = torch.randn(T, N, 3, dtype=F64), marks(3)
    if batch_first:
        x, mask, resets = x.transpose(0, 1), mask.T, resets.T
    output, state = layer(x, mask=mask, resets=resets)
    layer.return_sequences = False
    last, same = layer(x, mask=mask, resets=resets)
    assert_same(same, state)
    time = output.transpose(0, 1) if batch_first else output
    assert_same(last[:, :4], time[-1][:, :4])
    if layer.bidirectional:
        assert_same(last[:, 4:], time[0][:, 4:])


def test_a_mask_of_a_prefix_is_lengths() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, num_layers=2, bidirectional=True))
    x, lengths = torch.randn(T, N, 3, dtype=F64), torch.tensor([7, 2, 5, 0])
    mask = torch.arange(T).unsqueeze(1) < lengths
    expected, state = layer(x, lengths=lengths)
    output, same = layer(x, mask=mask)
    assert_same(same, state)
    assert_same(output * mask.unsqueeze(-1), expected)
    both, same = layer(x, mask=mask, lengths=lengths)
    assert_same(same, state)
    assert_same(both, expected)


def test_gradients_are_those_of_the_pieces() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64))
    x, hx = torch.randn(T, N, 3, dtype=F64), states_of(layer, N)
    mask, resets = marks(1)
    for choice in CHOICES:
        leaves = [each.clone().requires_grad_() for each in (x, *hx)]
        with backend(choice):
            output, state = layer(leaves[0], tuple(leaves[1:]), mask=mask, resets=resets)
            ours = gradients(layer, output, state)
        mine = [leaf.grad for leaf in leaves]
        leaves = [each.clone().requires_grad_() for each in (x, *hx)]
        with backend("reference"):
            output, last = by_hand(layer, leaves[0], tuple(leaves[1:]), mask, resets)
            state = tuple(torch.cat(each, 1) for each in zip(*last, strict=True))
            theirs = gradients(layer, output, state)
        assert_same(list(ours.values()), list(theirs.values()))
        assert_same(mine, [leaf.grad for leaf in leaves])


def test_the_kernel_runs_the_pieces_or_sees_to_the_marks() -> None:
    layer, x = LSTM(3, 4), torch.randn(T, N, 3)
    mask, resets = marks(0)
    for options in ({"mask": mask, "resets": resets}, {"mask": mask}, {"resets": resets}):
        assert "c:" in layer.explain(x, **options)
        with backend("c"):
            layer(x, **options)


#: What is given to a cell that runs a whole sequence.
FLAGS = ["resets", "masked"]


@pytest.mark.parametrize(
    "options",
    [
        {"residual": True},
        {"layer_norm": True, "bidirectional": True, "merge": "sum"},
        {"bidirectional": True, "merge": "mean", "residual": True},
        {"initial_state": "learned"},
        {"checkpoint_every": 3},
        {"proj_size": 2},
        {"hidden_size": [4, 3]},
        {"return_sequences": False, "bidirectional": True},
        {"batch_first": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["resets", "mask"])
def test_options_of_layers_are_as_with_pieces(
    options: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = LSTM(**{"input_size": 4, "hidden_size": 4, "num_layers": 2, "dtype": F64, **options})
    randomize(layer)
    x = torch.randn(T, N, 4, dtype=F64)
    flags = dict(zip(("mask", "resets"), marks(6), strict=True))[name]
    if options.get("batch_first"):
        x, flags = x.transpose(0, 1), flags.T

    def tried() -> list[Any]:
        given = x.clone().requires_grad_()
        output, state = layer(given, **{name: flags})
        found = gradients(layer, output, state)
        assert given.grad is not None
        return [output, state, given.grad, *found.values()]

    within = tried()
    monkeypatch.setattr(Running, "_sees_to", lambda *_: False)
    assert_same(within, tried())


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize(
    "options",
    [{"recurrent_dropout": 0.4}, {"zoneout": 0.3}, {"num_heads": 2}, {"recurrence": "diagonal"}],
    ids=str,
)
def test_flags_beside_options(options: dict[str, Any], name: str) -> None:
    """A cell draws one mask a sequence, however often that begins anew."""
    cell = randomize(LSTMCell(3, 4, dtype=F64, **options))
    x, (mask, _) = torch.randn(T, N, 3, dtype=F64), marks(4)

    def tried(choice: Backend) -> list[Any]:
        torch.manual_seed(0)
        given = x.clone().requires_grad_()
        with backend(choice):
            output, state = cell(given, sequence=True, **{name: ~mask})
        wanted = [given, *cell.parameters()]
        return [output, state, *torch.autograd.grad(output.square().sum(), wanted)]

    assert_same(tried("c"), tried("reference"))


@pytest.mark.parametrize("name", FLAGS)
def test_gradients_of_gradients_with_flags(name: str) -> None:
    cell = randomize(GRUCell(3, 4, dtype=F64))
    mask, _ = marks(4)

    def run(x: Tensor) -> Tensor:
        with backend("c"):
            output: Tensor = cell(x, sequence=True, **{name: ~mask})[0]
        return output

    x = torch.randn(T, N, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(run, x)
    assert torch.autograd.gradgradcheck(run, x)


@pytest.mark.parametrize("name", FLAGS)
def test_a_compiled_cell_takes_flags(name: str) -> None:
    cell = randomize(LSTMCell(3, 4, dtype=F64))
    x, (mask, _) = torch.randn(T, N, 3, dtype=F64), marks(4)
    compiled = torch.compile(
        lambda x, flags: cell(x, sequence=True, **{name: flags}), backend="eager", fullgraph=True
    )
    assert_same(compiled(x, ~mask), cell(x, sequence=True, **{name: ~mask}))


def test_flags_of_a_cell_are_checked() -> None:
    cell, x = LSTMCell(3, 4), torch.randn(T, N, 3)
    with pytest.raises(ValueError, match=r"resets: expected shape \(7, 4\), got \(4, 7\)"):
        cell(x, sequence=True, resets=torch.zeros(N, T, dtype=torch.bool))
    with pytest.raises(
        TypeError, match=r"masked should be a Tensor of torch\.bool, got: torch.uint8"
    ):
        cell(x, sequence=True, masked=torch.zeros(T, N, dtype=torch.uint8))
    with pytest.raises(ValueError, match="resets: expected None for a single step"):
        cell(x[0], resets=torch.zeros(N, dtype=torch.bool))
    with pytest.raises(ValueError, match="masked: expected None, since the output of LRUCell"):
        LRUCell(3, 4)(x, sequence=True, masked=torch.zeros(T, N, dtype=torch.bool))


def test_the_last_output_with_lengths_is_that_of_the_last_step_that_counts() -> None:
    x, lengths = torch.randn(T, N, 3, dtype=F64), torch.tensor([7, 5, 0, 3])
    mask, resets = marks(5)
    mask[:3, 3] = False  # none of its steps counts
    for options in ({"mask": mask}, {"resets": resets}, {"mask": mask, "resets": resets}):
        layer = randomize(LSTM(3, 4, dtype=F64, bidirectional=True))
        output, _ = layer(x, lengths=lengths, **options)
        ahead = output[lengths - 1, torch.arange(N), :4] * (lengths > 0).unsqueeze(-1)
        layer.return_sequences = False
        found, _ = layer(x, lengths=lengths, **options)
        assert_same(found, torch.cat([ahead, output[0, :, 4:]], -1))
        assert bool(found[3].any()) is ("mask" not in options)


def test_nothing_marked_changes_nothing() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64, num_layers=2, bidirectional=True))
    x, hx = torch.randn(T, N, 3, dtype=F64), states_of(layer, N)
    some, none = torch.ones(T, N, dtype=torch.bool), torch.zeros(T, N, dtype=torch.bool)
    assert_same(layer(x, hx, mask=some, resets=none), layer(x, hx))
    output, state = layer(x, hx, mask=none)
    assert_same(state, hx)
    assert not output.any()


def test_an_unbatched_input() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64))
    x, (mask, resets) = torch.randn(T, N, 3, dtype=F64), marks(2)
    output, state = layer(x, mask=mask, resets=resets)
    for n in range(N):
        one, last = layer(x[:, n], mask=mask[:, n], resets=resets[:, n])
        assert_same(one, output[:, n])
        assert_same(last, [each[:, n] for each in state])


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell])
def test_cells_of_torch(cell: Any) -> None:
    layer = randomize(Recurrent(cell, 3, 4, dtype=F64))
    x, (mask, resets) = torch.randn(T, N, 3, dtype=F64), marks(2)
    output, state = layer(x, mask=mask, resets=resets)
    expected, last = by_hand(layer, x, None, mask, resets)
    assert_same(output, expected)
    for n, each in enumerate(last):
        assert_same(row(state, n), each)


class Summing(nn.Module):
    """A cell whose states are not known before it has run."""

    def forward(self, input: Tensor, state: Tensor | None = None) -> Tensor:
        return input if state is None else state + input


def test_a_cell_that_does_not_tell_its_first_state() -> None:
    layer = Recurrent(Summing(), 3, 3)
    x, (mask, resets) = torch.randn(T, N, 3), marks(2)
    hx = torch.randn(1, N, 3)
    output, _ = layer(x, hx, mask=mask)
    assert_same(output[-1], hx[0] + (x * mask.unsqueeze(-1)).sum(0), 1e-5)  # float32, seven sums
    resets[0] = False
    layer(x, resets=resets)
    with pytest.raises(ValueError, match="resets: expected a step in each piece, since Summing"):
        layer(x, resets=torch.ones(T, N, dtype=torch.bool))
    with pytest.raises(ValueError, match="resets: expected None, since a cell doesn't tell"):
        layer(x, hx, resets=resets)


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "kind": ({"mask": [True]}, TypeError, "mask should be a Tensor, got: list"),
    "dtype": (
        {"resets": torch.zeros(T, N)},
        TypeError,
        "resets should be a Tensor of torch.bool, got: torch.float32",
    ),
    "shape": (
        {"mask": torch.ones(N, T, dtype=torch.bool)},
        ValueError,
        r"mask: expected shape \(7, 4\), got \(4, 7\)",
    ),
    "device": (
        {"mask": torch.ones(T, N, dtype=torch.bool, device="meta")},
        ValueError,
        "mask: expected device cpu, got meta",
    ),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_errors(error: Any) -> None:
    options, kind, message = error
    with pytest.raises(kind, match=message):
        LSTM(3, 4)(torch.randn(T, N, 3), **options)


def test_packed_sequences_have_no_marks() -> None:
    packed = pack_padded_sequence(torch.randn(T, N, 3), torch.tensor([7, 6, 5, 5]))
    with pytest.raises(ValueError, match="resets: expected None with a PackedSequence"):
        LSTM(3, 4)(packed, resets=torch.zeros(T, N, dtype=torch.bool))


def test_compiled() -> None:
    layer = randomize(LSTM(3, 4, dtype=F64))
    x, (mask, resets) = torch.randn(T, N, 3, dtype=F64), marks(2)
    compiled = torch.compile(lambda: layer(x, mask=mask, resets=resets), backend="eager")
    assert_same(list(tensors(compiled())), list(tensors(layer(x, mask=mask, resets=resets))))
