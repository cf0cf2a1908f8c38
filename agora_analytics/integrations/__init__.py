"""Connections to other tools. Each module needs an extra, and only the command line imports it."""
