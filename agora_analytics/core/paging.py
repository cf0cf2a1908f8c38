"""Numbered pages in time windows: which requests a listing needs. Pure.

A listing is a sequence of steps, one for each page. A response may add steps after its own: the other pages of its
window or, where the server hides records, the two halves of the window.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum, auto
from typing import Generic, TypeVar

from attrs import define, field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import IncompleteListing

T = TypeVar("T")

MOST_PAGES = 50_000
"""Largest number of pages of a window, so that a nonsensical total cannot fill the memory with steps."""


@frozen
class Step:
    """One page of a numbered listing: number `page` (from 1) of the records in `window`."""

    window: Window
    page: int = 1


@frozen(kw_only=True)
class PageInfo(Generic[T]):
    """What one response of a numbered listing says.

    Attributes:
        records: the records of the page.
        total: number of records in the window, as the server counts them; None if it does not say.
        page_size: the server's page size, which may be smaller than the requested one; None if it does not say.
        has_more: whether the server has more records than it lists; None if the response has no such field.
        unreadable: identifies each record of the page that could not be read. The server counts them too.
    """

    records: Sequence[T]
    total: int | None
    page_size: int | None
    has_more: bool | None
    unreadable: Sequence[Hashable] = ()

    @property
    def listed(self) -> int:
        """Number of records on the page."""
        return len(self.records) + len(self.unreadable)


class Finding(Enum):
    """What a paginator learned about a window."""

    NARROWED = auto()
    """The server has records after its last page, so the window is split."""
    SHORT = auto()
    """The server twice counted more records than it listed."""


@define
class _Progress:
    """The state of one window."""

    first_page: int
    last_page: int | None = None
    total: int | None = None
    received: set[int] = field(factory=set)
    keys: set[Hashable] = field(factory=set)
    unreadable: set[Hashable] = field(factory=set)
    has_more: bool = False
    read_before: bool = False

    def is_complete(self) -> bool:
        return self.last_page is not None and len(self.received) == self.last_page - self.first_page + 1


class NumberedPaginator(Generic[T]):
    """Decides which pages of which windows are requested, so that no record stays hidden.

    Args:
        steps: the first steps: page 1 of each window, or the steps of a resume token.
        key: identifies a record; two pages may have the same record.
        notice: called with a finding, its window, and the numbers of listed and of counted records.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        key: Callable[[T], Hashable],
        notice: Callable[[Finding, Window, int, int], None] = lambda *_: None,
    ) -> None:
        self.steps = list(steps)
        self._key = key
        self._notice = notice
        self._progress: dict[Window, _Progress] = {}

    def next_steps(
        self, step: Step, page: PageInfo[T], *, sent: Window | None = None
    ) -> tuple[Step, list[Step]]:
        """Return the steps that a response adds, and the step that they follow.

        If the window was cut when its first page was requested, all of its other pages are those of the cut window.

        Args:
            step: the step of the response.
            page: what the response says.
            sent: the window that was really sent; None: that of the step.

        Raises:
            IncompleteListing: one second has more records than the server lists, or a window has too many pages.
        """
        if step.window not in self._progress and sent is not None:
            after, added = self._next_steps(Step(sent, step.page), page)
            return (step if after == Step(sent, step.page) else after), added
        return self._next_steps(step, page)

    def _next_steps(self, step: Step, page: PageInfo[T]) -> tuple[Step, list[Step]]:
        progress = self._progress.setdefault(step.window, _Progress(first_page=step.page))
        progress.received.add(step.page)
        # A server that ignores the number of the page sends the same page for ever.
        has_new = not progress.unreadable.issuperset(page.unreadable)
        progress.unreadable.update(page.unreadable)
        has_new |= not progress.keys.issuperset(keys := set(map(self._key, page.records)))
        progress.keys |= keys
        # The same place on another page is another record.
        progress.keys.update((step.page, each) for each in page.unreadable)
        # A total below the number of records on this page is wrong.
        total = None if page.total is None or page.total < page.listed else page.total
        if progress.total is not None:  # the pages are known
            added = []
            progress.total = max(progress.total, total or 0)
        elif total is not None:
            progress.total = total
            added = self._remaining_pages(total, step, page, progress)
        else:
            added = self._following_page(step, page, progress, has_new=has_new)
        if progress.last_page in (None, step.page):
            progress.has_more = bool(page.has_more)
        if added or not progress.is_complete():
            return step, added
        return Step(step.window, progress.last_page or step.page), self._check_window(step.window, progress)

    def _following_page(
        self, step: Step, page: PageInfo[T], progress: _Progress, *, has_new: bool
    ) -> list[Step]:
        """Without a total, request one page after the other as long as they have new records."""
        more = page.has_more
        if more is None:
            more = page.page_size is None or page.listed >= page.page_size
        progress.last_page = step.page + 1 if more and has_new else step.page
        return [Step(step.window, step.page + 1)] if more and has_new else []

    def _remaining_pages(self, total: int, step: Step, page: PageInfo[T], progress: _Progress) -> list[Step]:
        size = page.page_size or page.listed or 1
        progress.last_page = max(-(-total // size), step.page)
        if progress.last_page > MOST_PAGES:
            raise IncompleteListing(
                f"the server counts {total} records, more than {MOST_PAGES} pages hold; request a shorter time range"
            )
        return [Step(step.window, number) for number in range(step.page + 1, progress.last_page + 1)]

    def _check_window(self, window: Window, progress: _Progress) -> list[Step]:
        """Return the steps that are still needed after a window's last response."""
        listed, counted = len(progress.keys), progress.total or 0
        if progress.has_more:
            if window.length == 0:
                raise IncompleteListing(
                    f"the one second {window.start} has more than {listed} records, and the server lists no more"
                )
            self._notice(Finding.NARROWED, window, listed, counted)
            return [Step(half) for half in window.halves()]
        if progress.first_page == 1 and listed < counted:
            # Records moved to other pages during the listing, and one was missed: read the window once more.
            if not progress.read_before:
                self._progress[window] = _Progress(first_page=1, read_before=True)
                return [Step(window)]
            self._notice(Finding.SHORT, window, listed, counted)
        return []


Position = list[tuple[int, int, int]]
"""The remaining steps of a numbered listing in a resume token: start and end of a window, and the next page in it."""


def position_of(steps: Iterable[Step]) -> Position:
    """Return where a listing continues, given its remaining steps."""
    left: dict[Window, int] = {}
    for step in steps:
        left.setdefault(step.window, step.page)
    return [(window.start, window.end, page) for window, page in left.items()]


def steps_at(position: Position | None) -> list[Step]:
    """Return the steps at a position; none for None."""
    return [Step(Window.as_given(start, end), page) for start, end, page in position or ()]
