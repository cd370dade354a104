"""Compares times with those of the alternatives: ``make bench`` and ``make bench-all``."""
