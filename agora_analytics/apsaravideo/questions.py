"""What is checked here before a request is spent, and the windows that a question takes.

Source: `reference/apsaravideo.md`, section 1.
"""

from collections.abc import Sequence

from attrs import frozen

from agora_analytics.apsaravideo.facts import INTERACTION_METRICS, Metric, Os, TerminalType
from agora_analytics.core.limits import Limits
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.request_loop import Query
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds


@frozen(kw_only=True)
class Filters:
    """Which part of an app's terminals a question is about. None: all of them."""

    app_id: str
    os: str | None = None
    terminal_type: str | None = None
    channel_id: str | None = None

    def check(self) -> None:
        """Check that each can be; names that no document has are sent as they are.

        Raises:
            InvalidRequest: one is empty, or a known name in another case.
        """
        _filled(self.app_id, "app_id")
        if self.os is not None:
            _known(self.os, "os", Os)
        if self.terminal_type is not None:
            _known(self.terminal_type, "terminal_type", TerminalType)
        if self.channel_id is not None:
            _filled(self.channel_id, "channel_id")

    @property
    def query(self) -> Query:
        """The parameters, as the API spells them."""
        named = {
            "AppId": self.app_id,
            "Os": self.os,
            "TerminalType": self.terminal_type,
            "ChannelId": self.channel_id,
        }
        return tuple((name, str(value)) for name, value in named.items() if value is not None)


@frozen(kw_only=True)
class Step:
    """One request of a listing: a metric in a window."""

    metric: str
    window: Window


def check_metrics(metrics: Sequence[str]) -> None:
    """Check the names of metrics; those that no document has are sent as they are.

    Raises:
        InvalidRequest: none is named, one is named twice, is empty, or is a known name in another case.
    """
    if not metrics:
        raise InvalidRequest("no metric is named, so there is nothing to ask for")
    if len(set(metrics)) < len(metrics):
        raise InvalidRequest(f"a metric is named twice: {', '.join(metrics)}")
    for metric in metrics:
        _known(metric, "metric", Metric)


def asked_range(begin: Instant, end: Instant, *, now: float) -> Window:
    """Return the seconds of `begin <= t < end`.

    Raises:
        InvalidRequest: milliseconds, a naive datetime, `begin` not before `end`.
    """
    first = epoch_seconds(begin, now=now, name="begin")
    behind = epoch_seconds(end, now=now, name="end")
    if behind <= first:
        raise InvalidRequest(f"begin={first:.0f} is not before end={behind:.0f}; give the earlier time first")
    return Window.half_open(first, behind)


def as_given(begin: Instant, end: Instant, *, now: float) -> Window:
    """Return both ends unchecked: numbers as they are."""
    first, last = (
        int(moment if isinstance(moment, int | float) else epoch_seconds(moment, now=now))
        for moment in (begin, end)
    )
    return Window.as_given(first, last)


def in_reach(asked: Window, limits: Limits | None, *, now: float) -> Window:
    """Return what of a range can be asked for at this moment; all of it where there are no limits.

    Raises:
        WindowOutOfReach: nothing can.
    """
    return asked if limits is None else clip(asked, limits, now, endpoint=INTERACTION_METRICS)


def in_milliseconds(window: Window) -> Query:
    """Return the two ends as the API takes them.

    Whether they belong to the window is not documented. To its last millisecond, no second is lost between two
    windows, whichever is true, and each is shorter than 24 hours.
    """
    return (("BeginTs", str(window.start * 1000)), ("EndTs", str(window.end * 1000 + 999)))


def _filled(text: str, name: str) -> None:
    if not text.strip():
        raise InvalidRequest(f"{name}={text!r} is empty; leave it out, or give a name")


def _known(text: str, name: str, names: type[Metric] | type[Os] | type[TerminalType]) -> None:
    _filled(text, name)
    for known in names:
        if text.lower() == known.lower() and text != known:
            raise InvalidRequest(f"{name}={text!r} is spelled {str(known)!r}")
