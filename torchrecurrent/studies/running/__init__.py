"""Runs of a study: seeds, processes, what is kept of each."""
