"""Sphinx's configuration of the documentation; see ``make docs``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torchrecurrent

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "torchrecurrent"
author = "the torchrecurrent authors"
copyright = author
version = release = torchrecurrent.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    # docs/_ext:
    "cell_pages",
    "citations",
    "descriptions",
    "repository",
    "search_terms",
    "signatures",
]
exclude_patterns = ["_build", "_ext", "_templates", "gallery", "tests"]
# What sphinx-gallery writes beside a page: the program and the notebook, for download.
exclude_patterns += ["worked_examples/*.py", "worked_examples/*.ipynb"]

# API -------------------------------------------------------------------------------

autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

# The names of torch and Python that the pages refer to, with their places. The lists are
# read from here, so that a build needs no network.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "_inventories/python.inv"),
    "torch": ("https://docs.pytorch.org/docs/stable/", "_inventories/torch.inv"),
}

# The type variable of detach_hidden, what goes in comes out, has no place to link to.
nitpick_ignore = [
    ("py:class", "torchrecurrent.layers.states.T"),
    ("py:class", "torchrecurrent.interop.torch_twin.TorchTwin"),  # of a cell's author alone
]

# Bibliography ----------------------------------------------------------------------

bibtex_bibfiles = ["../torchrecurrent/catalog/refs.bib"]
bibtex_default_style = "by_author"
bibtex_reference_style = "author_year_round"

# Links to other sites; `make links` follows them ----------------------------------------

# Publishers answer a program, to which a DOI leads, with "forbidden".
linkcheck_ignore = [r"https://doi\.org/"]
# GitHub's pages make the anchors of lines and headings only in a browser.
linkcheck_anchors_ignore_for_url = [r"https://github\.com/"]
linkcheck_timeout = 30
linkcheck_workers = 4

# Examples --------------------------------------------------------------------------

doctest_global_setup = "import torch"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "worked_examples",
    "filename_pattern": r"\.py$",  # all are run
    "within_subsection_order": "ExampleTitleSortKey",
    "capture_repr": (),  # only what is printed
    "image_scrapers": ("gallery_figures.svg",),
    "reset_modules": ("matplotlib", "gallery_figures.one_thread"),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "min_reported_time": 1e9,  # not a property of the example
}

# Pages -----------------------------------------------------------------------------


def _mathjax() -> Path:
    """The renderer of mathematics, one file that loads no other, from its own package."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the documentation needs the package sphinx-mathjax-offline")
    return Path(package.origin).parent / "static" / "mathjax" / "tex-svg.js"


html_theme = "furo"
html_favicon = "_static/favicon.svg"
html_title = f"torchrecurrent {release}"
html_static_path = ["_static", str(_mathjax())]
html_css_files = ["custom.css"]
html_js_files = [
    (name, {"defer": "defer"}) for name in ("navigation.js", "tables.js", "versions.js")
]
html_copy_source = False
mathjax_path = _mathjax().name
