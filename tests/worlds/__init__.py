"""Worlds: one seed decides everything that happens to harvests of a simulated project. See docs/contributing/worlds.md."""
