"""A cell as data: the arguments of its step, and where each lies in the parameters."""
