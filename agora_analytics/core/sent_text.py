"""The checks of the text that a caller passes: the parameters of a request, ids, secrets and tokens. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from agora_analytics.errors import ConfigurationError, InvalidRequest


def check_text(parameters: Iterable[tuple[str, str]]) -> None:
    """Check that parameters, as pairs of name and value, can be encoded.

    Raises:
        InvalidRequest: a value contains half of a surrogate pair, as it remains of a character that was cut in two.
    """
    for name, value in parameters:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"{name}={value!r} contains half of a surrogate pair, which is not text; pass the whole character"
            ) from None


def json_body(fields: Any) -> bytes:
    """Return the body of a request.

    Raises:
        InvalidRequest: the fields cannot be sent as JSON.
    """
    import msgspec

    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the parameters cannot be sent as JSON: {error}") from None


def check_credential(name: str, value: Any) -> None:
    """Check that a credential has no whitespace and no invisible character, such as the line break of a file.

    The server would refuse it as a wrong credential, or the header would be invalid. The error does not show the value.

    Raises:
        ConfigurationError: it is not a text, or has such a character.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is not a text but {type(value).__name__}; pass a string")
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ConfigurationError(
            f"{name} contains a space, a line break or an invisible character; copy it again without it"
        )


def credential(_: Any, attribute: Any, value: Any) -> None:
    """Validate a field of an attrs class with `check_credential`; None is valid."""
    if value is not None:
        check_credential(attribute.name, value)


def required_credential(prefix: str) -> Callable[[Any, Any, Any], None]:
    """Return the same validator for a credential that must not be empty.

    Args:
        prefix: the begin of the name of its environment variable, such as `AGORA_`.
    """

    def check(_: Any, attribute: Any, value: Any) -> None:
        if not value:
            name = attribute.name
            raise ConfigurationError(f"{name} is missing; pass {name}= or set {prefix}{name.upper()}")
        credential(_, attribute, value)

    return check


def hidden(_: object) -> str:
    """Return the repr of a secret."""
    return "'***'"
