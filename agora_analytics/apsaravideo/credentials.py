"""Who asks: an access key, with a security token if it is a temporary one."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from agora_analytics.errors import ConfigurationError


def _usable(_: Any, attribute: Any, value: str) -> None:
    if not value:
        variable = f"ALIBABA_CLOUD_{attribute.name.upper()}"
        raise ConfigurationError(f"{attribute.name} is missing; pass {attribute.name}= or set {variable}")
    _one_line(_, attribute, value)


def _one_line(_: Any, attribute: Any, value: str | None) -> None:
    # The value itself is secret, so the error does not show it.
    if value is not None and (not value.isascii() or not value.isprintable() or value != value.strip()):
        raise ConfigurationError(f"{attribute.name} has spaces around it, or characters that no key has")


def _or_none(token: str | None) -> str | None:
    return token or None


@frozen
class Credentials:
    """An access key. Its repr has no secret.

    Attributes:
        access_key_id: the id.
        access_key_secret: its secret.
        security_token: what the Security Token Service (STS) gave with a temporary key; None for a lasting one.

    Raises:
        ConfigurationError: the id or the secret is missing, or cannot be sent.

    Example:
        >>> Credentials("an id", "a secret")
        Credentials(access_key_id='an id', access_key_secret='***', security_token=None)
    """

    access_key_id: str = field(validator=_usable)
    access_key_secret: str = field(validator=_usable, repr=lambda _: "'***'")
    security_token: str | None = field(
        default=None,
        kw_only=True,
        converter=_or_none,
        validator=_one_line,
        repr=lambda token: "'***'" if token else "None",
    )


CredentialsSource = Callable[[], Awaitable[Credentials]]
"""Tells the credentials of the moment; asked anew for every attempt, so what it caches is up to it."""
