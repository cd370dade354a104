"""Describes each page to search engines by its first paragraph, unless it says ``.. meta::``."""

from __future__ import annotations

from html import escape
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from docutils import nodes  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: Search engines show about as many letters.
_LENGTH = 160


def _describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    tags = context.get("metatags", "")
    if doctree is None or 'name="description"' in tags:
        return
    paragraph = next(doctree.findall(nodes.paragraph), None)
    if paragraph is not None:
        text = escape(shorten(paragraph.astext(), _LENGTH, placeholder=" …"))
        context["metatags"] = f'{tags}<meta name="description" content="{text}" />\n'


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _describe)
    return {"parallel_read_safe": True}
