"""Tells a user who waits at a terminal what for."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["tell"]

_told: set[str] = set()


def tell(text: str) -> None:
    """Print ``text`` if stderr is a terminal, once in a process; a log gets nothing."""
    if text in _told:
        return
    _told.add(text)
    with suppress(AttributeError, OSError, ValueError):  # there may be no stderr, or a closed one
        if sys.stderr.isatty():
            print(f"torchrecurrent: {text} ...", file=sys.stderr, flush=True)
