"""Ground truth of the simulated world: calls, sessions and points, generated from a seed."""
