"""The parameters that arguments of a step share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CELL", "INPUT", "RECURRENT", "Weight"]


@dataclass(frozen=True)
class Weight:
    """A stacked weight and its bias, and the constructor's options that govern them.

    Arguments of the step that use the same weight are stacked along its
    first dimension, in the order of the step's arguments.
    """

    name: str
    bias: str | None = None
    prefix: str = ""
    #: The option that initialises the weight, if it is not ``<prefix>kernel_init``.
    initializer: str = ""

    @property
    def weight_option(self) -> str:
        return self.initializer or f"{self.prefix}kernel_init"

    @property
    def bias_option(self) -> str:
        return f"{self.prefix}bias_init"

    @property
    def bias_flag(self) -> str:
        return f"{self.prefix}bias"


INPUT = Weight("weight_ih", "bias_ih")
RECURRENT = Weight("weight_hh", "bias_hh", "recurrent_")
CELL = Weight("weight_ch", "bias_ch", "cell_")
