"""The papers behind the cells, in BibTeX."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from torch import nn

from ..cell import BaseRecurrentCell
from ..layers.wrappers import FastSlow, Multiplicative

__all__ = ["cite", "entries", "field"]

#: In refs.bib an entry starts and ends at the start of a line.
_ENTRY = re.compile(r"^@\w+\{(?P<key>\w+),\n.*?^\}$", re.MULTILINE | re.DOTALL)


@cache
def entries() -> dict[str, str]:
    """Return every entry of the package's bibliography, as written there, by its key."""
    text = (resources.files(__package__) / "refs.bib").read_text(encoding="utf-8")
    return {match["key"]: match[0] for match in _ENTRY.finditer(text)}


def field(entry: str, name: str) -> str:
    """Return a field of an entry as plain text on one line; empty if there is none."""
    found = re.search(rf"^  {name} *= \{{(.*?)\}},$", entry, re.MULTILINE | re.DOTALL)
    text = " ".join(found[1].split()) if found else ""
    return re.sub(r"[{}]", "", text).replace("--", "\N{EN DASH}")


def cite(model: nn.Module) -> str:
    """Return the BibTeX of the papers that a model uses, each once, in the order of use.

    Those are the papers of every cell of this package in ``model``, with its options, and of the
    wrappers around them; a cell without a citation adds nothing. For one whose citation is not in
    the package's bibliography, such as a cell of your own, a comment takes the entry's place.

    >>> from torchrecurrent import MGU, cite
    >>> print(cite(torch.nn.Sequential(MGU(3, 5), MGU(5, 5))).splitlines()[0])
    @article{zhou2016minimal,

    Args:
        model: any module.

    Raises:
        TypeError: if ``model`` is not a module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model should be of type torch.nn.Module, got: {type(model).__name__}")
    used: dict[str, str] = {}
    for module in model.modules():
        if isinstance(module, BaseRecurrentCell | FastSlow | Multiplicative):
            for key in filter(None, module.papers):
                missing = (
                    f"% {key}: of {type(module).__name__}, not in torchrecurrent's bibliography"
                )
                used.setdefault(key, entries().get(key, missing))
    return "\n\n".join(used.values())
