"""The parameters of a listing, checked before a request is spent.

Source: `reference/apsaravideo.md`, section 1.
"""

from collections.abc import Sequence

from attrs import frozen

from agora_analytics.apsaravideo.spec import Metric, Os, TerminalType
from agora_analytics.errors import InvalidRequest
from agora_analytics.messages import Query


@frozen(kw_only=True)
class Filters:
    """Which terminals of an app a listing is about. None: all of them."""

    app_id: str
    os: str | None = None
    terminal_type: str | None = None
    channel_id: str | None = None

    def check(self) -> None:
        """Check each filter. A name that no document has is sent as it is.

        Raises:
            InvalidRequest: a filter is empty, or a known name in another case.
        """
        _check_filled(self.app_id, "app_id")
        if self.os is not None:
            _check_name(self.os, "os", Os)
        if self.terminal_type is not None:
            _check_name(self.terminal_type, "terminal_type", TerminalType)
        if self.channel_id is not None:
            _check_filled(self.channel_id, "channel_id")

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


def check_metrics(metrics: Sequence[str]) -> None:
    """Check the names of metrics. A name that no document has is sent as it is.

    Raises:
        InvalidRequest: there is no metric, one is given twice, is empty, or is a known name in another case.
    """
    if not metrics:
        raise InvalidRequest("no metric is given; pass at least one")
    if len(set(metrics)) < len(metrics):
        raise InvalidRequest(f"a metric is given twice: {', '.join(metrics)}")
    for metric in metrics:
        _check_name(metric, "metric", Metric)


def _check_filled(text: str, name: str) -> None:
    if not text.strip():
        raise InvalidRequest(f"{name}={text!r} is empty; leave it out, or pass a name")


def _check_name(text: str, name: str, names: type[Metric] | type[Os] | type[TerminalType]) -> None:
    _check_filled(text, name)
    for known in names:
        if text.lower() == known.lower() and text != known:
            raise InvalidRequest(f"{name}={text!r} is spelled {str(known)!r}")
