"""The credentials of Agora's REST APIs: a customer id and its secret, as values or from an async callable."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, cast

from attrs import field, frozen

from agora_analytics.core.sent_text import credential, hidden
from agora_analytics.engine.authentication import Authentication, always
from agora_analytics.errors import ConfigurationError
from agora_analytics.kit.client import basic_auth


@frozen
class Basic:
    """The RESTful API's customer id and secret. With Signaling, they may send as any user.

    Example:
        >>> Basic("customer-id", "secret")
        Basic(customer_id='cust...', customer_secret='***')
    """

    customer_id: str = field(repr=lambda text: f"'{text[:4]}...'", validator=credential)
    customer_secret: str = field(repr=hidden, validator=credential)

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a request."""
        return basic_auth(self.customer_id, self.customer_secret)


BasicSource = Callable[[], Awaitable[Basic]]
"""Returns the current credentials. It is called for every attempt, so it should cache them itself."""


def customer_credentials(
    customer_id: str | None, customer_secret: str | None, credentials: Basic | BasicSource | None
) -> Basic | BasicSource:
    """Return the credentials that a caller passed in one of both forms.

    Raises:
        ConfigurationError: one is missing, or both forms are given.
    """
    if credentials is not None:
        if customer_id or customer_secret:
            raise ConfigurationError("pass either credentials= or customer_id and customer_secret, not both")
        return credentials
    if customer_id and customer_secret:
        return Basic(customer_id, customer_secret)
    if not (customer_id or customer_secret):
        raise ConfigurationError(
            "customer_id and customer_secret are missing; pass them, set AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET, "
            "or name an account of a configuration file: from_config()"
        )
    name = "customer_secret" if customer_id else "customer_id"
    raise ConfigurationError(f"{name} is missing; pass {name}= or set AGORA_{name.upper()}")


def shared_account(account: str | None, credentials: Basic | BasicSource, app_id: str) -> str:
    """Return what identifies the clients that share the limits."""
    if account:
        return f"account {account}"
    return credentials.customer_id if isinstance(credentials, Basic) else f"app {app_id}"


def in_headers(credentials: Any, kinds: tuple[type, ...] = (Basic,)) -> Authentication[Mapping[str, str]]:
    """Return the authentication with credentials that are the same headers for every request.

    Args:
        credentials: a value of one of the `kinds`, or an async callable that returns one.
        kinds: classes with a method `headers()`.
    """
    if isinstance(credentials, Basic):
        source = always(credentials.headers())
    else:
        source = partial(_current_headers, credentials, kinds)
    return Authentication(source, lambda _, headers: headers)


async def _current_headers(credentials: Any, kinds: tuple[type, ...]) -> Mapping[str, str]:
    found = credentials
    if not isinstance(found, kinds):
        found = found()
        if isawaitable(found):
            found = await found
        if not isinstance(found, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigurationError(f"credentials= returned {type(found).__name__}; return {names}")
    return cast("Basic", found).headers()
