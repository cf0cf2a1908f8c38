"""The one thing that a quick reader may say against a body."""


class NeedsFallback(Exception):
    """The reader met something that it does not read with certainty; a slower one must look at this body."""
