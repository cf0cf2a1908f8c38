"""The engine: the one request loop, its limits, its hosts and its pages. It knows no vendor by name."""
