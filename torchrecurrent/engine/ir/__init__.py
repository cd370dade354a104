"""What a step computes: a graph, one row for each operation, and its derivative."""
