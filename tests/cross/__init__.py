"""The kernels of all cells compiled for other systems, and run there as far as that goes here."""
