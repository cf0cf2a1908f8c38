"""The report of one call: its facts, its users, and charts of one line for each of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from agora_analytics.cli.metric_titles import title_of
from agora_analytics.cli.output.columns import NO_VALUE, as_clock, one_line_text, percent_text
from agora_analytics.cli.sparkline import sparkline
from agora_analytics.core.hidden_characters import visible
from agora_analytics.insight.call_charts import CallCharts, Measure, UserCharts, Values
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
    """Write the report of a call with the charts of these users; `omitted` sessions have no metrics."""
    for line in _facts(charts):
        _write(console, line)
    everybody = charts.worst_first()
    if not users:
        return
    _show_axis(console, charts, users, of=len(everybody))
    tops = _tops(users)
    for user in users:
        console.print()
        _show_user(console, user, tops)
    console.print()
    _write(console, _legend(tops), "faint")
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
    yield Text.assemble((_shown(call.cname), "bold"), (f"  call {_shown(call.call_id)}", "dim"))
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
    yield Text(", ".join(parts))
    rates = (
        ("video_freeze_rate", call.call_video_freeze_rate),
        ("audio_freeze_rate", call.call_audio_freeze_rate),
    )
    if frozen := ", ".join(f"{title_of(name)} {_share(rate)}" for name, rate in rates if rate is not None):
        yield Text(frozen)
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
    return _shown(", ".join([*named, *([f"others {rest:,}"] if rest else [])]))


def _shown(text: str) -> str:
    """Return a text of the vendor on one line. Rich removes some control characters, so they are escaped before."""
    return visible(one_line_text(text))


def _charts_of(user: UserCharts) -> dict[str, tuple[Values, str]]:
    """Return the values and the numbers of each chart of a user by its label."""
    up, down, freeze = map(user.mean, (Measure.LOSS_UP, Measure.LOSS_DOWN, Measure.FREEZE))
    return {
        "loss": (user.loss, f"{_share(up)} up, {_share(down)} down"),
        "freeze": (user.values(Measure.FREEZE), _share(freeze) + ("" if freeze is None else " of the time")),
        "sent": (user.values(Measure.SENT), _kbps(user.mean(Measure.SENT))),
        "received": (user.values(Measure.RECEIVED), _kbps(user.mean(Measure.RECEIVED))),
    }


def _tops(users: Iterable[UserCharts]) -> dict[str, float]:
    """Return the value of a full block by chart, the same for all users, so that they can be compared."""
    tops = {"loss": 0.1, "freeze": 0.1, "sent": 0.0, "received": 0.0}
    for user in users:
        for label, (values, _) in _charts_of(user).items():
            tops[label] = float(np.fmax.reduce(values, initial=tops[label]))
    return tops


def _legend(tops: Mapping[str, float]) -> str:
    shares = ", ".join(f"{_share(tops[label])} {label}" for label in ("loss", "freeze"))
    rates = ", ".join(f"{_kbps(tops[label])} {label}" for label in ("sent", "received") if tops[label])
    blocks = f"{shares}, {rates}" if rates else shares
    return f"A full block: {blocks}.\nA dot: no samples. A blank: the user was not in the call."


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
    ends = f"{start}{end:>{width - len(start)}}" if width >= len(start) + len(end) else start
    axis = Text(" " * (_INDENT + _LABEL) + ends, style="dim")
    if report_width(console) >= _TWO_CHARTS_FROM:
        axis.append(" " * (2 + _NUMBERS + _LABEL) + ends)
    console.print(axis, no_wrap=True, crop=False, soft_wrap=True)


def _show_user(console: Console, user: UserCharts, tops: Mapping[str, float]) -> None:
    console.print(_who(user, report_width(console)), no_wrap=True, crop=False, soft_wrap=True)
    plain = not (console.encoding or "").lower().startswith("utf")
    lines = []
    for label, (values, numbers) in _charts_of(user).items():
        limits = {"warn": 0.03, "bad": 0.1} if label in ("loss", "freeze") else {}
        line = sparkline(values.tolist(), user.present, top=tops[label], plain=plain, **limits)
        lines.append(Text.assemble((f"{label:<{_LABEL}}", "dim"), line, f"  {numbers:<{_NUMBERS}}"))
    across = 2 if report_width(console) >= _TWO_CHARTS_FROM else 1
    for place in range(0, len(lines), across):
        row = Text(" " * _INDENT).append_text(Text("").join(lines[place : place + across]))
        row.rstrip()
        console.print(row, no_wrap=True, crop=False, soft_wrap=True)


def _who(user: UserCharts, width: int) -> Text:
    def distinct(of: Callable[["Session"], str | None]) -> str:
        return "/".join(dict.fromkeys(filter(None, map(of, user.sessions))))

    last = user.sessions[-1]
    account = f" ({_shown(last.account)})" if last.account else ""
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
    who = Text.assemble((_shown(user.uid), "bold"), account, " ")
    used = who.cell_len
    for part in map(_shown, filter(None, parts)):
        if who.plain.endswith(",") and used + 2 + cell_len(part) > width:
            who.append("\n ")
            used = 1
        who.append(f" {part},")
        used += 2 + cell_len(part)
    who.right_crop(1)
    return who


def _share(value: float | None) -> str:
    return NO_VALUE if value is None else percent_text(value)


def _kbps(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:,.0f} kbit/s"


def _time(ts: int) -> str:
    return iso(ts).replace("T", " ")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
