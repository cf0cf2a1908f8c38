"""Connections to other tools, tested with the real tools."""
