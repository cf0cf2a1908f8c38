"""Planted bugs that the worlds must find, one patch for each: `python -m tests.worlds.mutants`."""
