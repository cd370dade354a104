"""The cells of this package, with facts about each."""

from .listing import FAMILIES, cells, find_cell, layer_of, list_cells, names_of

__all__ = ["FAMILIES", "cells", "find_cell", "layer_of", "list_cells", "names_of"]
