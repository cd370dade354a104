"""Timings beside what a user would pick instead: ``make bench`` and ``make bench-all``."""
