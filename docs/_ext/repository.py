"""Links from each page to its source, in the repository whose workflow on GitHub builds the site.

Elsewhere there are none: a checkout does not know where it is published.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torchrecurrent.catalog import listing

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["source_of"]


def source_of(page: str, suffix: str) -> str:
    """Return the file that a page is made of, from the root of the repository.

    Args:
        page: its name, without a suffix: ``"cells/LSTMCell"``.
        suffix: that of the file that Sphinx read, which may have been written for this build.
    """
    folder, _, name = page.partition("/")
    if folder == "cells" and name:
        return f"{listing.cells()[name].__module__.replace('.', '/')}.py"
    if folder == "worked_examples":
        return f"docs/gallery/{'GALLERY_HEADER.rst' if name == 'index' else f'{name}.py'}"
    return f"docs/{page}{suffix}"


def _add_links(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Give the theme's templates the places at which to look at the source and to edit it."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if repository is None:
        return
    place = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    context["theme_footer_icons"] = [
        {"name": "Repository", "url": place, "html": "Repository", "class": ""}
    ]
    if doctree is not None:  # not a list that Sphinx made, such as the index
        branch = os.environ.get("GITHUB_REF_NAME", "main")
        source = f"{branch}/{source_of(page, context['page_source_suffix'])}"
        context["theme_source_edit_link"] = f"{place}/edit/{source}"
        context["theme_source_view_link"] = f"{place}/blob/{source}"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _add_links)
    return {"parallel_read_safe": True}
