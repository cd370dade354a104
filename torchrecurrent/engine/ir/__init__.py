"""A step as a graph: the operations, one row each, and the derivative."""
