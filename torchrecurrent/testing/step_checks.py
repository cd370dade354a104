"""Checks of a single cell, one step at a time."""

from __future__ import annotations

import copy
import inspect
import io
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck

from ..declaration.integration import VECTORS
from ..layers.recurrent import Recurrent
from .held import holding
from .pickling import pickled
from .subject import Subject, check, require, require_same, step

__all__ = [
    "dtype",
    "extra_repr",
    "functional_call",
    "gradients",
    "initial_state",
    "initialisers",
    "no_bias",
    "pickle_and_deepcopy",
    "reset_parameters",
    "shapes",
    "state_dict",
    "unbatched",
]


@check
def shapes(subject: Subject) -> None:
    """Output and states have the declared widths, unbatched, batched and for an empty batch."""
    cell = subject.make()
    for batch in ((), (5,), (0,)):
        states = subject.states(cell, *batch)
        output, new = step(cell, subject.input(*batch), states)
        found = [tuple(each.shape) for each in (output, *new)]
        widths = (cell.output_size, *cell.state_widths)
        expected = [(*batch, width) for width in widths]
        require(
            found == expected,
            f"for a batch of shape {batch} output and states have the shapes {found}, "
            f"expected {expected}",
        )


@check
def initial_state(subject: Subject) -> None:
    """Without a state a step starts from ``init_hidden``."""
    cell = subject.make()
    for batch in ((), (5,)):
        input, first = subject.input(*batch), cell.init_hidden(*batch)
        require_same(
            "without a state and from init_hidden", cell(input), cell(input, first), tolerance=0
        )


@check
def unbatched(subject: Subject) -> None:
    """An unbatched sequence has the same result as within a batch."""
    cell = subject.make()
    input, states = subject.input(5), subject.states(cell, 5)
    output, new = step(cell, input, states)
    for n in range(5):
        alone = step(cell, input[n], [state[n] for state in states])
        within = [output[n], [state[n] for state in new]]
        require_same(f"sequence {n} of a batch of 5, by itself and within it", alone, within)


@check
def dtype(subject: Subject) -> None:
    """Parameters, output and states have the requested dtype."""
    for wanted in (torch.float32, torch.float64):
        cell = subject.make(dtype=wanted)
        for name, parameter in cell.named_parameters():
            require(
                parameter.dtype == wanted,
                f"made with dtype={wanted}, but {name} is of {parameter.dtype}",
            )
        output, states = step(cell, subject.input(2, dtype=wanted))
        for found in (output, *states):
            require(
                found.dtype == wanted,
                f"made with dtype={wanted}, but output or state is of {found.dtype}",
            )


