"""Whether a request that was refused for its credentials is sent again, with credentials that were renewed meanwhile."""

from collections.abc import Awaitable, Callable, Mapping

from agora_analytics.core.verdicts import Cause, Fail, Retry
from agora_analytics.errors import AuthenticationError
from agora_analytics.messages import Request


async def retry_if_renewed(
    verdict: Retry | Fail, refused: Request, authorize: Callable[[Request], Awaitable[Mapping[str, str]]]
) -> Retry | Fail:
    """Return a retry if the server refused the credentials and others are available now; else the same verdict.

    Args:
        verdict: what to do after the attempt.
        refused: the request of the attempt, with its headers.
        authorize: returns the headers of a request; equal credentials must be equal headers.
    """
    if not isinstance(verdict.error, AuthenticationError):
        return verdict
    headers = await authorize(refused)
    if headers.items() <= refused.headers.items():
        return verdict
    return Retry(error=verdict.error, cause=Cause.CREDENTIALS)
