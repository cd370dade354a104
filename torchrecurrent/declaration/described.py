"""Completes the docstring of a cell with what follows from its declaration.

A cell's own docstring says what only its author knows. Options that a role explains, such as the
initialiser of a weight, and the first values of all parameters are added here, so that ``help``
and the documentation show them.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

from .. import roles
from .options import Options

__all__ = ["described", "initializer_name", "section"]

#: Beginnings of sections; additions go before the first of them.
_LATER = ("Outputs:", "Initialisation:", "Sources:")


def described(cls: type[Options], base: type[Options]) -> str | None:
    """Return the docstring of ``cls``, plus the options that ``base`` lacks and first values."""
    if not (own := vars(cls).get("__doc__")):
        return None
    text = inspect.cleandoc(own)
    options = inspect.signature(cls).parameters.keys() - inspect.get_annotations(base).keys()
    said = re.findall(r"^    (\w+): ", section(text, "Args:"), re.MULTILINE)
    meanings = {
        name: meaning
        for name, meaning in _meanings(cls).items()
        if name in options and name not in said
    }
    if meanings:
        lines = "\n".join(f"    {name}: {meaning}" for name, meaning in meanings.items())
        if arguments := section(text, "Args:"):
            text = text.replace(arguments, f"{arguments}\n{lines}", 1)
        else:
            text = _inserted(text, f"Args:\n{lines}", _LATER)
    if cls.signature.has_output and "\nOutputs:" not in text:
        names = [argument.name for argument in cls.signature.states]
        states = names[0] if len(names) == 1 else f"({', '.join(names)})"
        text = _inserted(text, f"Outputs: ``(output, {states})``.", ("Initialisation:", "Sources:"))
    if "\nInitialisation:" not in text:
        paragraph = textwrap.fill(f"Initialisation: {_initialisation(cls)}", 96)
        text = _inserted(text, paragraph, ("Sources:",))
    return text


def section(text: str, head: str) -> str:
    """Return a section of a docstring, up to the next empty line."""
    found = re.search(rf"^{head}\n(?:    .*\n?)+", text, re.MULTILINE)
    return found[0].rstrip("\n") if found else ""


def _inserted(text: str, paragraph: str, before: Iterable[str]) -> str:
    places = [place for head in before if (place := text.find(f"\n\n{head}")) >= 0]
    place = min(places, default=len(text))
    return f"{text[:place]}\n\n{paragraph}{text[place:]}"


def _meanings(cls: type[Options]) -> dict[str, str]:
    """Return the meanings of the options that the step's roles and ``first`` explain."""
    found: dict[str, str] = {}
    for argument in cls.signature.written:
        found |= argument.role.meanings(argument.name)
    for weight, names in cls.signature.stacked().items():
        found[weight.weight_option] = f"initialiser of ``{weight.name}`` ({', '.join(names)})."
        if weight.bias:
            default = "no" if getattr(cls, weight.bias_flag, None) is False else "as ``bias``"
            found[weight.bias_flag] = f"whether there is ``{weight.bias}``; default: {default}."
            found[weight.bias_option] = f"initialiser of ``{weight.bias}``."
    for option, names in _started(cls).items():
        of = f"the bias of {_listed(names)}"
        if isinstance(_default(cls, option), int | float):
            found[option] = f"added to the first value of {of}."
        else:
            found[option] = f"what {of} begins with, whatever ``bias_init`` is."
    return found


def _default(cls: type[Options], option: str) -> object:
    """Return the default of an option; its name if it has none, or the property if it is one."""
    default = getattr(cls, option, inspect.Parameter.empty)
    return option if default is inspect.Parameter.empty else default


def _started(cls: type[Options]) -> dict[str, list[str]]:
    """Return the options that ``first`` names, with the arguments whose biases they set."""
    found: dict[str, list[str]] = {}
    for key, value in cls.first.items():
        if isinstance(value, str):
            found.setdefault(value, []).extend((key,) if isinstance(key, str) else key)
    return found


def _initialisation(cls: type[Options]) -> str:
    """Describe the first values of each parameter when all options are at their defaults."""
    groups: dict[str, list[str]] = {}
    absent: list[str] = []
    stacked = cls.signature.stacked()
    for weight in stacked:
        groups.setdefault(initializer_name(_default(cls, weight.weight_option)), []).append(
            weight.name
        )
    for weight in (each for each in stacked if each.bias):
        if getattr(cls, weight.bias_flag, None) is False:
            absent.append(f"no ``{weight.bias}`` unless ``{weight.bias_flag}=True``")
        else:
            name = initializer_name(_default(cls, weight.bias_option))
            groups.setdefault(name, []).append(str(weight.bias))
    parts = [
        f"{name} for {_listed([f'``{each}``' for each in group])}" for name, group in groups.items()
    ]
    declared: list[tuple[object, list[str]]] = []  # values, and the places that begin with each
    for key, begins in cls.first.items():
        places = next((each for known, each in declared if known == begins), None)
        if places is None:
            declared.append((begins, places := []))
        places += [_place(cls, name) for name in ((key,) if isinstance(key, str) else key)]
    for given, places in declared:
        value = _default(cls, given) if isinstance(given, str) else given
        if isinstance(value, property):  # its docstring describes its value
            parts.append((value.__doc__ or "").strip().removesuffix("."))
        elif not isinstance(value, int | float):
            parts.append(f"then {initializer_name(value)} for {_listed(places)}")
        elif value:
            parts.append(f"{value:g} added to {_listed(places)}")
    if cls.frozen:
        listed = _listed([f"``{name}``" for name in cls.frozen])
        absent.append(f"{listed} not trained unless ``frozen=()``")
    return f"{'; '.join(parts + absent)}."


def _place(cls: type[Options], name: str) -> str:
    """Describe the place that a key of ``first`` names."""
    parameter, _, argument = name.rpartition(".")
    if parameter:
        return f"{argument} of ``{parameter}``"
    vectors = [each.name for each in cls.signature.having(roles.VectorRole)]
    return argument if argument in vectors else f"the bias of {argument}"


def initializer_name(initializer: object) -> str:
    """Describe an initialiser, or the property of a cell's class that gives one."""
    if isinstance(initializer, property):  # its docstring describes its value
        return (initializer.__doc__ or "").strip().removesuffix(".")
    return f"``{getattr(initializer, '__name__', initializer)}``"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
