"""What is true in the simulated world: calls, sessions and their points, made from a seed."""
