"""The credentials of Insights: a project's key and secret, or an application and its private key.

A token is signed for each attempt with the server's time, so it is never expired. A wrong local clock is corrected
after the first response.

Source: Vonage, "Insights Dashboard & API", "Insights API, Base URL, and Authentication".
"""

import re
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import field, frozen

from agora_analytics.core.sent_text import credential, hidden
from agora_analytics.errors import ConfigurationError
from agora_analytics.opentok.spec import (
    OPENTOK_HOST,
    OPENTOK_PATH,
    TOKEN_LIFETIME,
    VONAGE_HOST,
    VONAGE_PATH,
)

if TYPE_CHECKING:
    from agora_analytics.kit.config_file import Account

_EARLY = 5  # seconds before now at which a token begins: the server's clock is known to the second only
_KEY, _SECRET = "OPENTOK_API_KEY", "OPENTOK_API_SECRET"
VARIABLES = {"base_url": "OPENTOK_BASE_URL"}
"""The environment variables that are not credentials, by setting."""
_PAIRS = ("api_key", "api_secret"), ("application_id", "private_key")
_APPLICATION, _PRIVATE_KEY = "VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY"


def _digits(_: Any, attribute: Any, value: str) -> None:
    if not re.fullmatch(r"[0-9]+", value):
        raise ConfigurationError(f"{attribute.name} must consist of digits; copy it from the account page")


def _filled(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{attribute.name} is missing; copy it from the account page")


def _uuid(_: Any, attribute: Any, value: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise ConfigurationError(
            f"{attribute.name}={value!r} is not an application id; pass the UUID of the application"
        )


@frozen
class ProjectKey:
    """The API key and the secret of an OpenTok project.

    Raises:
        ConfigurationError: one of them is missing or malformed.

    Example:
        >>> ProjectKey("45000001", "secret")
        ProjectKey(api_key='45000001', secret='***')
    """

    api_key: str = field(converter=str, validator=_digits)
    secret: str = field(repr=hidden, validator=[_filled, credential])

    host = OPENTOK_HOST
    path = OPENTOK_PATH

    @property
    def project_id(self) -> str:
        """The id of the project that queries read."""
        return self.api_key

    def headers(self, now: float) -> Mapping[str, str]:
        """Return the header of an attempt at the server's time `now`, in UTC epoch seconds."""
        claims = {"iss": self.api_key, "ist": "project", **_times(now), "jti": token_hex(16)}
        return {"x-opentok-auth": _sign(claims, self.secret, "HS256")}


@frozen
class Application:
    """The id and the private key (PEM) of a Vonage application.

    Raises:
        ConfigurationError: one of them is missing or malformed.

    Example:
        >>> Application("5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1", "-----BEGIN PRIVATE KEY-----...")
        Application(application_id='5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1', private_key='***')
    """

    application_id: str = field(validator=_uuid)
    private_key: str = field(repr=hidden, validator=_filled)

    host = VONAGE_HOST
    path = VONAGE_PATH

    @property
    def project_id(self) -> str:
        """The id of the project that queries read."""
        return self.application_id

    def headers(self, now: float) -> Mapping[str, str]:
        """Return the header of an attempt at the server's time `now`, in UTC epoch seconds."""
        claims = {"application_id": self.application_id, **_times(now), "jti": str(uuid4())}
        return {"authorization": f"Bearer {_sign(claims, self.private_key, 'RS256')}"}


Credentials = ProjectKey | Application


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """Return the credentials that environment variables name.

    Raises:
        ConfigurationError: a variable is missing or its value cannot be used.
    """
    if application_id := environment.get(_APPLICATION):
        return Application(application_id, _private_key(environment.get(_PRIVATE_KEY, "")))
    missing = [name for name in (_KEY, _SECRET) if not environment.get(name)]
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)} (or {_APPLICATION} and {_PRIVATE_KEY})"
        )
    return ProjectKey(environment[_KEY], environment[_SECRET])


def with_credentials(account: "Account", given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client for the settings of an account of a configuration file.

    Raises:
        ConfigurationError: a part of the credentials is missing or cannot be used.
    """
    is_application = "application_id" in given
    found = [{name: given.pop(name, None) for name in pair} for pair in _PAIRS]
    if given.get("credentials") is None:
        account.require(found[is_application], *_PAIRS[is_application])
        first, second = found[is_application].values()
        given["credentials"] = Application(first, second) if is_application else ProjectKey(first, second)
    return given


def _private_key(value: str) -> str:
    """Return the key that a variable holds, or that is in the file whose path it holds."""
    if not value:
        raise ConfigurationError(f"{_APPLICATION} is set, but not {_PRIVATE_KEY}; set both")
    if "-----BEGIN" in value:
        return value.replace("\\n", "\n")
    try:
        return Path(value).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigurationError(f"{_PRIVATE_KEY} names a file that cannot be read: {reason}") from None


def _times(now: float) -> dict[str, int]:
    return {"iat": int(now) - _EARLY, "exp": int(now) + TOKEN_LIFETIME}


def _sign(claims: Mapping[str, Any], key: str, algorithm: str) -> str:
    try:
        import jwt
    except ModuleNotFoundError:
        raise ConfigurationError(
            "tokens need PyJWT, which is not installed: pip install 'agora-analytics[opentok]'"
        ) from None
    try:
        return jwt.encode(dict(claims), key, algorithm=algorithm)
    except (ValueError, TypeError, jwt.PyJWTError):  # their messages may show the key
        raise ConfigurationError(
            f"the {'private key' if algorithm == 'RS256' else 'secret'} cannot sign; "
            "check that it is complete and belongs to this project"
        ) from None
