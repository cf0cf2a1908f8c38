"""Agora Analytics: the facts of its API, its records, and its client."""
