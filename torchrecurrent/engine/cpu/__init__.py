"""A program as C: its text, its compiler, its call."""
