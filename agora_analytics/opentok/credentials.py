"""How a client of Insights says who it is: a project's key and secret, or an application and its private key.

A token is made for each attempt, from the server's time, so it is never late, and a clock that is off heals itself.

Source: `reference/opentok-insights.md`, section 1.
"""

import re
from collections.abc import Mapping
from secrets import token_hex
from typing import Any
from uuid import uuid4

from attrs import field, frozen

from agora_analytics.errors import ConfigurationError
from agora_analytics.opentok.spec import (
    OPENTOK_HOST,
    OPENTOK_PATH,
    TOKEN_LIFETIME,
    VONAGE_HOST,
    VONAGE_PATH,
)

_EARLY = 5  # seconds: the server's clock is known to the second


def _hidden(_: object) -> str:
    return "'***'"


def _digits(_: Any, attribute: Any, value: str) -> None:
    if not re.fullmatch(r"[0-9]+", value):
        raise ConfigurationError(f"{attribute.name} must be digits; it is what the account page shows")


def _filled(_: Any, attribute: Any, value: str) -> None:
    if not value.strip():
        raise ConfigurationError(f"{attribute.name} is missing")


def _uuid(_: Any, attribute: Any, value: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise ConfigurationError(f"{attribute.name}={value!r} is no application id; it looks like a UUID")


@frozen
class ProjectKey:
    """The API key and the secret of an OpenTok project.

    Raises:
        ConfigurationError: one of them cannot be used.

    Example:
        >>> ProjectKey("45000001", "secret")
        ProjectKey(api_key='45000001', secret='***')
    """

    api_key: str = field(converter=str, validator=_digits)
    secret: str = field(repr=_hidden, validator=_filled)

    host = OPENTOK_HOST
    path = OPENTOK_PATH

    @property
    def project_id(self) -> str:
        """The project that is asked for."""
        return self.api_key

    def headers(self, now: float) -> Mapping[str, str]:
        """Return the header of an attempt at the server's time `now` (UTC epoch seconds)."""
        claims = {"iss": self.api_key, "ist": "project", **_times(now), "jti": token_hex(16)}
        return {"x-opentok-auth": _signed(claims, self.secret, "HS256")}


@frozen
class Application:
    """The id and the private key (PEM) of a Vonage application.

    Raises:
        ConfigurationError: one of them cannot be used.

    Example:
        >>> Application("5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1", "-----BEGIN PRIVATE KEY-----...")
        Application(application_id='5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1', private_key='***')
    """

    application_id: str = field(validator=_uuid)
    private_key: str = field(repr=_hidden, validator=_filled)

    host = VONAGE_HOST
    path = VONAGE_PATH

    @property
    def project_id(self) -> str:
        """The project that is asked for."""
        return self.application_id

    def headers(self, now: float) -> Mapping[str, str]:
        """Return the header of an attempt at the server's time `now` (UTC epoch seconds)."""
        claims = {"application_id": self.application_id, **_times(now), "jti": str(uuid4())}
        return {"authorization": f"Bearer {_signed(claims, self.private_key, 'RS256')}"}


Credentials = ProjectKey | Application


def _times(now: float) -> dict[str, int]:
    return {"iat": int(now) - _EARLY, "exp": int(now) + TOKEN_LIFETIME}


def _signed(claims: Mapping[str, Any], key: str, algorithm: str) -> str:
    try:
        import jwt
    except ModuleNotFoundError:
        raise ConfigurationError(
            "tokens need PyJWT, which is not installed: pip install 'agora-analytics[opentok]'"
        ) from None
    try:
        return jwt.encode(dict(claims), key, algorithm=algorithm)
    except (ValueError, TypeError, jwt.PyJWTError):  # their words may show the key
        raise ConfigurationError(
            f"the {'private key' if algorithm == 'RS256' else 'secret'} cannot sign; "
            "check that it is whole, and of this project"
        ) from None
