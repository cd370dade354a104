"""The facts that ``cell_info`` returns agree with measurements."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import pytest
import torch
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, LSTMCell, NBRCell, Recurrent, cell_info, nBR, nBRCell
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine.program.build import make_plan
from torchrecurrent.engine.program.kind import recurrence_kind
from torchrecurrent.init import Initializer
from torchrecurrent.roles import (
    AcrossRole,
    Constant,
    Gate,
    Input,
    MapRole,
    Projected,
    State,
    Vector,
    Weight,
)

from .making import input_for, make, states_for, tensors

SQUARE = Weight("weight_xx", None, "square_")
SquareMap = Annotated[
    Callable[[Tensor], Tensor], MapRole(SQUARE, "input_size", "input_size", always_dense=True)
]


def value_of(formula: str, input_size: int, hidden_size: int) -> int:
    """The number that a formula stands for."""
    assert re.fullmatch(r"[\dIH()+^-]+", formula)
    python = re.sub(r"(?<=[\dIH)])(?=[IH(])", "*", formula).replace("^", "**")
    return int(eval(python, {"I": input_size, "H": hidden_size}))


def test_the_formula_is_the_number_of_parameters(cell_class: type[BaseRecurrentCell]) -> None:
    formula = cell_info(cell_class).parameters
    for sizes in [(1, 1), (3, 4), (17, 5), (64, 32), (5, 129)]:
        try:
            cell = cell_class(*sizes)
        except ValueError as error:
            if "input_size should be at least 2" in str(error):
                continue
            assert "I" not in formula  # the cell wants both equal
            cell = cell_class(sizes[1], sizes[1])
        # equally wide, the SRU's highway needs no map, nor does what the RG-LRU takes in
        without = {"SRUCell": sizes[1] ** 2, "RGLRUCell": sizes[1] * (sizes[1] + 1)}
        spared = without.get(cell_class.__name__, 0) if sizes[0] == sizes[1] else 0
        found = sum(each.numel() for each in cell.parameters())
        assert value_of(formula, *sizes) == found + spared


def test_formulas_of_any_shape() -> None:
    class SquareCell(BaseRecurrentCell):
        square_kernel_init: Initializer = "xavier_uniform"

        @staticmethod
        def step(h: State, x: Input, n: Gate, X: SquareMap) -> Tensor:
            return tanh(n) + 0 * X(x).sum() * h

    class HalfCell(LSTMCell):
        @property
        def output_size(self) -> int:
            return self.hidden_size // 5 + 1

    class BareCell(BaseRecurrentCell):
        bias: bool = False

        @staticmethod
        def step(h: State, n: Projected) -> Tensor:
            return h + n

    assert cell_info(SquareCell).parameters == "H(I+H+2)+I^2"
    assert cell_info(HalfCell).parameters == ""
    assert cell_info(BareCell).parameters == "IH"


def new_states(cell: BaseRecurrentCell, input: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
    return cell.update(cell.project(input), tuple(states), cell.effective_parameters())[1]


def draw(cell: Any, size: float) -> list[Tensor]:
    """States of a batch of two; a normaliser has to be positive."""
    return [size * state for state in tensors(states_for(cell, 2))]


def jacobians(cell: Any, input: Tensor, states: list[Tensor]) -> list[list[Tensor]]:
    """The Jacobian of each new state with respect to each state, for the first sequence."""
    found = torch.autograd.functional.jacobian(
        lambda *values: new_states(cell, input, list(values)), tuple(states)
    )
    return [[block[0, :, 0] for block in row] for row in found]


def remainder(
    cell: Any, input: Tensor, states: list[Tensor], row: list[list[Tensor]], kept: list[int]
) -> list[Tensor]:
    """What is left of each new state without its Jacobian times the states: a step may jump."""
    with torch.no_grad():
        new = new_states(cell, input, states)
    return [new[k][0] - sum(row[k][j] @ states[j][0] for j in kept) for k in kept]


def carried(rows: list[list[list[Tensor]]]) -> list[int]:
    """The states that are more than an input handed on: they depend on some state."""
    return [k for k in range(len(rows[0])) if any(block.any() for row in rows for block in row[k])]


def products_in_a_row(cell: Any, input: Tensor, states: list[Tensor], kept: list[int]) -> int:
    """The longest way from a state through matrix products, in autograd's own graph."""
    cell.requires_grad_(False)
    for k in kept:
        states[k].requires_grad_()
    depths: dict[Any, int] = {}

    def depth(node: Any) -> int:
        if node is None:
            return 0
        if node not in depths:
            is_product = node.name() in ("AddmmBackward0", "MmBackward0")
            depths[node] = is_product + max(
                (depth(each) for each, _ in node.next_functions), default=0
            )
        return depths[node]

    new = new_states(cell, input, states)
    return max(depth(new[k].grad_fn) for k in kept)


