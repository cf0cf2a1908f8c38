"""The page of one call: who was in it, lanes of its users, charts over time, and a table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.insight.call_charts import CallCharts, Measure, UserCharts
from agora_analytics.insight.pages.call_page_charts import LINES, PALETTE, lanes, line
from agora_analytics.insight.pages.html_page import render
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.agora.records import Session
    from agora_analytics.insight.diagnosis.call_findings import CallFindings

BINS = 240
"""The intervals of the charts."""

_KINDS_NAMED = 6
_MOST_LANES = 40
_USERS_NAMED = 6


def call_page(
    charts: CallCharts,
    *,
    lines: int = len(PALETTE),
    omitted: int = 0,
    findings: "CallFindings | None" = None,
) -> str:
    """Return the page of a call as one HTML file.

    Args:
        charts: the call, its sessions and the sums of their samples.
        lines: the users with a line in the charts, those with the most freeze and loss first; at most 8.
        omitted: sessions whose metrics were not fetched.
        findings: what was wrong, for the first section; None: without it.

    Raises:
        ModuleNotFoundError: the extra `[insight]` is not installed.
    """
    users = charts.worst_first()
    labels = _labels(users)
    count = min(lines, len(PALETTE))
    drawn = {"lanes": lanes(charts, users[:_MOST_LANES], labels[:_MOST_LANES])} if users else {}
    figures = []
    for name, title, unit, number in LINES:
        chart = line(name, unit, number, charts, users[:count], labels[:count])
        if chart is not None:
            drawn[name] = chart
            figures.append((name, title, unit))
    return render(
        "call.html",
        drawn,
        call=charts.call,
        begin=_time(charts.call.created_ts),
        end=_time(charts.axis.end),
        lasted=_clock(charts.axis.end - charts.call.created_ts),
        facts=list(_facts(charts, users)),
        figures=figures,
        legend=list(zip(labels[:count], PALETTE, strict=False)),
        lanes=min(_MOST_LANES, len(users)),
        users=[_row(user, label) for user, label in zip(users, labels, strict=True)],
        omitted=omitted,
        verdicts=None
        if findings is None
        else list(_verdicts(findings, dict(zip((user.uid for user in users), labels, strict=True)))),
    )


def _verdicts(findings: "CallFindings", labels: Mapping[str, str]) -> Iterator[str]:
    """Yield what was wrong, in words."""
    for each in findings.found:
        when = f"{_time(int(each.since))[11:]} to {_time(int(each.until))[11:]}"
        yield f"{each.text}: {when}. {_named(each.uids, labels)} noticed it."
    if findings.healthy:
        yield f"Nothing that a person would notice: {_named(findings.healthy, labels)}."
    if findings.unknown:
        yield f"Not enough data: {_named(findings.unknown, labels)}."


def _named(uids: Sequence[str], labels: Mapping[str, str]) -> str:
    named = ", ".join(labels.get(uid, uid) for uid in uids[:_USERS_NAMED])
    rest = len(uids) - _USERS_NAMED
    return (
        f"{named} and {rest:,} more users" if rest > 1 else f"{named} and 1 more user" if rest == 1 else named
    )


def _labels(users: Sequence[UserCharts]) -> list[str]:
    """Return a label for each user: the id, and the name in the application if it has one."""
    return [
        f"{user.uid} ({user.sessions[-1].account})" if user.sessions[-1].account else user.uid
        for user in users
    ]


def _facts(charts: CallCharts, users: Sequence[UserCharts]) -> Iterator[tuple[str, str]]:
    sessions = charts.sessions
    speakers = {session.uid for session in sessions if session.speaker}
    yield "users", f"{len(users):,}, {len(speakers):,} spoke"
    if len(sessions) > len(users):
        yield "sessions", f"{len(sessions):,}"
    rates = (
        ("video frozen", charts.call.call_video_freeze_rate),
        ("audio frozen", charts.call.call_audio_freeze_rate),
    )
    yield from ((name, _percent(rate)) for name, rate in rates if rate is not None)
    yield "network", _kinds(session.network for session in sessions)
    yield "platform", _kinds(session.platform for session in sessions)
    yield "SDK", _kinds(session.sdk_version for session in sessions)


def _kinds(kinds: Iterable[str | None]) -> str:
    counted = Counter(kind or "unknown" for kind in kinds).most_common()
    named = [f"{kind} {count:,}" for kind, count in counted[:_KINDS_NAMED]]
    rest = sum(count for _, count in counted[_KINDS_NAMED:])
    return ", ".join([*named, *([f"others {rest:,}"] if rest else [])])


def _row(user: UserCharts, label: str) -> dict[str, Any]:
    last: Session = user.sessions[-1]
    freeze, up, down = (
        user.mean(measure) for measure in (Measure.FREEZE, Measure.LOSS_UP, Measure.LOSS_DOWN)
    )
    return {
        "label": label,
        "stay": f"{_time(user.sessions[0].join_ts)[11:]} to {_time(last.leave_ts)[11:] if last.finished else 'ongoing'}",
        "sessions": len(user.sessions),
        "network": last.network,
        "platform": last.platform,
        "device": last.device_type,
        "sdk": last.sdk_version,
        "freeze": (_percent(freeze), _is_poor(freeze, 0.03)),
        "loss_up": (_percent(up), _is_poor(up, 0.05)),
        "loss_down": (_percent(down), _is_poor(down, 0.05)),
        "delay": (_number(user.mean(Measure.DELAY), "ms"), _is_poor(user.mean(Measure.DELAY), 400)),
        "sent": _number(user.mean(Measure.SENT), "kbit/s"),
        "received": _number(user.mean(Measure.RECEIVED), "kbit/s"),
    }


def _is_poor(value: float | None, above: float) -> bool:
    return value is not None and value > above


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}"


def _time(ts: int) -> str:
    return iso(ts).replace("T", " ").removesuffix("Z")


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
