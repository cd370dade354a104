"""Every cell equals the mathematics of its paper, and the comparison can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    AntisymmetricRNNCell,
    BaseRecurrentCell,
    CfCCell,
    ClockworkRNNCell,
    CTRNNCell,
    DeltaNetCell,
    EALSTMCell,
    ESNCell,
    GatedAntisymmetricRNNCell,
    GatedDeltaNetCell,
    GLACell,
    HGRN2Cell,
    JANETCell,
    LEMCell,
    LinOSSCell,
    LSTMCell,
    LTCCell,
    MiRU1Cell,
    MiRU2Cell,
    MogrifierLSTMCell,
    MomentumLSTMCell,
    ONLSTMCell,
    OriginalLSTMCell,
    RetNetCell,
    RHNCell,
    RWKV6Cell,
    RWKV7Cell,
    S6Cell,
    SCRNCell,
    SRUCell,
    STARCell,
    UnICORNNCell,
    coRNNCell,
    mLSTMCell,
    sLSTMCell,
    tauGRUCell,
)
from torchrecurrent.roles import Parts

from .agreement import largest_difference
from .oracles import oracle

# A few hundred roundings of float64; sLSTM divides by a normaliser that may be small.
TOLERANCE = 1e-12

VARIANTS: list[tuple[type[BaseRecurrentCell], dict[str, Any]]] = [
    (LSTMCell, {"proj_size": 2}),
    (LEMCell, {"dt": 0.3}),
    (coRNNCell, {"dt": 0.05, "gamma": 2.0, "epsilon": 3.0}),
    (tauGRUCell, {"delay": 3}),
    (sLSTMCell, {"num_heads": 2}),
    (UnICORNNCell, {"dt": 0.3, "alpha": 2.0, "recurrent_bias": True}),
    (SCRNCell, {"alpha": 0.3}),
    (RHNCell, {"depth": 1}),
    (RHNCell, {"depth": 4}),
    (AntisymmetricRNNCell, {"epsilon": 0.5, "gamma": 0.3}),
    (GatedAntisymmetricRNNCell, {"epsilon": 0.5, "gamma": 0.3}),
    (ESNCell, {"alpha": 0.3}),
    (JANETCell, {"beta": 0.25}),
    (MiRU1Cell, {"update_coefficient": 0.2}),
    (MiRU2Cell, {"update_coefficient": 0.2, "reset_coefficient": 0.7}),
    (STARCell, {"beta": 1.0}),
    (OriginalLSTMCell, {"input_nonlinearity": "tanh"}),
    (OriginalLSTMCell, {"output_nonlinearity": "tanh"}),
    (SRUCell, {"highway_bias": -2.0}),
    (LinOSSCell, {"discretization": "IMEX"}),
    (CTRNNCell, {"dt": 0.5, "tau": 0.75}),
    (MomentumLSTMCell, {"mu": 0.5, "epsilon": 0.7}),
    (MogrifierLSTMCell, {"rounds": 1}),
    (MogrifierLSTMCell, {"rounds": 4, "q_bias": True, "r_bias": True}),
    (ONLSTMCell, {"chunk_size": 2}),
    (S6Cell, {"dt_rank": 2}),
    (mLSTMCell, {"num_heads": 2}),
    (DeltaNetCell, {"num_heads": 2}),
    (GatedDeltaNetCell, {"num_heads": 2}),
    (GLACell, {"num_heads": 2, "tau": 4.0}),
    (HGRN2Cell, {"num_heads": 2, "gamma": 0.4}),
    (RetNetCell, {"num_heads": 2}),
    (RWKV6Cell, {"num_heads": 2, "mix_rank": 3, "decay_rank": 2}),
    (RWKV7Cell, {"num_heads": 2, "decay_rank": 3, "rate_rank": 2}),
    (ClockworkRNNCell, {"periods": (3, 1, 5)}),
    (EALSTMCell, {"static_size": 2}),
    (LTCCell, {"dt": 0.3, "ode_unfolds": 2}),
    (CfCCell, {"dt": 0.3, "backbone_units": 7, "backbone_layers": 3}),
]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_equals_its_oracle(cell_class: type[BaseRecurrentCell], bias: bool) -> None:
    assert largest_difference(cell_class, bias=bias) < TOLERANCE


@pytest.mark.parametrize(("cell_class", "options"), VARIANTS, ids=str)
def test_variant_equals_its_oracle(
    cell_class: type[BaseRecurrentCell], options: dict[str, Any]
) -> None:
    assert largest_difference(cell_class, **options) < TOLERANCE


def test_a_missing_oracle_says_where_to_write_it() -> None:
    with pytest.raises(LookupError, match=r"NoSuchCell.*tests/oracles/"):
        oracle("NoSuchCell")


def perturb(number: int) -> Callable[[BaseRecurrentCell], Callable[..., Any]]:
    """A step whose ``number``-th result is off by a thousandth."""

    def mutate(cell: Any) -> Callable[..., Any]:
        step = cell.step

        def mutant(*arguments: Any) -> Any:
            result = step(*arguments)
            if isinstance(result, Tensor):
                return result * 1.001
            parts = list(result)
            parts[number % len(parts)] = parts[number % len(parts)] * 1.001
            return tuple(parts)

        return mutant

    return mutate


def exchange_products(cell: Any) -> Callable[..., Any]:
    """A step that finds its first product and the last one like it in each other's place.

    Like it are those as wide, and complex if it is. Not the first two: where a step multiplies
    them, it does not mind. Where it takes all its
    products itself, the results of the last map, in the opposite order, or the negative of one;
    where it has neither, its vectors.
    """
    step = cell.step

    def of(role: str) -> list[int]:
        written = [each.role for each in cell.signature.written]  # a complex number is one
        kinds = [getattr(each, "part", each) for each in written]
        found = [place for place, kind in enumerate(kinds) if type(kind).__name__ == role]
        like = {place: (type(written[place]), kinds[place].height(cell)) for place in found}
        return [place for place in found if like[place] == like[found[0]]]

    places = of("ProductRole") or of("MapRole")[-1:] or of("VectorRole")

    def mutant(*arguments: Any) -> Any:
        shuffled = list(arguments)
        if callable(applied := shuffled[places[-1]]):
            shuffled[places[-1]] = lambda value: opposite(applied(value))
        elif len(places) > 1:
            first, last = places[0], places[-1]
            shuffled[first], shuffled[last] = shuffled[last], shuffled[first]
        else:  # one product: turn its sign
            shuffled[places[0]] = -shuffled[places[0]]
        return step(*shuffled)

    return mutant


def opposite(results: Any) -> Any:
    """The results of a map in the opposite order, or the negative of one."""
    return Parts(*reversed(list(results))) if isinstance(results, Parts) else -results


@pytest.mark.parametrize(
    "mutate", [perturb(0), perturb(1), perturb(-1), exchange_products], ids=["0", "1", "-1", "swap"]
)
def test_a_mutant_is_caught(
    cell_class: type[BaseRecurrentCell],
    mutate: Callable[[Any], Callable[..., Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cell_class, "step", staticmethod(mutate(cell_class)))
    assert largest_difference(cell_class) > 1000 * TOLERANCE


def test_a_mutant_of_the_products_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees a recurrent product that forgets its bias."""
    from torchrecurrent.engine.run import reference

    product = reference.recurrent_product

    def forgetful(state: Tensor, weight: Tensor, bias: Tensor | None, units: int) -> Tensor:
        return product(state, weight, None, units)

    monkeypatch.setattr(reference, "recurrent_product", forgetful)
    torch.manual_seed(0)
    assert largest_difference(LSTMCell) > 1000 * TOLERANCE
