"""From a cell to the operations and buffers of its two passes."""
