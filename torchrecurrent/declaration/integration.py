"""Combines the input's and the state's parts of a gate: an option of every cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ..across import ACROSS
from ..normalization import normalizer
from ..roles import ProductRole
from ..roles.role import Printer, Source
from ..roles.weight import Weight
from ..term import Term, symbol

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["INTEGRATORS", "VECTORS", "Integration", "Integrator", "Products"]

Integration = Literal["additive", "multiplicative", "layer_norm"]


class Products(Source, Protocol):
    """The parts of a gate."""

    @property
    def cell(self) -> BaseRecurrentCell: ...

    def projection(self, name: str) -> Any:
        """W x of an argument."""

    def recurrent(self, name: str, role: ProductRole) -> Any | None:
        """U s of an argument; ``None`` if the projection already includes it."""

    def biased(self, value: Any, name: str, weights: Sequence[Weight]) -> Any:
        """``value`` plus those biases of an argument that its products do not include."""

    def once(self, key: object, make: Callable[[], Any]) -> Any:
        """The result of ``make`` at its first call under this key."""


class Integrator(ABC):
    """Computes a gate's value, with learned vectors of its own if needed."""

    #: Keys of the papers.
    papers: ClassVar[tuple[str, ...]] = ()
    #: The parameters that it adds, all ones at first.
    weights: ClassVar[tuple[Weight, ...]] = ()
    #: The numeric options that it needs.
    constants: ClassVar[tuple[str, ...]] = ()
    #: Whether a gate is the sum of its products with their biases, and nothing else.
    sums: ClassVar[bool] = False

    def vectors(self, cell: BaseRecurrentCell) -> Mapping[Weight, Mapping[str, int]]:
        """Return the arguments that have rows in its parameters, and how many.

        Raises:
            ValueError: if the cell has nothing to integrate.
        """
        return {}

    @abstractmethod
    def value(self, source: Products, name: str, role: ProductRole) -> Any:
        """Return the value of an argument."""

    def lines(self, printer: Printer, products: Mapping[str, ProductRole]) -> list[str]:
        """Return the equations, as LaTeX, that the terms refer to."""
        return []

    @abstractmethod
    def term(self, printer: Printer, name: str, role: ProductRole) -> Term:
        """Return an argument as LaTeX."""


class Additive(Integrator):
    """A gate is W x + b + U s + d."""

    sums = True

    def value(self, source: Products, name: str, role: ProductRole) -> Any:
        value = None if role.input is None else source.projection(name)
        if role.recurrent is not None:
            brought = source.recurrent(name, role)
            if value is None or brought is None:
                value = brought if value is None else value
            else:
                value = value + brought
        return source.biased(value, name, role.weights)

    def term(self, printer: Printer, name: str, role: ProductRole) -> Term:
        sides = role.sides(printer, name)
        return Term(" + ".join(f"{product}{bias}" for product, bias in sides), 1)


class Multiplicative(Integrator):
    """The product of both parts is added (wu2016multiplicative)."""

    papers = ("wu2016multiplicative",)
    #: Factors of the product of the two projections, of the recurrent one, and of the input's.
    weights = (Weight("mi_alpha"), Weight("mi_beta_hh"), Weight("mi_beta_ih"))

    def vectors(self, cell: BaseRecurrentCell) -> Mapping[Weight, Mapping[str, int]]:
        rows = {name: role.height(cell) for name, role in _products(cell) if len(role.weights) == 2}
        if not rows:
            raise ValueError(
                "integration='multiplicative' multiplies what the input and the state bring to "
                f"an argument; {type(cell).__name__} has none with a product of both"
            )
        return dict.fromkeys(self.weights, rows)

    def value(self, source: Products, name: str, role: ProductRole) -> Any:
        if role.input is None:
            value = source.recurrent(name, role)
        elif role.recurrent is None:
            value = source.projection(name)
        else:
            x, s = source.projection(name), source.recurrent(name, role)
            alpha, beta_s, beta_x = (source.vector(weight, name) for weight in self.weights)
            value = alpha * x * s + beta_s * s + beta_x * x
        return source.biased(value, name, role.weights)

    def term(self, printer: Printer, name: str, role: ProductRole) -> Term:
        products, biases = zip(*role.sides(printer, name), strict=True)
        text = products[0]
        if len(products) == 2:
            alpha, beta_s, beta_x = (
                symbol(f"{letter}_{name}") for letter in ("alpha", "beta_h", "beta_x")
            )
            x, s = products
            text = rf"{alpha} \odot {x} \odot {s} + {beta_s} \odot {s} + {beta_x} \odot {x}"
        return Term(text + "".join(biases), 1)


