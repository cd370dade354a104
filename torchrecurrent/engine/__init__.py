"""How a sequence is computed. ``reference`` is the meaning; other paths must agree with it."""
