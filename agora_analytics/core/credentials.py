"""The check of an id, a secret or a token that a user passes. Pure."""

from typing import Any

from agora_analytics.errors import ConfigurationError


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
        check_credential(attribute.name.lstrip("_"), value)
