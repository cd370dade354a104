"""Programs in C: writing the source, compiling it and calling it."""
