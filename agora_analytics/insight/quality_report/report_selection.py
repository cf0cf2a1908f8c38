"""Which rows of a store a report reads: the hours, the channels, the vendor and the app."""

import math
from collections.abc import Sequence

from attrs import evolve, frozen

from agora_analytics.core.windows import Window
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import DAY, Instant, epoch_seconds, iso, utc_day
from agora_analytics.store.quality import MAPPINGS
from agora_analytics.store.sql_guard import quoted

HOUR = 3600
_MICROSECOND = 1_000_000


@frozen(kw_only=True)
class ReportSelection:
    """The rows of a report.

    Attributes:
        start: the beginning of the first hour, UTC epoch seconds.
        end: the end of the last hour.
        channels: only these channels; empty: all.
        vendor: only this vendor; None: all.
        app_id: only this app; None: all.
    """

    start: int
    end: int
    channels: tuple[str, ...] = ()
    vendor: str | None = None
    app_id: str | None = None

    @classmethod
    def of(
        cls,
        since: Instant,
        until: Instant,
        *,
        now: float,
        channels: Sequence[str] = (),
        vendor: str | None = None,
        app_id: str | None = None,
    ) -> "ReportSelection":
        """Return the selection of whole hours that contain a time range.

        Raises:
            InvalidRequest: the range is empty or not a range of times, or an argument is wrong.

        Example:
            >>> chosen = ReportSelection.of("2026-11-20T08:20Z", "2026-11-20T09:20Z", now=1_795_200_000)
            >>> chosen.text
            '2026-11-20 08:00 to 2026-11-20 10:00 UTC'
        """
        if isinstance(channels, str):
            raise InvalidRequest(f"channels={channels!r} is a text; give a list of channels")
        if vendor not in (None, *MAPPINGS):
            raise InvalidRequest(f"there is no vendor {vendor!r}; use one of {', '.join(MAPPINGS)}")
        first = epoch_seconds(since, now=now, name="since")
        last = epoch_seconds(until, now=now, name="until")
        window = Window.half_open(first, last)
        return cls(
            start=math.floor(window.start / HOUR) * HOUR,
            end=math.ceil((window.end + 1) / HOUR) * HOUR,
            channels=tuple(dict.fromkeys(channels)),
            vendor=vendor,
            app_id=app_id,
        )

    @property
    def before(self) -> "ReportSelection":
        """The hours directly before, as many."""
        return evolve(self, start=2 * self.start - self.end, end=self.start)

    @property
    def text(self) -> str:
        """The time range in words."""
        start, end = (iso(each)[:16].replace("T", " ") for each in (self.start, self.end))
        return f"{start} to {end} UTC"

    @property
    def days(self) -> list[str]:
        """The UTC days of the hours."""
        return [utc_day(each) for each in range(self.start // DAY * DAY, self.end, DAY)]

    def hours_where(self, first_day: str) -> str:
        """Return the condition for rows of a view with `hour`, `day` and `channel`.

        Args:
            first_day: the earliest day on which a call began that was active in these hours.
        """
        return " AND ".join(
            (
                f"day BETWEEN DATE '{first_day}' AND DATE '{utc_day(self.end - 1)}'",
                f"hour >= {_timestamp(self.start)}",
                f"hour < {_timestamp(self.end)}",
                *self._of_rows("channel"),
                *([f"vendor = {quoted(self.vendor)}"] if self.vendor else []),
            )
        )

    @property
    def calls_where(self) -> str:
        """The condition for rows of `calls`: those that were active in these hours."""
        if self.vendor not in (None, "agora"):
            return "false"
        return " AND ".join(
            (
                f"day <= DATE '{utc_day(self.end - 1)}'",
                f"created_ts < {_timestamp(self.end)}",
                f"destroyed_ts >= {_timestamp(self.start)}",
                *self._of_rows("cname"),
            )
        )

    def _of_rows(self, channel: str) -> list[str]:
        named = ", ".join(map(quoted, self.channels))
        return [
            *([f"app_id = {quoted(self.app_id)}"] if self.app_id else []),
            *([f"{channel} IN ({named})"] if named else []),
        ]


def _timestamp(seconds: int) -> str:
    return f"make_timestamptz({seconds * _MICROSECOND})"