@check
def gradients(subject: Subject) -> None:
    """Gradients of input, states and all parameters agree with finite differences."""
    cell = subject.make()
    input, states = subject.input(2), subject.states(cell, 2)

    def one_step(input: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        output, new = step(cell, input, rest[: len(states)])
        return (output, *new)

    names = zip((f"the state {name}" for name in cell.state_names), states, strict=True)
    compare_gradients(one_step, {"the input": input, **dict(names)}, cell)


def compare_gradients(
    function: Callable[..., tuple[Tensor, ...]],
    values: Mapping[str, Tensor],
    module: nn.Module,
    fast: bool = False,
) -> None:
    """Raise FaultError if backward and finite differences disagree.

    What a cell detaches is held fixed, if it says that this is on purpose (``straight_through``).

    Args:
        function: takes ``values`` and the parameters; it may ignore the latter, which are
            changed in place.
        values: the tensors to differentiate by besides the parameters, by name.
        module: the module with the parameters.
        fast: compare random projections of the Jacobian rather than all of its entries.
    """
    leaves = [value.detach().clone().requires_grad_() for value in values.values()]
    parameters = dict(module.named_parameters())
    held = holding(function, leaves)
    hint = ""
    if any(getattr(each, "straight_through", False) for each in module.modules()):
        function = held
    elif held is not function:
        hint = "; a cell that detaches on purpose has straight_through = True"
    try:
        gradcheck(function, (*leaves, *parameters.values()), fast_mode=fast)
    except GradcheckError as error:
        number = re.search(r"with respect to input (\d+)", str(error))
        name = [*values, *parameters][int(number[1])] if number else str(error)
        require(False, f"backward and finite differences disagree: the gradient of {name}{hint}")


@check
def functional_call(subject: Subject) -> None:
    """The cell's parameters can be replaced in a call, as by torch.func."""
    cell, other = subject.make(), subject.make()
    input, states = subject.input(2), subject.states(other, 2)
    hx = states[0] if len(states) == 1 else states
    parts = dict(other.named_parameters()) | dict(other.named_buffers())
    found = torch.func.functional_call(cell, parts, (input, hx))
    require_same("a step with the parameters of another cell", found, other(input, hx))
    layers = [Recurrent(each, each.input_size, each.hidden_size) for each in (cell, other)]
    sequence = subject.input(3, 2)
    parts = {f"cells.0.{name}": value for name, value in parts.items()}
    found = torch.func.functional_call(layers[0], parts, (sequence,))
    require_same("a layer with the parameters of another", found, layers[1](sequence))


@check
def no_bias(subject: Subject) -> None:
    """With ``bias=False`` there is no bias, and the results are those with zero biases."""
    bare, full = subject.make(bias=False), subject.make()
    kept = [
        weight.bias
        for weight in bare.layout.stacks
        if weight.bias is not None and getattr(bare, weight.bias_flag)  # by an option of its own
    ]
    left = [name for name, _ in bare.named_parameters() if "bias" in name and name not in kept]
    require(not left, f"made with bias=False, but it has the parameter {', '.join(left)}")
    with torch.no_grad():
        theirs = dict(bare.named_parameters())
        for name, parameter in full.named_parameters():
            parameter.copy_(theirs.get(name, torch.zeros_like(parameter)))
    input, states = subject.input(2), subject.states(bare, 2)
    require_same(
        "with bias=False and with biases of zero",
        step(bare, input, states),
        step(full, input, states),
    )


@check
def initialisers(subject: Subject) -> None:
    """``reset_parameters`` calls each initialiser once per block, never with the whole stack."""
    cell = subject.initialised()
    wanted: dict[str, list[tuple[int, ...]]] = {}
    for weight, blocks in cell.layout.stacks.items():
        if weight not in VECTORS:
            wanted.setdefault(weight.weight_option, []).extend(block.shape for block in blocks)
        if weight.bias is not None and getattr(cell, weight.bias, None) is not None:
            rows = [(block.stop - block.start,) for block in cell.layout.bias_blocks(weight)]
            wanted.setdefault(weight.bias_option, []).extend(rows)
    # A property takes the place of an option that nobody chooses.
    given = {o: each for o, each in wanted.items() if o in cell.option_names}
    called: dict[str, list[tuple[int, ...]]] = {option: [] for option in given}
    for option, found in called.items():
        setattr(cell, option, lambda tensor, found=found: found.append(tuple(tensor.shape)))
    cell.reset_parameters()
    for option, shapes in given.items():
        require(
            called[option] == shapes,
            f"{option} was called with tensors of the shapes {called[option]}, expected one "
            f"call for each block: {shapes}",
        )


@check
def reset_parameters(subject: Subject) -> None:
    """``reset_parameters`` writes every parameter, like the constructor, and obeys the seed."""
    torch.manual_seed(1)
    cell = subject.initialised()
    first = copy.deepcopy(dict(cell.named_parameters()))
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(torch.nan)
    torch.manual_seed(1)
    cell.reset_parameters()
    for name, parameter in cell.named_parameters():
        require(bool(parameter.isfinite().all()), f"it leaves {name} with values not finite")
        what = f"{name} after the constructor and after reset_parameters, from one seed"
        require_same(what, parameter, first[name], tolerance=0)


@check
def state_dict(subject: Subject) -> None:
    """A state dict saved with torch.save makes another cell compute the same."""
    cell, other = subject.make(), subject.make()
    file = io.BytesIO()
    torch.save(cell.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    input, states = subject.input(2), subject.states(cell, 2)
    found, expected = step(other, input, states), step(cell, input, states)
    require_same("a cell and one that loaded its state dict", found, expected, tolerance=0)


@check
def pickle_and_deepcopy(subject: Subject) -> None:
    """A copy computes the same; a class within a function is itself not pickled."""
    cell = subject.make()
    input, states = subject.input(2), subject.states(cell, 2)
    twins = {"pickle": pickled(cell), "deepcopy": copy.deepcopy(cell)}
    for way, twin in twins.items():
        found, expected = step(twin, input, states), step(cell, input, states)
        require_same(f"a cell and its copy by {way}", found, expected, tolerance=0)
        require(repr(twin) == repr(cell), f"by {way} {cell!r} becomes {twin!r}")


@check
def extra_repr(subject: Subject) -> None:
    """``extra_repr`` begins with the sizes and names the options that are not at their defaults."""
    sizes = f"{subject.input_size}, {subject.hidden_size}"
    for cell in (subject.initialised(), subject.initialised(bias=False)):
        text = cell.extra_repr()
        require(text.startswith(sizes), f"expected {sizes!r} at its beginning, got {text!r}")
        changed = {
            name
            for name, field in inspect.signature(type(cell)).parameters.items()
            if field.default is not field.empty
            and not name.endswith("_bias")  # they follow bias
            and getattr(cell, name, field.default) != field.default
        }
        shown = set(re.findall(r"(\w+)=", text))
        missing = ", ".join(sorted(changed - shown))
        require(not missing, f"{missing} has another value than its default, got {text!r}")
        require(cell.bias == ("bias" not in shown), f"bias is {cell.bias}, got {text!r}")
