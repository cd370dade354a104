"""Checks that a cell of your own does all that a layer and its users rely on.

They need only torch. All at once:

.. code-block:: python

    from torchrecurrent.testing import check_cell

    check_cell(MyCell)

or each as a test of its own, with pytest:

.. code-block:: python

    @pytest.mark.parametrize(("name", "check"), checks())
    def test_my_cell(name, check):
        check(MyCell)

They can't check the step against its paper: compare it with the equations written out, as
:doc:`/write_your_own` shows.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..layers.wrappers import CellFactory
from . import layer_checks, step_checks
from .subject import CellCheckError, Check

__all__ = ["CellCheckError", "Check", "check_cell", "checks"]

_CHECKS: tuple[Check, ...] = (
    step_checks.shapes,
    step_checks.initial_state,
    step_checks.unbatched,
    step_checks.dtype,
    step_checks.gradients,
    step_checks.functional_call,
    step_checks.no_bias,
    step_checks.initialisers,
    step_checks.reset_parameters,
    step_checks.state_dict,
    step_checks.pickle_and_deepcopy,
    step_checks.extra_repr,
    layer_checks.one_step,
    layer_checks.two_halves,
    layer_checks.padding,
    layer_checks.batch_order,
    layer_checks.bidirectional,
    layer_checks.gradients_through_time,
    layer_checks.kernel,
    layer_checks.noise,
    layer_checks.gaps,
)


def checks() -> Iterator[tuple[str, Check]]:
    """Yield every check with its name, in the order in which :func:`check_cell` runs them.

    A check is called like :func:`check_cell`. Its docstring says what it checks.

    >>> from torchrecurrent.testing import checks
    >>> [name for name, _ in checks()][:3]
    ['shapes', 'initial_state', 'unbatched']
    """
    return ((check.__name__, check) for check in _CHECKS)


def check_cell(cell: CellFactory, *, input_size: int | None = None, hidden_size: int = 4) -> None:
    """Run all checks, in float64, and then report which fail.

    They run in evaluation mode, but for the masks that ``recurrent_dropout`` and ``zoneout`` draw.

    All but the last three run the reference loop, so that their findings concern the cell; these
    compare the fused kernel with the loop, if there is one. torch's random state is preserved.

    Args:
        cell: a class with :class:`~torchrecurrent.BaseRecurrentCell` as its base, or a function
            of ``(input_size, hidden_size, *, bias, dtype)`` that makes one, such as
            ``partial(MyCell, alpha=0.1)``.
        input_size: width of the input; default: 3, or ``hidden_size`` if the cell can't be made
            with 3.
        hidden_size: width of the state.

    Raises:
        CellCheckError: if checks fail; the error names them, the cell and the differences, and
            has an error for each as ``failures``. The first error of the cell itself is its
            ``__cause__``.
        TypeError: if ``cell`` is neither a function nor a class of cells.
    """
    failures = []
    for _, check in checks():
        try:
            check(cell, input_size=input_size, hidden_size=hidden_size)
        except CellCheckError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise CellCheckError.of(failures) from failures[0].__cause__
