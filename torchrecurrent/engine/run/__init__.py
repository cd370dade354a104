"""Which path runs a call, and the call."""
