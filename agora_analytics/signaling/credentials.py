"""How a client of Signaling authenticates.

Source: Agora, "Signaling REST API", "Authentication".
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from agora_analytics.agora.credentials import Basic
from agora_analytics.core.sent_text import check_credential, hidden
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from agora_analytics.kit.config_file import Account


def _required(_: object, __: object, value: str) -> None:
    if not value:
        raise ConfigurationError("user_id is missing; pass the user that the token was issued for")
    if not (value.isascii() and value.isprintable() and value == value.strip()):  # it becomes a header
        raise ConfigurationError(
            f"user_id={value!r} is not a user id: it contains a line break or the like, or begins or ends with a space"
        )


def _token(_: object, attribute: Any, value: Any) -> None:
    if not callable(value):
        check_credential(attribute.name, value)


@frozen
class Token:
    """An AccessToken2, which sends as the user that it was issued for.

    Attributes:
        token: the token, or a function that returns the current one; it is called for every attempt.
        user_id: the user that it was issued for. If given, the client refuses to send as another user.
    """

    token: str | Callable[[], str] = field(repr=hidden, validator=_token)
    user_id: str | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a request."""
        return {"authorization": f"agora token={_current(self.token)}"}


@frozen
class LegacyToken:
    """An AccessToken of the legacy pages, with the user that it was issued for."""

    user_id: str = field(validator=_required)
    token: str | Callable[[], str] = field(repr=hidden, validator=_token)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a request."""
        return {"x-agora-token": _current(self.token), "x-agora-uid": self.user_id}


Credentials = Basic | Token | LegacyToken
CredentialsSource = Callable[[], Awaitable[Credentials]]
"""Returns the current credentials. It is called for every attempt, so it should cache them itself."""


def with_credentials(account: "Account", given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client for the settings of an account of a configuration file."""
    account.require(given, "app_id")
    found = {name: given.pop(name, None) for name in ("customer_id", "customer_secret", "token", "user_id")}
    if given.get("credentials") is None:
        if found["token"]:
            given["credentials"] = Token(lambda: account.text("token") or "", found["user_id"])
        else:
            account.require(found, "customer_id", "customer_secret")
            given["credentials"] = Basic(found["customer_id"], found["customer_secret"])
    return given


def _current(token: str | Callable[[], str]) -> str:
    if isinstance(token, str):
        return token
    current = token()
    check_credential("token", current)
    return current
