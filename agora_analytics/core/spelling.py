"""Recognizes misspelt names of metrics, dimensions, products and the like, before a request is spent on one. Pure.

A name that resembles no documented one is accepted, because a vendor may have added it.
"""

from collections.abc import Iterable

from agora_analytics.errors import InvalidRequest


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the end of an error message that names the most similar name; "" if none is similar.

    Example:
        >>> did_you_mean("user_cont", ["userCount", "channelCount"]), did_you_mean("delay", ["userCount"])
        ("; did you mean 'userCount'?", '')
    """
    closest = _closest(word, names)
    return f"; did you mean {closest!r}?" if closest else ""


def check_spelling(
    what: str, words: str | Iterable[str], names: Iterable[str], *, endpoint: str | None = None
) -> None:
    """Check that each word is one of the names, or unlike all of them.

    Args:
        what: what the words are called in an error.
        words: one word, or several.
        names: the documented names.
        endpoint: the endpoint of the request, for the error.

    Raises:
        InvalidRequest: a word resembles a name, for instance in another case.
    """
    known = list(map(str, names))
    for word in [words] if isinstance(words, str) else words:
        if word not in known and (closest := _closest(word, known)):
            raise InvalidRequest(
                f"there is no {what} {str(word)!r}; did you mean {closest!r}? (validate=False sends it unchanged)",
                endpoint=endpoint,
            )


def _closest(word: str, names: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # only a name that is not documented needs it

    known = list(map(str, names))
    head, dot, _ = str(word).rpartition(".")
    # A prefix such as `usage.` is a part of every name, and would make all of them similar.
    siblings = [name for name in known if name.rpartition(".")[0] == head]
    start = len(head + dot) if siblings else 0
    by_letters = {_letters(name[start:]): name for name in reversed(siblings or known)}
    found = get_close_matches(_letters(str(word)[start:]), by_letters, n=1)
    return by_letters[found[0]] if found else None


def _letters(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())
