"""Finds the known names that are closest to an unknown one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["closest", "did_you_mean", "unknown_attribute"]

#: The least similarity of two names, from 0 to 1: it is 0.95 for ``batchfirst`` and
#: ``batch_first``, and 0.64 for ``forget_bias`` and ``recurrent_bias``, whose meanings differ.
_ALIKE = 0.7


def closest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return at most ``count`` of the names in ``known`` most like ``name``, the best first.

    Case is ignored unless a name is similar as it is written.
    """
    names = list(known)
    if found := get_close_matches(name, names, count, _ALIKE):
        return found
    lower = {each.lower(): each for each in reversed(names)}
    return [lower[each] for each in get_close_matches(name.lower(), lower, count, _ALIKE)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion to add after an unknown name, in brackets; empty if there is none."""
    return "".join(f" (did you mean {found!r}?)" for found in closest(name, known))


def unknown_attribute(module: str, name: str, known: Iterable[str]) -> Exception:
    """Return the exception for a module's ``__getattr__`` to raise.

    It is an AttributeError, or an ImportError within ``from module import name``: there Python
    puts a sentence of its own in the place of an AttributeError's.

    Args:
        module: name of the module.
        name: the requested name.
        known: its public names. The one that equals ``name`` without its final C comes first:
            other packages write ``BRC`` for the layer of the ``BRCell``.
    """
    # Of two names that differ in case the paper's, which begins in lower case, comes first.
    names = sorted(known, reverse=True)
    without = [name.removesuffix("C"), f"{name.removesuffix('CCell')}Cell"]
    found = [each for each in without if each in names] or closest(name, names)
    if name.startswith("_") or not found:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    hint = f"; did you mean {found[0]!r}?"
    if _is_importing() and importlib.util.find_spec(f"{module}.{name}") is None:
        return ImportError(f"cannot import name {name!r} from {module!r}{hint}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def _is_importing() -> bool:
    """Whether the caller's ``__getattr__`` is called by the import system."""
    code = sys._getframe(3).f_code  # beyond unknown_attribute and __getattr__
    return code.co_name == "_handle_fromlist" and "importlib" in code.co_filename
