"""How sphinx-gallery runs the worked examples and draws their figures."""

from __future__ import annotations

from typing import Any

import torch
from sphinx_gallery.scrapers import matplotlib_scraper

__all__ = ["one_thread", "svg"]


def svg(*found: Any, **options: Any) -> str:
    """Save figures as SVG, which the style sheet turns dark with the page."""
    text: str = matplotlib_scraper(*found, format="svg", **options)
    return text


def one_thread(conf: dict[str, Any], name: str) -> None:
    """Before each example: small models are faster on one, and give the same numbers everywhere."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
