"""Reads what a user names in text: ``module:name`` to import, ``KEY=VALUE`` for an option."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from typing import Any

__all__ = ["import_by_name", "read_option"]


def import_by_name(path: str) -> Any:
    """Return what ``"package.module:name"`` names, from the current folder too.

    Raises:
        ValueError: it could not be imported.
    """
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:  # a console script has its own folder there, not the user's
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"could not import {path!r}: {error}") from error


def read_option(text: str) -> tuple[str, Any]:
    """Return the key and the value of ``"KEY=VALUE"``; the value is a literal or a word.

    Raises:
        ValueError: there is no ``=`` in it.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):  # a word
        return key, value
