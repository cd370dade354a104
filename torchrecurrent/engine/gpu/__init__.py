"""A program as Triton kernels: their text, and what launches them."""
