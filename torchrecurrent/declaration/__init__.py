"""A cell as data: what its step asks for, and where each argument lies."""
