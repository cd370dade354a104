"""The base of all cells: parameters, initialisation and one time step from a pure ``step``."""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from . import roles
from .checks import (
    check_cell_states,
    check_flags,
    check_gaps,
    check_input,
    check_not_negative,
    check_placement,
    check_width,
)
from .declaration.described import described
from .declaration.initial import initialize
from .declaration.integration import INTEGRATORS, Integration, Integrator
from .declaration.layout import Layout
from .declaration.noise import Zoneout, check_noise, noise_of
from .declaration.options import (
    Options,
    bind,
    check_declarations,
    check_frozen,
    constructor_signature,
    options_repr,
    positional,
)
from .declaration.signature import StepSignature
from .engine import (
    EffectiveParameters,
    join_gaps,
    project,
    run_sequence,
    run_step,
    step_again,
    update,
)
from .init import Initializer
from .interop.onnx_operator import OnnxOperator
from .interop.own_code import OwnForward
from .interop.per_sample import PerSample, watch
from .interop.torch_twin import TorchTwin
from .interop.tracing import as_leaf, is_symbolic, refuse_scripting
from .published import CellNames
from .roles import INPUT, RECURRENT
from .saved import LoadsPeers, adopt_constants, drop_buffers

__all__ = ["BaseRecurrentCell", "Integration", "Recurrence", "check_takes_gaps", "is_own"]

Recurrence = Literal["dense", "diagonal"]


