"""Cells over sequences, and cells made of cells."""
