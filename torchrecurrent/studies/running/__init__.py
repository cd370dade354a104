"""The runs of a study: seeds, processes, files."""
