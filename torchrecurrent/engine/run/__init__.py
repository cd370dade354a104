"""Chooses the path of a call, and runs it."""
