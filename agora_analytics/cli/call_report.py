"""The report of one call: its facts, its users, and charts of one line for each of them."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from agora_analytics.cli.call_charts import CallCharts, Measure, UserCharts
from agora_analytics.cli.output.columns import NO_VALUE, as_clock
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.agora.records import Session

_LABEL, _NUMBERS, _INDENT = 9, 24, 2
_TWO_CHARTS_FROM = 120  # columns of the terminal from which a line has two charts
_WIDTH_WITHOUT_TERMINAL = 100
_KINDS_NAMED = 6  # networks, platforms and versions that are named


def report_width(console: Console) -> int:
    """Return the width of the report in characters."""
    return console.width if console.is_terminal else _WIDTH_WITHOUT_TERMINAL


def chart_width(width: int) -> int:
    """Return the width of one chart for a report of `width` characters."""
    half = (width - _INDENT) // (2 if width >= _TWO_CHARTS_FROM else 1)
    return max(10, half - _LABEL - _NUMBERS - 2)


def show_call(console: Console, charts: CallCharts, users: Sequence[UserCharts], *, omitted: int = 0) -> None:
    """Write the report of a call.

    Args:
        console: where to write.
        charts: the call.
        users: the users to draw, in this order.
        omitted: the number of sessions whose metrics were not fetched.
    """
    for line in _facts(charts):
        _write(console, line)
    everybody = charts.worst_first()
    if not users:
        return
    _show_axis(console, charts, users, of=len(everybody))
    tops = _Tops(users)
    for user in users:
        console.print()
        _show_user(console, user, tops)
    console.print()
    _write(console, tops.legend(), "faint")
    if (more := len(everybody) - len(users)) > 0:
        _write(
            console, f"{_counted(more, 'more user')} with less trouble; --users all shows everybody", "faint"
        )
    if omitted:
        _write(console, f"The metrics of {omitted:,} sessions were not fetched; raise --ask for more", "warn")


def _write(console: Console, text: str | Text, style: str = "") -> None:
    console.print(text, style=style, markup=False)


def _facts(charts: CallCharts) -> Iterable[Text]:
    call, sessions = charts.call, charts.sessions
    yield Text.assemble((call.cname, "bold"), (f"  call {call.call_id}", "dim"))
    state = "" if call.finished else ", ongoing"
    lasted = as_clock(charts.axis.end - call.created_ts)
    yield Text(f"{_time(call.created_ts)} to {_time(charts.axis.end)} ({lasted}){state}")
    users = {session.uid for session in sessions}
    speakers = {session.uid for session in sessions if session.speaker}
    parts = [_counted(len(users), "user")]
    if len(sessions) > len(users):
        parts.append(_counted(len(sessions), "session"))
    parts.append(f"{len(speakers):,} spoke")
    if call.call_pcu is not None:
        parts.append(f"at most {call.call_pcu:,} at once")
    rates = (("video", call.call_video_freeze_rate), ("audio", call.call_audio_freeze_rate))
    if frozen := ", ".join(f"{what} {_share(rate)}" for what, rate in rates if rate is not None):
        parts.append(f"frozen: {frozen} of the time")
    yield Text(", ".join(parts))
    for title, kinds in (
        ("network", [session.network for session in sessions]),
        ("platform", [session.platform for session in sessions]),
        ("SDK", [session.sdk_version for session in sessions]),
    ):
        if len(users) > 1:
            yield Text.assemble((f"{title:<10}", "dim"), _kinds(kinds))


def _kinds(kinds: Iterable[str | None]) -> str:
    counted = Counter(kind or "unknown" for kind in kinds).most_common()
    named = [f"{kind} {count:,}" for kind, count in counted[:_KINDS_NAMED]]
    rest = sum(count for _, count in counted[_KINDS_NAMED:])
    return ", ".join([*named, *([f"others {rest:,}"] if rest else [])])


class _Tops:
    """The value of a full block in each kind of chart, the same for all users, so that they can be compared."""

    def __init__(self, users: Sequence[UserCharts]) -> None:
        self.loss = max(0.1, *(_highest(user.loss) for user in users))
        self.freeze = max(0.1, *(_highest(user.values(Measure.FREEZE)) for user in users))
        self.sent = max(_highest(user.values(Measure.SENT)) for user in users)
        self.received = max(_highest(user.values(Measure.RECEIVED)) for user in users)

    def legend(self) -> str:
        """Return the legend of the charts."""
        tops = [f"{_share(self.loss)} loss", f"{_share(self.freeze)} freeze"]
        for what, top in (("sent", self.sent), ("received", self.received)):
            if top:
                tops.append(f"{_kbps(top)} {what}")
        return f"A full block: {', '.join(tops)}.\nA dot: no samples. A blank: the user was not in the call."


def _highest(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else 0.0


def _show_axis(console: Console, charts: CallCharts, users: Sequence[UserCharts], *, of: int) -> None:
    console.print()
    if of > 1:
        which = (
            f"The {len(users):,} of {of:,} users with"
            if len(users) < of
            else f"All {of:,} users, first those with"
        )
        _write(console, f"{which} the most trouble (freeze, then loss)", "bold")
    width = charts.axis.bins
    start, end = iso(charts.axis.start)[11:], iso(charts.axis.end)[11:]
    axis = Text(" " * (_INDENT + _LABEL), style="dim")
    axis.append(f"{start}{end:>{width - len(start)}}" if width >= len(start) + len(end) else start)
    if report_width(console) >= _TWO_CHARTS_FROM:
        axis.append(" " * (2 + _NUMBERS + _LABEL) + f"{start}{end:>{width - len(start)}}")
    console.print(axis, no_wrap=True, crop=False, soft_wrap=True)


def _show_user(console: Console, user: UserCharts, tops: _Tops) -> None:
    console.print(_who(user), no_wrap=True, overflow="ellipsis")
    plain = not (console.encoding or "").lower().startswith("utf")
    present = user.present

    def chart(label: str, values: Sequence[float], numbers: str, **style: float) -> Text:
        line = sparkline(values, present, plain=plain, **style)  # type: ignore[arg-type]
        return Text.assemble((f"{label:<{_LABEL}}", "dim"), line, f"  {numbers:<{_NUMBERS}}")

    up, down = user.mean(Measure.LOSS_UP), user.mean(Measure.LOSS_DOWN)
    freeze = user.mean(Measure.FREEZE)
    lines = [
        chart(
            "loss",
            user.loss.tolist(),
            f"{_share(up)} up, {_share(down)} down",
            top=tops.loss,
            warn=0.03,
            bad=0.1,
        ),
        chart(
            "freeze",
            user.values(Measure.FREEZE).tolist(),
            _share(freeze) + ("" if freeze is None else " of the time"),
            top=tops.freeze,
            warn=0.03,
            bad=0.1,
        ),
        chart("sent", user.values(Measure.SENT).tolist(), _kbps(user.mean(Measure.SENT)), top=tops.sent),
        chart(
            "received",
            user.values(Measure.RECEIVED).tolist(),
            _kbps(user.mean(Measure.RECEIVED)),
            top=tops.received,
        ),
    ]
    across = 2 if report_width(console) >= _TWO_CHARTS_FROM else 1
    for place in range(0, len(lines), across):
        row = Text(" " * _INDENT).append_text(Text("").join(lines[place : place + across]))
        row.rstrip()
        console.print(row, no_wrap=True, crop=False, soft_wrap=True)


def _who(user: UserCharts) -> Text:
    def distinct(of: Callable[["Session"], str | None]) -> str:
        return "/".join(dict.fromkeys(filter(None, map(of, user.sessions))))

    last = user.sessions[-1]
    account = f" ({last.account})" if last.account else ""
    platform = distinct(lambda session: session.platform)
    device = distinct(lambda session: session.device_type)
    left = iso(last.leave_ts)[11:] if last.finished else "ongoing"
    again = f", {len(user.sessions)} sessions" if len(user.sessions) > 1 else ""
    sdk = distinct(lambda session: session.sdk_version)
    parts = (
        distinct(lambda session: session.network),
        "" if device.startswith(platform) else platform,
        device,
        f"{iso(user.sessions[0].join_ts)[11:]} to {left}{again}",
        ", ".join(last.roles) or ("speaks" if last.speaker else "listens"),
        sdk and f"SDK {sdk}",
    )
    return Text.assemble((user.uid, "bold"), account, f"  {', '.join(filter(None, parts))}")


def _share(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value * 100:.1f} %"


def _kbps(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:,.0f} Kbps"


def _time(ts: int) -> str:
    return iso(ts).replace("T", " ")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-:=+*#"
_UNKNOWN = "·"
_ABSENT = " "


def sparkline(
    values: Sequence[float],
    present: Sequence[bool],
    *,
    top: float,
    warn: float = math.inf,
    bad: float = math.inf,
    style: str = "cyan",
    plain: bool = False,
) -> Text:
    """Return a chart of one line; 0 is the lowest block and `top` the highest, so that charts can be compared.

    Args:
        values: one value for each character; NaN where nothing was measured.
        present: whether the user was in the call; otherwise a blank is drawn.
        top: the value of the highest block.
        warn: values from here on are yellow.
        bad: values from here on are red.
        style: the style of the other blocks.
        plain: use ASCII only, for terminals without Unicode.
    """
    blocks = _ASCII if plain else _BLOCKS
    line = Text(no_wrap=True)
    for value, is_present in zip(values, present, strict=True):
        if math.isnan(value):
            line.append((("." if plain else _UNKNOWN) if is_present else _ABSENT), "dim")
            continue
        height = round(min(max(value / top, 0), 1) * (len(blocks) - 1)) if top > 0 else 0
        line.append(blocks[height], "red" if value >= bad else "yellow" if value >= warn else style)
    return line
