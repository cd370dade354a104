"""From a cell to what both passes multiply, compute and keep."""