class BaseRecurrentCell(Options, LoadsPeers, CellNames, OwnForward):
    r"""One step of a recurrent network, from a pure function.

    A subclass writes its mathematics as a static method ``step`` whose arguments
    carry roles (see :mod:`torchrecurrent.roles`); parameters, initialisation, checks,
    the layer over a sequence and the documentation follow from it. An annotated
    attribute of the class, such as ``dt: float = 0.1``, is an option of its constructor.

    Args:
        input_size: width I of the input.
        hidden_size: width H of the state.
        bias: if ``False`` the cell has no bias at all.
        recurrent_bias: whether recurrent products have a bias of their own; default: as ``bias``.
        kernel_init: initialiser of ``weight_ih``, called once a gate: a name from
            :data:`torchrecurrent.init.INITIALIZERS` or a function that fills a tensor.
        recurrent_kernel_init: the same for ``weight_hh``.
        bias_init: the same for ``bias_ih``.
        recurrent_bias_init: the same for ``bias_hh``.
        recurrence: ``"dense"``: a unit sees all units of the state; ``"diagonal"``: only
            itself, and the recurrent weights are vectors (independent recurrence).
        num_heads: the dense recurrent kernels are block-diagonal with this many blocks.
        integration: ``"additive"``: a gate is the sum of its two projections;
            ``"multiplicative"``: also their product, as in [wu2016multiplicative]_; refused
            by a cell none of whose gates has both; ``"layer_norm"``: the sum of both after each
            is normalised over the units of all gates of its kind, as in [ba2016layer]_, and
            multiplied by a learned vector; refused by a cell whose step has no such products.
        layer_norm_eps: added to the variance wherever the cell normalises.
        weight_dropout: probability of an element of ``weight_hh`` to be zeroed in training
            (DropConnect), once for each call, as in [merity2018regularizing]_: for a whole
            sequence in a layer, for one step where the cell is called by itself. The others are
            scaled by 1 / (1 - p). Refused by a cell without ``weight_hh``.
        recurrent_dropout: probability of a unit to be zeroed in training where a recurrent weight
            multiplies it: of each state that a product reads, or of what a map of ``weight_hh`` is
            applied to. A sequence has the same units at all its steps and in all gates
            [gal2016theoretically]_, a cell called by itself draws at each step. The others are
            scaled by 1 / (1 - p). Refused by a cell without such a product.
        zoneout: probability of a unit of a state to stay what it was at a step, in training; else
            the state is the mean of old and new with these weights [krueger2017zoneout]_. A number
            for all states, or a tuple with one for each.
        frozen: names of parameters that are not trained, such as ``("weight_hh",)``: their
            ``requires_grad`` is ``False``. They are initialised, saved and moved like the others.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Inputs: input, hx, dt
        - **input**: ``(N, I)``, or ``(I,)`` unbatched.
        - **hx**: the state, ``(N, H)`` or ``(H,)``, or a tuple of them for a cell with
          several states, where ``None`` stands for zeros. Default: zeros.
        - **dt**: the time since the step before, ``(N,)`` or ``()``, for a cell with the role
          ``Gap``. Default: the option that has this role.

    Outputs:
        The new state, shaped as ``hx``. A cell whose output is not its state returns
        ``(output, state)``.

    Raises:
        TypeError: an unknown option, one of the wrong type, a state of the wrong kind.
        ValueError: a size that is not positive, an unknown name, a wrong rank or dtype.
        RuntimeError: a wrong width or batch size.
    """

    input_size: int = positional(kw_only=False)
    hidden_size: int = positional(kw_only=False)
    bias: bool = positional(default=True, kw_only=False)
    recurrent_bias: bool | None = None
    kernel_init: Initializer = "xavier_uniform"
    recurrent_kernel_init: Initializer = "xavier_uniform"
    bias_init: Initializer = "zeros"
    recurrent_bias_init: Initializer = "zeros"
    recurrence: Recurrence = "dense"
    num_heads: int = 1
    integration: Integration = "additive"
    layer_norm_eps: float = 1e-5
    weight_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: Zoneout = 0.0
    frozen: tuple[str, ...] = ()
    device: torch.device | str | int | None = None
    dtype: torch.dtype | None = None

    #: Key of the paper in the bibliography.
    citation: ClassVar[str] = ""
    #: One of :data:`torchrecurrent.catalog.listing.FAMILIES`.
    family: ClassVar[str] = ""
    #: What runs the step over a sequence in ONNX; ``None``: a Scan of the step itself.
    onnx_operator: ClassVar[OnnxOperator | None] = None
    #: Layers of torch.nn that compute the same as the step, each for some of the options.
    torch_twins: ClassVar[tuple[TorchTwin, ...]] = ()
    #: Whether the step detaches in order to have other gradients than its derivative.
    straight_through: ClassVar[bool] = False

    def __init_subclass__(
        cls, *, citation: str | None = None, family: str | None = None, **kwargs: object
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.citation = cls.citation if citation is None else citation
        cls.family = cls.family if family is None else family
        cls.__signature__ = constructor_signature(cls, BaseRecurrentCell)  # type: ignore[attr-defined]
        names = inspect.signature(cls).parameters
        cls.option_names = tuple(name for name in names if name not in ("device", "dtype"))
        cls.takes_sequences = not _overrides(cls, "forward")
        cls.no_kernel = _why_no_kernel(cls)
        if "step" in vars(cls):  # another one than that which an inherited declaration is for
            cls.onnx_operator = vars(cls).get("onnx_operator")
            cls.torch_twins = vars(cls).get("torch_twins", ())
        if hasattr(cls, "step"):
            cls.signature = StepSignature.of(cls.__name__, cls.step)
            cls.uses_its_parameters = not (
                _overrides(cls, "effective_parameters")
                or _overrides(cls, "recurrent_kernel")
                or cls.signature.sees_part
            )
            cls.state_tuple = _state_tuple([each.name for each in cls.signature.states])
            check_declarations(cls, cls.signature, inspect.signature(cls))
            cls.__doc__ = described(cls, BaseRecurrentCell)

    if not TYPE_CHECKING:  # checkers derive the constructor from the annotations

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            options = bind(type(self), args, kwargs)
            super().__init__()
            device, dtype = options.pop("device"), options.pop("dtype")
            for name, value in options.items():
                setattr(self, name, value)
            for weight in self.signature.stacked():
                if getattr(self, weight.bias_flag, None) is None and weight.bias:
                    setattr(self, weight.bias_flag, self.bias)
            # Asked for several times at each call.
            states = self.signature.states
            self._state_widths = tuple(self._state_width(each.role) for each in states)
            self.frozen = tuple(self.frozen)
            self.check_options()
            self.layout = Layout.of(self.signature, self)
            check_noise(self)
            self.constants = tuple(
                dict.fromkeys((*self.signature.constants, *self._integrator.constants))
            )
            self._create_parameters(device, dtype)
            self.reset_parameters()

    @property
    def output_size(self) -> int:
        """Width of the output, and of the first state if that is the output."""
        return self.hidden_size

    @property
    def skip_size(self) -> int:
        """Rows of the map from the input to the state's width; 0, the identity, if equal."""
        return 0 if self.input_size == self.hidden_size else self.hidden_size

    @property
    def _integrator(self) -> Integrator:
        return INTEGRATORS[self.integration]

    @property
    def papers(self) -> tuple[str, ...]:
        """Keys of the papers behind the cell and those of its options that are in use."""
        return tuple(dict.fromkeys((self.citation, *self._integrator.papers)))

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states as in ``step``, a delay line last."""
        return self.signature.state_names

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each state; a delay line of d steps has d widths, oldest step first."""
        return cast("tuple[int, ...]", self._state_widths)

    def _state_width(self, role: roles.Role) -> int:
        if isinstance(role, roles.DelayedRole):
            return cast("int", getattr(self, role.steps) * self.output_size)
        assert isinstance(role, roles.StateRole)
        return cast("int", getattr(self, role.width))

    def recurrent_columns(self, rows: int, width: int) -> int | None:
        """Columns of a recurrent block that maps a state of ``width`` to ``rows`` units."""
        if self.recurrence == "diagonal":
            if rows != width:
                raise ValueError(
                    f"recurrence='diagonal' needs a state as wide as the hidden_size; "
                    f"{type(self).__name__} joins a state of width {width} to {rows} units"
                )
            return None
        if width % self.num_heads or rows % self.num_heads:
            raise ValueError(
                f"num_heads={self.num_heads} should divide the widths of the recurrent "
                f"weight, got {rows} x {width}"
            )
        return width // self.num_heads

    def check_options(self) -> None:
        """Raise ValueError if options do not fit together; for subclasses to extend."""

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers that a kernel is given at each call, by name."""
        own = {name: float(getattr(self, name)) for name in self.constants}
        return own | noise_of(self).means

    def draw_noise(self, input: Tensor, states: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Draw the masks of one sequence or step, from torch's generator.

        Args:
            input: ``(*, I)``; only its shape, dtype and device matter.
            states: the first ones, each ``(N, width)``.
        """
        noise = noise_of(self)
        if not noise:
            return {}
        widths = dict(zip(self.state_names, self.state_widths, strict=True))
        return noise.draw(widths, input.shape[:-1], input, states[0].shape[:-1])

    def _create_parameters(self, device: Any, dtype: torch.dtype | None) -> None:
        def empty(name: str, *shape: int) -> nn.Parameter:
            values = torch.empty(*shape, device=device, dtype=dtype)
            return nn.Parameter(values, requires_grad=name not in self.frozen)

        stacks = self.layout.stacks
        shapes = {weight.name: self.layout.shape(weight) for weight in stacks}
        switched_off = set()
        for weight in (each for each in stacks if each.bias is not None):
            shapes[str(weight.bias)] = (self.layout.bias_blocks(weight)[-1].stop,)
            if not getattr(self, weight.bias_flag):
                switched_off.add(weight.bias)
        shapes |= {argument.name: (1,) for argument in self.signature.having(roles.ScalarRole)}
        check_frozen(self.frozen, list(shapes))
        for name, shape in shapes.items():
            self.register_parameter(name, None if name in switched_off else empty(name, *shape))
        self._names = tuple(shapes)
        columns = next((block.columns for block in self.layout.projected), None)
        self._unseen = 0 if columns is None else self.input_size - columns
        if self._unseen < 0:
            raise ValueError(
                f"{INPUT.name}: its products should see at most input_size={self.input_size} "
                f"values of the input, got {columns}"
            )
        if self._unseen:
            shapes[INPUT.name] = (shapes[INPUT.name][0], self.input_size)
        self.parameter_shapes = shapes

    def reset_parameters(self) -> None:
        """Initialise every parameter anew, one gate at a time."""
        initialize(self)

    def block(self, parameter: str, argument: str) -> Tensor:
        """Return the rows of a stacked parameter that belong to one argument of the step.

        >>> from torchrecurrent import LSTMCell
        >>> LSTMCell(3, 5).block("weight_ih", "f").shape
        torch.Size([5, 3])

        Raises:
            KeyError: if there is no such parameter, or no such block in it.
        """
        for weight in self.layout.stacks:
            find = self.layout.bias_block if parameter == weight.bias else self.layout.block
            block = find(weight, argument)
            if parameter in (weight.name, weight.bias) and block is not None:
                value = getattr(self, parameter, None)
                if value is not None:
                    return cast("Tensor", value)[block.start : block.stop]
        raise KeyError(f"{type(self).__name__} has no block {argument!r} in {parameter!r}")

    def recurrent_kernel(self) -> Tensor | None:
        """Return the matrix or vector that multiplies the state; override it to constrain it."""
        return getattr(self, RECURRENT.name, None)

    def effective_parameters(self) -> EffectiveParameters:
        """Return the effective parameters, computed once per sequence."""
        kernel = self.recurrent_kernel()
        if self.weight_dropout and self.training and kernel is not None:
            kernel = functional.dropout(kernel, self.weight_dropout)
        found = {**self._values(), RECURRENT.name: kernel}
        if self._unseen and (weight := found[INPUT.name]) is not None:
            # Kernels multiply all of the input: what no product sees, by zeros.
            found[INPUT.name] = functional.pad(weight, (0, self._unseen))
        return found

    def _values(self) -> EffectiveParameters:
        # By attribute: a parametrization or torch.func.functional_call may replace it.
        return {name: getattr(self, name) for name in self._names}

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        """Return all that a step needs of the input, for any number of time steps at once.

        Args:
            input: ``(*, I)``.
        """
        return project(self, input, self._values())

    def update(
        self,
        inputs: Sequence[Tensor],
        states: tuple[Tensor, ...] | None,
        parameters: EffectiveParameters,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one time step, given the projections of its input by :meth:`project`.

        Args:
            inputs: the projections, each ``(N, *)``.
            states: the states, each ``(N, width)``; ``None``: zeros.
            parameters: the result of :meth:`effective_parameters` for this sequence.

        Returns:
            The output ``(N, output_size)`` and the new states.
        """
        if states is None:
            states = self.initial_states(inputs[0].shape[:-1], inputs[0])
        return update(self, inputs, states, parameters)

    def initial_states(self, shape: Sequence[int], like: Tensor) -> tuple[Tensor, ...]:
        """Return the states before the first step: zeros of ``(*shape, width)``."""
        return tuple(like.new_zeros((*shape, width)) for width in self.state_widths)

    def init_hidden(self, batch_size: int | None = None) -> Tensor | tuple[Tensor, ...]:
        """Return the state before the first step, in the form that :meth:`forward` takes.

        Args:
            batch_size: N; if omitted, the state is that of an unbatched input.
        """
        shape = () if batch_size is None else (batch_size,)
        return _unwrapped(self.initial_states(shape, next(self.parameters())))

    def forward(
        self,
        input: Tensor,
        hx: Tensor | tuple[Tensor, ...] | None = None,
        *,
        dt: Tensor | None = None,
        sequence: bool = False,
        batch_sizes: Tensor | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> Any:
        """Run one step; return the new state, or ``(output, state)`` if they differ.

        Args:
            input: ``(N, I)``, or ``(I,)`` unbatched.
            hx: the state before, or ``None`` for zeros.
            dt: the time since the step before, ``(N,)`` or, unbatched, ``()``; with ``sequence``
                of each step, shaped as the input but for its width.
            sequence: ``input`` is a whole sequence ``(T, N, I)``, as a layer passes it to each of
                its cells; the result is ``(output, state)``, with the output ``(T, N, *)`` of all
                steps and the state after the last.
            batch_sizes: with ``sequence``, the number of sequences that run at each step; the
                input and the output are then laid out as in
                :class:`~torch.nn.utils.rnn.PackedSequence`.
            lengths: the same in an export to ONNX, where nothing is packed: the number of steps of
                each padded sequence that count.
            resets: with ``sequence``, of each step, shaped as the input but for its width: true
                where the state is zeros before it.
            masked: likewise, true where a step changes nothing; for a cell whose output is a state.
        """
        if is_symbolic(input):
            return as_leaf(self, input, hx, dt=dt, sequence=sequence, batch_sizes=batch_sizes)
        if not sequence and dt is None and not torch.compiler.is_compiling():
            again = step_again(self, input, hx)
            if again is not None:
                return self._result(*again)
        rows = self._check_input(input, sequence, batch_sizes)
        weight = next(iter(self._parameters.values()), None)  # faster than parameters()
        check_placement("input", input, weight)
        if hx is None:
            states = self.initial_states(rows, input)
        else:
            names, widths = self.state_names, self.state_widths
            states = check_cell_states(names, widths, input, rows, hx, weight)
        if dt is not None:
            input = self._with_gaps(input, dt, sequence, weight)
        flags, watched = (resets, masked), self.per_sample
        if resets is not None or masked is not None:
            self._check_flags(input, sequence, resets, masked)
        if watched is not None and watched.active(self):
            output, states = self._run_watched(watched, input, batch_sizes, states, rows)
        elif sequence:
            output, states = run_sequence(self, input, batch_sizes, states, lengths, *flags)
        else:
            output, states = run_step(self, input, states)
        if sequence:
            return output, states[0] if len(states) == 1 else self.state_tuple(*states)
        return self._result(output, states)

    def _result(self, output: Tensor, states: tuple[Tensor, ...]) -> Any:
        state = _unwrapped(states)
        return (output, state) if self.signature.has_output else state

    def _check_input(
        self, input: Tensor, sequence: bool, batch_sizes: Tensor | None
    ) -> tuple[int, ...]:
        """Check the input; return the shape of the batch: ``(N,)``, or ``()`` if unbatched."""
        ranks = (2,) if batch_sizes is not None else (3,) if sequence else (1, 2)
        check_input(type(self).__name__, input, ranks)
        check_width(input, self.input_size)
        if batch_sizes is not None:
            return (int(batch_sizes[0]),)
        return tuple(input.shape[:-1][-1:])

    def _check_flags(
        self, input: Tensor, sequence: bool, resets: Tensor | None, masked: Tensor | None
    ) -> None:
        for name, value in (("resets", resets), ("masked", masked)):
            if value is None:
                continue
            if not sequence:
                raise ValueError(f"{name}: expected None for a single step, without sequence=True")
            check_flags(name, value, input.shape[:-1], input.device)
            if self.per_sample is not None and self.per_sample.active(self):
                raise RuntimeError(f"{name}: expected None where opacus takes gradients of samples")
        if masked is not None and self.signature.has_output:
            raise ValueError(
                f"masked: expected None, since the output of {type(self).__name__} is no state, "
                "which could stay what it is"
            )

    def _with_gaps(
        self, input: Tensor, dt: object, sequence: bool, weight: Tensor | None
    ) -> Tensor:
        """Return the input and the time since the step before as the engine takes them."""
        check_takes_gaps(self)
        each = "each step" if sequence else "each sequence"
        check_gaps(dt, [(each, input.shape[:-1])], weight)
        assert isinstance(dt, Tensor)
        if not sequence:  # a layer has seen to the values of all steps
            check_not_negative(dt)
        return join_gaps(input, dt)

    def _run_watched(
        self,
        watched: PerSample,
        input: Tensor,
        batch_sizes: Tensor | None,
        states: tuple[Tensor, ...],
        rows: tuple[int, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run a sequence or a step with separate gradients for each sample."""
        if batch_sizes is not None or input.dim() == 3:
            return watched.run(self, input, batch_sizes, states)
        lead = rows or (1,)
        many = tuple(state.view(*lead, -1) for state in states)
        output, many = watched.run(self, input.view(1, *lead, -1), None, many)
        return output.view(*rows, -1), tuple(state.view(*rows, -1) for state in many)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Register a hook, as for any module; opacus is recognised by its hook.

        :meta private:
        """
        return watch(self, hook) or super().register_full_backward_hook(hook, prepend)

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_scripting(self)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        drop_buffers(self, state_dict, prefix)
        adopt_constants(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return options_repr(self, inspect.signature(type(self)))


def _why_no_kernel(kind: type[BaseRecurrentCell]) -> str:
    """Return why a class of cells does more than its step; empty if it does not."""
    for name in ("forward", "update", "project"):
        if _overrides(kind, name):
            return f"{kind.__name__} overrides {name}"
    return ""


def _overrides(kind: type[BaseRecurrentCell], name: str) -> bool:
    # By the code: each class has a copy of forward.
    own: Any = getattr(kind, name)
    return bool(own.__code__ != getattr(BaseRecurrentCell, name).__code__)


def is_own(module: nn.Module) -> TypeGuard[BaseRecurrentCell]:
    """Whether a cell takes whole sequences: it is one of ours and so is its ``forward``."""
    return isinstance(module, BaseRecurrentCell) and module.takes_sequences


def check_takes_gaps(module: nn.Module) -> None:
    """Raise TypeError unless the step of a cell has an argument for the time between steps."""
    name = type(module).__name__
    if not is_own(module) or module.signature.gap is None:
        from .catalog.listing import cells  # here, since it imports this module

        found = [each for each, kind in cells().items() if kind.signature.gap is not None]
        raise TypeError(
            f"dt: the step of {name} doesn't depend on the time since the step before; expected "
            f"None, or one of {', '.join(found)}, or a cell of your own with the role Gap"
        )
    if _overrides(type(module), "project"):
        raise TypeError(f"dt: {name} overrides project, which has no time between steps")


def _state_tuple(names: Sequence[str]) -> Callable[..., Any]:
    """Return the named tuple type in which a layer's cell passes on its states."""
    kind = namedtuple("State", names)  # type: ignore[misc]

    def clone(self: Any) -> Any:
        return kind(*(state.clone() for state in self))

    # Like a tensor's: captum clones whatever a module returns besides its output.
    kind.clone = clone  # type: ignore[attr-defined]
    return kind


def _unwrapped(states: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """Return a single state without its tuple, as torch's cells take and return it."""
    return states[0] if len(states) == 1 else states
