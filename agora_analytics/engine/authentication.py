"""How requests are authenticated: credentials before the slot of a request, its signature within the slot."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from attrs import frozen

from agora_analytics.core.verdicts import Cause, Fail, Retry
from agora_analytics.errors import AuthenticationError
from agora_analytics.messages import Request

C = TypeVar("C")


@frozen(repr=False)
class Authentication(Generic[C]):
    """The two steps that authenticate an attempt.

    Attributes:
        credentials: returns the current credentials. It is called for every attempt before the request waits for its slot,
            so it may take seconds. Credentials are equal if the server treats them alike.
        sign: returns the headers of a request with these credentials, for instance its signature. It is called within the
            slot, so the time that it signs is current.
    """

    credentials: Callable[[], Awaitable[C]]
    sign: Callable[[Request, C], Mapping[str, str]]

    async def retry_if_renewed(self, verdict: Retry | Fail, refused: C) -> Retry | Fail:
        """Return a retry if the server refused the credentials and others are available now; else the same verdict.

        Args:
            verdict: what to do after the attempt.
            refused: the credentials of the attempt.
        """
        if not (isinstance(verdict, Fail) and isinstance(verdict.error, AuthenticationError)):
            return verdict
        if await self.credentials() == refused:
            return verdict
        return Retry(error=verdict.error, cause=Cause.CREDENTIALS)


def always(credentials: C) -> Callable[[], Awaitable[C]]:
    """Return a source of credentials that never change."""

    async def current() -> C:
        return credentials

    return current
