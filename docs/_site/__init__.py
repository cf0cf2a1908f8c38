"""The extensions of the documentation site."""
