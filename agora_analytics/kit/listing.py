"""The paginator of every vendor's listings, and what a listing does with repeated records."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from attrs import evolve

from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.pages import Fetched, Page

S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])


def page_of(response: ApiResponse[Any], records: Sequence[T]) -> Page[T]:
    """Return the page of a response."""
    return Page(records=records, meta=response.meta, raw=response.response.body, skipped=response.skipped)


class FirstSeen(Generic[T]):
    """Returns the records that were not passed before; two records with the same key are the same record."""

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self._key = key
        self._seen: set[Hashable] = set()

    def __call__(self, records: Sequence[T]) -> list[T]:
        """Return the records that are new, in their order."""
        fresh = []
        for record in records:
            if (key := self._key(record)) not in self._seen:
                self._seen.add(key)
                fresh.append(record)
        return fresh


class Listing(Generic[S, R, P]):
    """A `Paginator` made of functions.

    Args:
        steps: the steps known at the start, one for each page.
        run: sends a request: `Engine.run`.
        request: returns the request of a step.
        page: returns the page of a response, and the steps that the response adds.
        token: returns the resume token of a page, given the steps after it.
        fresh: returns the records of a page that no earlier page had; called in the order of the pages. None: all.
    """

    def __init__(
        self,
        steps: Sequence[S],
        *,
        run: Callable[[ApiRequest[R]], Awaitable[ApiResponse[R]]],
        request: Callable[[S], ApiRequest[R]],
        page: Callable[[S, ApiResponse[R]], Fetched[S, P]],
        token: Callable[[P, Sequence[S]], str],
        fresh: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.steps = steps
        self._run = run
        self._request = request
        self._page = page
        self._token = token
        self._fresh = fresh

    async def fetch(self, step: S) -> Fetched[S, P]:
        """See `Paginator.fetch`."""
        return self._page(step, await self._run(self._request(step)))

    def finalize(self, page: P, left: Sequence[S]) -> P:
        """See `Paginator.finalize`."""
        records = page.records if self._fresh is None else self._fresh(page.records)
        return evolve(page, records=records, resume_token=self._token(page, left) if left else "")