def test_the_recurrence_is_of_the_kind_that_is_measured(
    cell_class: type[BaseRecurrentCell],
) -> None:
    cell = make(cell_class)
    input = input_for(cell, 2)
    first = draw(cell, 1)
    kept = carried(
        [jacobians(cell, input, each) for each in (first, draw(cell, 1), draw(cell, 10))]
    )
    # A relu is flat for half of all states, so look at several, small, large and negative.
    points = [
        [new if k in kept else old for k, (old, new) in enumerate(zip(first, other, strict=True))]
        for other in (draw(cell, size) for size in (0.1, 1, 1, 1, 3, 10, -1, -10))
    ]
    rows = [jacobians(cell, input, states) for states in points]
    blocks = [[row[k][j] for k in kept for j in kept] for row in rows]
    mixes = any(map(joins, (block for row in blocks for block in row)))
    values = [
        block + remainder(cell, input, states, row, kept)
        for block, states, row in zip(blocks, points, rows, strict=True)
    ]
    # Linear: the same whatever the state is, to a thousand roundings at size one.
    moves = max(
        float((one - other).abs().max())
        for row in values[1:]
        for one, other in zip(values[0], row, strict=True)
    )
    kind, *further = cell_info(cell_class).recurrence.split(", ")
    assert (kind == "dense") is mixes
    assert ("linear" in further) is (moves < 1e-12)
    stages = products_in_a_row(cell, input, draw(cell, 1), kept)
    names = {0: [], 1: [], 2: ["two-stage"], 3: ["three-stage"]}
    assert [word for word in further if word != "linear"] == names.get(stages, [f"{stages}-stage"])
    folds = any(each.role.operation == "folded" for each in cell.signature.having(AcrossRole))
    assert (stages > 0) is mixes or folds


def joins(block: Tensor) -> bool:
    """Whether a unit of a new state depends on another one, or on several of a narrower state."""
    if block.size(0) == block.size(1):
        return bool((block - block.diag().diag()).any())
    return bool((block != 0).sum(1).gt(1).any())


def test_weights_at_the_state_make_it_diagonal() -> None:
    kinds = {name: cell_info(name).recurrence for name in cells()}
    diagonal = {name for name, kind in kinds.items() if kind == "diagonal"}
    assert diagonal == {
        *("BRCell", "IndRNNCell", "ParaGRUCell", "ParaLSTMCell", "SRUCell", "UnICORNNCell"),
        "LRCUCell",
        "eLSTMCell",
    }
    elementwise = {name for name, kind in kinds.items() if kind == "elementwise, linear"}
    assert elementwise == {
        *(
            "GLACell",
            "HGRN2Cell",
            "RWKV6Cell",
            "RetNetCell",
            "S6Cell",
            "TRNNCell",
            "TGRUCell",
            "TLSTMCell",
        ),
        *("LRUCell", "LinOSSCell", "QRNNCell", "RGLRUCell", "minGRUCell", "minLSTMCell"),
        *("DLinOSSCell", "HGRNCell", "S5Cell"),
    }


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("RNNCell", {"nonlinearity": "identity"}, "dense, linear"),
        ("IndRNNCell", {"nonlinearity": "identity"}, "diagonal, linear"),
        ("GRUResetBeforeCell", {"recurrence": "diagonal"}, "diagonal"),
        ("LSTMCell", {"proj_size": 3}, "dense, two-stage"),
        ("RHNCell", {"depth": 5}, "dense, 5-stage"),
        ("RNNCell", {"integration": "multiplicative"}, "dense"),
        ("tauGRUCell", {"delay": 3}, "dense"),
    ],
)
def test_options_change_the_kind(name: str, options: dict[str, Any], kind: str) -> None:
    assert recurrence_kind(make_plan(cells()[name](4, 6, **options))) == kind


