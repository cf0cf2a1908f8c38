"""Answers from a store: how good calls were."""
