"""How a listing is walked: which requests it takes, learnt from the answers. Pure.

A walk is a sequence of steps, the pages that users see in order. An answer may add steps behind its own:
the other pages of its window, or, where the server hides records, the halves of the window.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import IncompleteListing, InvalidRequest

T = TypeVar("T")

MOST_PAGES = 50_000
"""Pages of one window: a count that is out of its mind must not fill the memory with steps."""


@frozen
class Step:
    """One page of a numbered listing: the `page` (from 1) of what lies in the `window`."""

    window: Window
    page: int = 1


@frozen(kw_only=True)
class PageInfo(Generic[T]):
    """What one answer of a numbered listing says.

    `total` and `page_size` are as the server gives them, which may be less than was asked for;
    None where it does not say. `has_more` is None where the answer has no such field.
    """

    records: Sequence[T]
    total: int | None
    page_size: int | None
    has_more: bool | None


class Finding(Enum):
    """What a walk found out about a window."""

    NARROWED = auto()
    """The server hides records behind its last page."""
    SHORT = auto()
    """The server counts more than it lists, twice in a row."""


@define
class _Progress:
    """What has come of one window."""

    first_page: int
    last_page: int | None = None
    total: int | None = None
    answered: set[int] = field(factory=set)
    keys: set[Hashable] = field(factory=set)
    has_more: bool = False
    walked_before: bool = False

    def whole(self) -> bool:
        return self.last_page is not None and len(self.answered) == self.last_page - self.first_page + 1


class NumberedPaginator(Generic[T]):
    """Walks pages with numbers, in windows, and makes sure that nothing stays hidden.

    Args:
        steps: where to begin: the first page of each window, or what a resume token holds.
        key: what makes a record the same record on two pages.
        notice: called with what was found out about a window, and its listed and counted records.
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
        self._delivered: set[Hashable] = set()

    def answered(self, step: Step, listed: PageInfo[T]) -> tuple[Step, list[Step]]:
        """Take an answer in; return the steps that it adds and the step that they come behind.

        Raises:
            IncompleteListing: if records are hidden within one second, or are more than can be walked.
        """
        progress = self._progress.setdefault(step.window, _Progress(first_page=step.page))
        progress.answered.add(step.page)
        known = len(progress.keys)
        progress.keys.update(map(self._key, listed.records))
        # Fewer than the answer itself holds is no count.
        total = None if listed.total is None or listed.total < len(listed.records) else listed.total
        if progress.total is not None:  # the pages are counted off
            added = []
            progress.total = max(progress.total, total or 0)
        elif total is not None:
            progress.total = total
            added = self._pages_to(total, step, listed, progress)
        else:
            added = self._page_behind(step, listed, progress, brought=len(progress.keys) > known)
        if progress.last_page in (None, step.page):
            progress.has_more = bool(listed.has_more)
        if added or not progress.whole():
            return step, added
        return Step(step.window, progress.last_page or step.page), self._check(step.window, progress)

    def fresh(self, records: Sequence[T]) -> list[T]:
        """Return those records that no page delivered before; to be called in the order of the pages."""
        new = []
        for record in records:
            if (key := self._key(record)) not in self._delivered:
                self._delivered.add(key)
                new.append(record)
        return new

    def _page_behind(
        self, step: Step, listed: PageInfo[T], progress: _Progress, *, brought: bool
    ) -> list[Step]:
        """No count: one page after the other, as long as they bring something."""
        more = listed.has_more
        if more is None:
            more = listed.page_size is None or len(listed.records) >= listed.page_size
        progress.last_page = step.page + 1 if more and brought else step.page
        return [Step(step.window, step.page + 1)] if more and brought else []

    def _pages_to(self, total: int, step: Step, listed: PageInfo[T], progress: _Progress) -> list[Step]:
        size = listed.page_size or len(listed.records) or 1
        progress.last_page = max(-(-total // size), step.page)
        if progress.last_page > MOST_PAGES:
            raise IncompleteListing(
                f"the server counts {total} records, more than {MOST_PAGES} pages hold; ask for a shorter time range"
            )
        return [Step(step.window, page) for page in range(step.page + 1, progress.last_page + 1)]

    def _check(self, window: Window, progress: _Progress) -> list[Step]:
        """A window's last answer is in: is it whole?"""
        listed, counted = len(progress.keys), progress.total or 0
        if progress.has_more:
            if window.length == 0:
                raise IncompleteListing(
                    f"more than {listed} records lie in the one second {window.start}, and the server lists no more"
                )
            self._notice(Finding.NARROWED, window, listed, counted)
            return [Step(half) for half in window.halves()]
        if progress.first_page == 1 and listed < counted:
            # Pages shifted while they were read, and a record fell between two of them: read them once more.
            if not progress.walked_before:
                self._progress[window] = _Progress(first_page=1, walked_before=True)
                return [Step(window)]
            self._notice(Finding.SHORT, window, listed, counted)
        return []


def write_token(steps: Iterable[Step]) -> str:
    """Return the steps still to come as an opaque text; "" if there are none."""
    left: dict[Window, int] = {}
    for step in steps:
        left.setdefault(step.window, step.page)
    if not left:
        return ""
    return _encode([[window.start, window.end, page] for window, page in left.items()])


def read_token(token: str) -> list[Step]:
    """Return the steps that `write_token` wrote.

    Raises:
        InvalidRequest: if the text is not a resume token of such a listing.
    """
    if not token:
        return []
    try:
        return [Step(Window(int(start), int(end)), max(int(page), 1)) for start, end, page in _decode(token)]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidRequest(
            "this is not a resume token of a listing; pass a page's resume_token as it is"
        ) from error


def _encode(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(token: str) -> Any:
    return json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
