r"""Writes characters that change a terminal or are not seen as escapes: `\x1b`, `\u202e`.

Channel names, user names and error messages are written by strangers. They may contain escape sequences, which change the
terminal, and bidirectional controls or invisible characters, which make a text look like another one.
"""

import re

# Controls except line feed and tab; line and paragraph separators; half surrogates; and what Unicode calls default
# ignorable, except the variation selectors, which choose the look of a visible character.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufff9-\ufffb"
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    r"\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def visible(text: str, encoding: str = "utf-8") -> str:
    r"""Return a text with escapes for hidden characters and for those that the encoding does not have.

    Line feeds and tabs stay.

    Example:
        >>> print(visible("\x1b[2Jroom\u202e"), visible("café", "ascii"))
        \x1b[2Jroom\u202e caf\xe9
    """
    if _HIDDEN.search(text):
        text = _HIDDEN.sub(lambda found: _escape(found[0]), text)
    return text if is_utf8(encoding) else text.encode(encoding, "backslashreplace").decode(encoding)


def visible_json(text: str, encoding: str = "utf-8") -> str:
    r"""Return the same for JSON, with the escapes of JSON. The data stay exact.

    Example:
        >>> print(visible_json('"\x9b2J"'))
        "\u009b2J"
    """
    text = _HIDDEN.sub(lambda found: _json_escape(found[0]), text)
    if is_utf8(encoding):
        return text
    return "".join(character if _has(encoding, character) else _json_escape(character) for character in text)


def is_utf8(encoding: str) -> bool:
    """Return whether a name of an encoding means UTF-8."""
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8"}


def _escape(character: str) -> str:
    # `backslashreplace` escapes every character that ASCII does not have, and those below 32 need the same form.
    return (
        character.encode("ascii", "backslashreplace").decode()
        if character > "\x7f"
        else f"\\x{ord(character):02x}"
    )


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
