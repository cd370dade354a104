"""From a module of torch, ``forward(input, state)``, to the plan that a declared step has."""
