"""The tasks, and the data that they learn from."""
