"""What the listings of Insights have in common."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from agora_analytics.engine.legacy import old_pages
from agora_analytics.engine.pages import Page
from agora_analytics.opentok.graphql_query import Field, Path
from agora_analytics.opentok.pagination import InsightsPages, InsightsPaginator
from agora_analytics.opentok.runner import InsightsRunner

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

Text = str | Sequence[str]
"""One, or several."""


class Lister:
    """Makes listings of queries."""

    def __init__(self, asker: InsightsRunner, *, prefetch: int) -> None:
        self._asker = asker
        self._prefetch = prefetch

    def _listing(
        self,
        queries: Sequence[Field],
        outer: Path,
        read: Callable[[dict[str, Any]], Iterable[T]],
        arrow: "Callable[[Sequence[Page[T]]], pa.Table]",
        endpoint: str,
        resume: str | None,
    ) -> InsightsPages[T]:
        async def walk() -> InsightsPaginator[T]:
            ask = asker.of(endpoint)
            return InsightsPaginator(
                queries,
                outer,
                read,
                ask,
                endpoint=endpoint,
                aside=asker.aside,
                tell=asker.tell,
                resume=resume,
            )

        asker = self._asker
        return old_pages(
            kind=InsightsPages,
            walk=walk,
            spawn=asker.spawn,
            prefetch=self._prefetch,
            arrow=arrow,
            prefetch_budget=asker.prefetch_budget,
        )


def several(given: Text) -> list[str]:
    """Return one, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


def members(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the members of the list of that name in an answer."""
    found = (value.get(name) or {}).get("resources") or ()
    return [member for member in found if isinstance(member, dict)]


def table_of(kind: type[Any]) -> "Callable[[Sequence[Page[Any]]], pa.Table]":
    """Return what makes pages of a kind of records a table."""

    def table(pages: Sequence[Page[Any]]) -> "pa.Table":
        from agora_analytics.opentok.arrow import table as made_of

        return made_of(kind, [one for page in pages for one in page.records])

    return table
