"""The tasks and their data."""
