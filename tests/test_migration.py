"""Weights of other packages compute here what they computed there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchrecurrent import BR, LSTM, URLSTM, BRCell, GRUResetBefore, URLSTMCell, nBR, nBRCell
from torchrecurrent.migration import from_brc, from_brc_pytorch, from_ur_lstm_torch

from . import peers

N, T = 3, 6
SIZES = [(1, 1, 1), (3, 5, 1), (4, 2, 3)]
#: A thousand roundings of float64 at size one.
TOLERANCE = 1e-12
LAYERS: dict[str, Any] = {"BRC": BR, "NBRC": nBR, "LSTMCell": LSTM, "GRUCell": GRUResetBefore}


def draw(*shape: int) -> NDArray[np.float64]:
    return 0.7 * torch.randn(*shape, dtype=torch.float64).numpy()


def saved(weights: Mapping[str, NDArray[np.float64]]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in weights.items()}


def assert_equal(result: Any, outputs: NDArray[np.float64], states: list[Any]) -> None:
    """Outputs and states of our layer, and theirs: a list, layer by layer."""
    output, last = result
    ours = [last] if isinstance(last, Tensor) else list(last)
    theirs = np.stack(states).reshape(-1, len(ours), *states[0].shape)
    np.testing.assert_allclose(output.detach().numpy(), outputs, rtol=0, atol=TOLERANCE)
    for k, state in enumerate(ours):
        np.testing.assert_allclose(state.detach().numpy(), theirs[:, k], rtol=0, atol=TOLERANCE)


def first_states(layers: int, count: int, hidden: int) -> tuple[list[Any], Any]:
    """As they take them, one list a layer, and as ours do."""
    theirs = [[draw(N, hidden) for _ in range(count)] for _ in range(layers)]
    ours = [torch.from_numpy(np.stack([row[k] for row in theirs])) for k in range(count)]
    return theirs, ours[0] if count == 1 else tuple(ours)


@pytest.mark.parametrize(("i", "h", "layers"), SIZES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", LAYERS)
def test_brc(kind: str, bias: bool, i: int, h: int, layers: int) -> None:
    weights = peers.brc_weights(kind, i, h, layers, bias, draw)
    states, hx = first_states(layers, 2 if kind == "LSTMCell" else 1, h)
    x = draw(T, N, i)
    expected = peers.brc(kind, weights, x, states)
    # Whichever biases ours has, as long as it has theirs.
    flags: list[dict[str, bool]] = [{}, {"recurrent_bias": False}]
    for options in flags if bias else [*flags, {"bias": False}]:
        layer = LAYERS[kind](i, h, layers, dtype=torch.float64, **options)
        layer.load_state_dict(from_brc(saved(weights)))
        assert_equal(layer(torch.from_numpy(x), hx), *expected)


@pytest.mark.parametrize(("i", "h", "layers"), SIZES)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("dense", [False, True])
def test_brc_pytorch(dense: bool, directions: int, i: int, h: int, layers: int) -> None:
    weights = peers.brc_pytorch_weights(dense, i, h, layers, directions, draw)
    states, x = draw(layers * directions, N, h), draw(T, N, i)
    layer = (nBR if dense else BR)(i, h, layers, bidirectional=directions == 2, dtype=torch.float64)
    layer.load_state_dict(from_brc_pytorch(saved(weights)))
    result = layer(torch.from_numpy(x), torch.from_numpy(states))
    assert_equal(result, *peers.brc_pytorch(weights, x, states, directions))


@pytest.mark.parametrize(("i", "h", "layers"), SIZES)
def test_ur_lstm_torch(i: int, h: int, layers: int) -> None:
    weights = peers.ur_lstm_weights(i, h, layers, draw)
    states, hx = first_states(layers, 2, h)
    x = draw(T, N, i)
    layer = URLSTM(i, h, layers, dtype=torch.float64)
    layer.load_state_dict(from_ur_lstm_torch(saved(weights)))
    assert_equal(layer(torch.from_numpy(x), hx), *peers.ur_lstm(weights, x, states))


def test_a_cell_by_itself() -> None:
    def bare(weights: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
        return saved({key.removeprefix(prefix): value for key, value in weights.items()})

    h, x = draw(N, 5), draw(N, 3)
    hx, input = torch.from_numpy(h), torch.from_numpy(x)
    weights = peers.brc_weights("NBRC", 3, 5, 1, True, draw)
    cell: Any = nBRCell(3, 5, dtype=torch.float64)
    cell.load_state_dict(from_brc(bare(weights, "rnns.0.cell.")))
    expected = peers.brc("NBRC", weights, x[None], [[h]])[0][0]
    np.testing.assert_allclose(cell(input, hx).detach(), expected, rtol=0, atol=TOLERANCE)
    weights = peers.brc_pytorch_weights(False, 3, 5, 1, 1, draw)
    cell = BRCell(3, 5, dtype=torch.float64)
    cell.load_state_dict(from_brc_pytorch(bare(weights, "cells.0.")))
    expected = peers.brc_pytorch(weights, x[None], h[None], 1)[0][0]
    np.testing.assert_allclose(cell(input, hx).detach(), expected, rtol=0, atol=TOLERANCE)
    weights = peers.ur_lstm_weights(3, 5, 1, draw)
    cell = URLSTMCell(3, 5, dtype=torch.float64)
    cell.load_state_dict(from_ur_lstm_torch(bare(weights, "layers.0.")))
    expected = peers.ur_lstm(weights, x[None], [[h, h]])[0][0]
    np.testing.assert_allclose(cell(input, (hx, hx))[0].detach(), expected, rtol=0, atol=TOLERANCE)


def test_within_a_model_the_rest_stays() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = BR(3, 5, 2)
            self.decoder = nn.Linear(5, 1)

    theirs = saved(peers.brc_weights("BRC", 3, 5, 2, True, draw))
    whole = {f"encoder.{key}": value for key, value in theirs.items()}
    whole |= {"decoder.weight": torch.ones(1, 5), "decoder.bias": torch.ones(1)}
    keys = list(whole)
    model = Model()
    model.load_state_dict(from_brc(whole))
    assert list(whole) == keys  # the caller's dict is his own
    assert (model.decoder.weight == 1).all()
    alone = BR(3, 5, 2)
    alone.load_state_dict(from_brc(theirs))
    pairs = zip(alone.parameters(), model.encoder.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_cells_that_are_saved_twice_are_loaded_once() -> None:
    theirs = saved(peers.brc_pytorch_weights(True, 3, 5, 1, 2, draw))
    twice = {
        f"cells_{way}.0.{key.removeprefix(f'cells.{k}.')}": value
        for k, way in enumerate(("forward", "backward"))
        for key, value in theirs.items()
        if key.startswith(f"cells.{k}.")
    }
    nBR(3, 5, bidirectional=True).load_state_dict(from_brc_pytorch(theirs | twice))


@pytest.mark.parametrize(
    ("function", "state_dict", "message"),
    [
        (from_brc, LSTM(3, 4).state_dict(), "parameters of brc such as 'rnns.0.cell.iw', got 'cel"),
        (from_brc_pytorch, {}, "parameters of brc-pytorch such as 'cells.0.kernelz', got none"),
        (
            from_ur_lstm_torch,
            {"layers.0.forget_bias": torch.zeros(4)},
            "expected 'layers.0.igates.weight' with the other parameters of a cell of ur-lstm-t",
        ),
        (from_brc, {"iw": torch.zeros(3, 12)}, "expected 'hw' with the other parameters of a cell"),
        (
            from_brc,
            {"iw": torch.zeros(3, 12), "hw": torch.zeros(4, 12)},
            r"'hw': expected the shape \(4, 8\), got \(4, 12\)",
        ),
        (
            from_brc,
            {"a.iw": torch.zeros(3, 11), "a.hw": torch.zeros(8)},
            r"'a.iw': expected the shape \(\*, 12\), got \(3, 11\)",
        ),
        (
            from_brc,
            {"iw": torch.zeros(3, 12), "hw": torch.zeros(7)},
            r"'hw': expected the shape \(6\), got \(7,\)",
        ),
    ],
)
def test_what_can_not_be_converted(function: Any, state_dict: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^state_dict: .*{message}"):
        function(state_dict)


@pytest.mark.parametrize(
    ("key", "function"),
    [
        ("rnns.0.cell.iw", "from_brc"),
        ("iw", "from_brc"),
        ("cells.0.kernelz", "from_brc_pytorch"),
        ("kernelz", "from_brc_pytorch"),
        ("layers.0.forget_bias", "from_ur_lstm_torch"),
        ("forget_bias", "from_ur_lstm_torch"),
    ],
)
def test_an_unconverted_checkpoint_names_its_converter_once(key: str, function: str) -> None:
    layer = nBRCell(2, 3) if "." not in key else nBR(2, 3)
    hint = rf"load_state_dict\(torchrecurrent\.migration\.{function}\(state_dict\)\)"
    with pytest.raises(RuntimeError, match=hint) as raised:
        layer.load_state_dict({key: torch.ones(3)})
    assert str(raised.value).count("convert them first") == 1
    assert f'Unexpected key(s) in state_dict: "{key}"' in str(raised.value)
    layer.load_state_dict({key: torch.ones(3)}, strict=False)


def test_other_checkpoints_name_no_converter() -> None:
    with pytest.raises(RuntimeError) as raised:
        nBR(2, 3).load_state_dict({"cells.0.weights": torch.ones(3)})
    assert "migration" not in str(raised.value)
