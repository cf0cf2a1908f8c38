"""Whether a request that was refused for its credentials is sent again, with credentials that were renewed meanwhile."""

from collections.abc import Awaitable, Callable, Mapping

from agora_analytics.core.verdicts import Cause, Fail, Retry
from agora_analytics.errors import AuthenticationError
from agora_analytics.messages import Request

CredentialOf = Callable[[Mapping[str, str]], object]
"""Returns the part of a request's headers that is the same as long as the credentials are the same."""


async def retry_if_renewed(
    verdict: Retry | Fail,
    refused: Request,
    authorize: Callable[[Request], Awaitable[Mapping[str, str]]],
    credential_of: CredentialOf,
) -> Retry | Fail:
    """Return a retry if the server refused the credentials and others are available now; else the same verdict.

    Args:
        verdict: what to do after the attempt.
        refused: the request of the attempt, with its headers.
        authorize: returns the headers of a request with the current credentials.
        credential_of: finds the credentials in headers.
    """
    if not (isinstance(verdict, Fail) and isinstance(verdict.error, AuthenticationError)):
        return verdict
    if credential_of(await authorize(refused)) == credential_of(refused.headers):
        return verdict
    return Retry(error=verdict.error, cause=Cause.CREDENTIALS)