class LayerNormalized(Integrator):
    """Each product is normalised together with all others of its kind (ba2016layer)."""

    papers = ("ba2016layer",)
    constants = ("layer_norm_eps",)
    #: Factors of the input's product and of the state's.
    weights = (Weight("ln_gamma_ih"), Weight("ln_gamma_hh"))

    def vectors(self, cell: BaseRecurrentCell) -> Mapping[Weight, Mapping[str, int]]:
        if not (found := _products(cell)):
            raise ValueError(
                "integration='layer_norm' normalises what the input and the state bring to an "
                f"argument; {type(cell).__name__} has no argument with a product of either"
            )
        gamma_x, gamma_s = self.weights
        return {
            gamma_x: {name: role.height(cell) for name, role in found if role.input},
            gamma_s: {name: role.height(cell) for name, role in found if role.recurrent},
        }

    def value(self, source: Products, name: str, role: ProductRole) -> Any:
        alike = [other for other, known in _products(source.cell) if known == role]
        normalize = normalizer(
            partial(source.across, ACROSS["average"], name), source.constant("layer_norm_eps")
        )
        sides: list[tuple[Weight, Callable[[str], Any]]] = []
        if role.input is not None:
            sides.append((self.weights[0], source.projection))
        if role.recurrent is not None:
            sides.append((self.weights[1], lambda other: source.recurrent(other, role)))
        value = None
        for gamma, product in sides:

            def normalized(product: Callable[[str], Any] = product) -> dict[str, Any]:
                return dict(zip(alike, normalize(*map(product, alike)), strict=True))

            term = source.vector(gamma, name) * source.once((gamma, role), normalized)[name]
            value = term if value is None else value + term
        return source.biased(value, name, role.weights)

    def lines(self, printer: Printer, products: Mapping[str, ProductRole]) -> list[str]:
        lines: dict[tuple[str, ProductRole], tuple[list[str], list[str]]] = {}
        for name, role in products.items():
            for accent, product in self._sides(printer, name, role):
                names, terms = lines.setdefault((accent, role), ([], []))
                names.append(_normal(accent, name))
                terms.append(product)
        return [
            r",\; ".join(names) + rf" &= \mathrm{{LN}}({', '.join(terms)})"
            for names, terms in lines.values()
        ]

    def term(self, printer: Printer, name: str, role: ProductRole) -> Term:
        gains = {"hat": "gamma", "check": "alpha"}
        terms = [
            rf"{symbol(f'{gains[accent]}_{name}')} \odot {_normal(accent, name)}"
            for accent, _ in self._sides(printer, name, role)
        ]
        biases = [bias for _, bias in role.sides(printer, name)]
        return Term(" + ".join(terms) + "".join(biases), 1)

    def _sides(self, printer: Printer, name: str, role: ProductRole) -> list[tuple[str, str]]:
        """Return the accents of the normalised input and state products, and the products."""
        accents = ["hat"] * (role.input is not None) + ["check"] * (role.recurrent is not None)
        products = [product for product, _ in role.sides(printer, name)]
        return list(zip(accents, products, strict=True))


def _normal(accent: str, name: str) -> str:
    return rf"\{accent}{{{symbol(name)}}}_{{t}}"


def _products(cell: BaseRecurrentCell) -> list[tuple[str, ProductRole]]:
    """Return the arguments of a step that are products, except those that are the input itself."""
    return [
        (argument.name, argument.role)
        for argument in cell.signature.arguments
        if isinstance(argument.role, ProductRole) and argument.role.height(cell)
    ]


#: The integrators by the value of the option.
INTEGRATORS: Mapping[str, Integrator] = {
    "additive": Additive(),
    "multiplicative": Multiplicative(),
    "layer_norm": LayerNormalized(),
}
#: The parameters of all of them.
VECTORS = frozenset(weight for each in INTEGRATORS.values() for weight in each.weights)