def test_a_kernel_exists_if_it_says_so(cell_class: type[BaseRecurrentCell]) -> None:
    info = cell_info(cell_class)
    if info.fused:
        assert info.not_fused_because == ""
        assert Recurrent(cell_class, 4, 4).kernel_source()
    else:
        with pytest.raises(TypeError, match=re.escape(info.not_fused_because)):
            Recurrent(cell_class, 4, 4).kernel_source()


def test_what_is_read_from_the_declaration(cell_class: type[BaseRecurrentCell]) -> None:
    info = cell_info(cell_class)
    assert info.name == cell_class.__name__
    assert info.layer == layer_of(cell_class).__name__
    assert info.family == cell_class.family
    assert info.citation == cell_class.citation
    assert info.states == make(cell_class).state_names
    assert info.year is not None
    assert 1980 < info.year < 2030
    assert info.title
    assert not set(info.title) & set("{}\\\n")


def test_all_ways_to_name_a_cell() -> None:
    ways: list[Any] = [nBRCell, nBR, NBRCell, "nBRCell", "nBR", "NBR", "nbrcell", "NBRCELL"]
    assert {cell_info(way) for way in ways} == {cell_info("nBRCell")}
    assert cell_info("brcell") != cell_info("nbrcell")
    info = cell_info("BR")
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("cell", "error", "said"),
    [
        ("GRUU", ValueError, r"list_cells\(\) returns, got 'GRUU'; close to it: .*GRUCell"),
        ("zzzzzz", ValueError, r"list_cells\(\) returns, got 'zzzzzz'$"),
        (3, TypeError, r"name of a cell or a class of cells, got: int$"),
        (torch.nn.LSTM, TypeError, r"class of cells, got: LSTM$"),
        (BaseRecurrentCell, TypeError, r"class of cells, got: BaseRecurrentCell$"),
        (None, TypeError, r"class of cells, got: NoneType$"),
    ],
)
def test_what_is_no_cell(cell: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        cell_info(cell)


def test_a_cell_of_your_own() -> None:
    class OddCell(BaseRecurrentCell):
        """Takes the error function, for which no rule exists."""

        alpha: float = 0.5
        citation: ClassVar[str] = "me2026"

        @staticmethod
        def step(h: State, n: Gate, alpha: Constant) -> Tensor:
            return torch.digamma(n) * alpha + h

    info = cell_info(OddCell)
    assert (info.name, info.layer, info.family) == ("OddCell", None, "")
    assert (info.citation, info.year, info.title) == ("me2026", None, None)
    assert (info.parameters, info.recurrence) == ("H(I+H+2)", "dense")
    assert (info.fused, info.not_fused_because) == (False, "the function 'digamma' has no rule")


def test_asking_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    for name in cells():
        cell_info(name)
    assert torch.equal(before, torch.get_rng_state())


def squared(h: State, n: Projected) -> Tensor:
    return n + 0.1 * h * h


def scaled_by_the_input(h: State, n: Projected) -> Tensor:
    return n * h - h / (2 + tanh(n))


def divided_by_the_state(h: State, n: Projected) -> Tensor:
    return n / (2 + h)


def chosen_by_the_input(h: State, n: Projected) -> Tensor:
    return torch.where(n > 0, h, 0.5 * h)


def chosen_by_the_state(h: State, n: Projected) -> Tensor:
    return torch.where(h > 0, h, 0.5 * h)


def times_the_input_before_last(
    h: State, last: State, before: State, n: Projected
) -> tuple[Tensor, Tensor, Tensor]:
    return h * before, n, last


def learned_rate(h: State, n: Projected, rate: Vector) -> Tensor:
    return n + rate * h


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (squared, "elementwise"),
        (scaled_by_the_input, "elementwise, linear"),
        (divided_by_the_state, "elementwise"),
        (chosen_by_the_input, "elementwise, linear"),
        (chosen_by_the_state, "elementwise"),
        (times_the_input_before_last, "elementwise, linear"),
        (learned_rate, "diagonal, linear"),
    ],
)
def test_the_kind_of_a_cell_of_your_own(function: Callable[..., Any], kind: str) -> None:
    class OwnCell(BaseRecurrentCell):
        vector_kernel_init: Initializer = "uniform"
        step = staticmethod(function)

    assert cell_info(OwnCell).recurrence == kind
