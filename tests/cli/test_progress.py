import asyncio
import io

import attrs
import pytest
from rich.console import Console

from agora_analytics.cli import live_progress, terminal
from agora_analytics.cli.live_progress import Progress, _poll_quota, _view, plain_line
from agora_analytics.engine.engine import Quota
from agora_analytics.engine.events import AttemptFailed, ResponseReceived, Waited
from agora_analytics.harvest import CallSkipped, CallsListed, CallStored, PointsStored

QUOTA = Quota(
    endpoint="call/metrics", per_day=10_000, requests=10, period=1.0, spent=42, closed=False, opens_at=0.0
)


def answered():
    return ResponseReceived(
        endpoint="call/metrics", host="h", status=200, size=1, elapsed=0.1, verdict="done"
    )


def test_plain_progress_line_has_counts_and_the_current_wait():
    progress = Progress(quotas={"call/metrics": QUOTA})
    for event in (
        answered(),
        AttemptFailed(endpoint="call/metrics", host="h", kind="read_timeout", elapsed=30),
        Waited(endpoint="call/metrics", rule="back-off: no answer", seconds=3),
    ):
        progress.sent(event)
    for event in (
        CallsListed(calls=1_200, more=True),
        PointsStored(call_id="a", points=5_000),
        CallStored(call_id="a", sessions=7, finished=True),
    ):
        progress.stored(event)
    assert plain_line(progress, 65) == (
        "0:01:05 calls 1 of 1,200+; points 5,000; requests 2 (call/metrics: 9,958 left today); "
        "call/metrics waits 3 s: back-o..."
    )


def test_remaining_time_is_computed_from_the_rate_limit():
    progress = Progress(quotas={"call/metrics": QUOTA})
    progress.stored(CallsListed(calls=100, more=False))
    for number in range(10):
        assert number < 8 or progress.seconds_left is not None
        for _ in range(3):
            progress.stored(PointsStored(call_id=f"{number}", points=1))
        progress.stored(CallStored(call_id=f"{number}", sessions=1, finished=True))
    assert progress.seconds_left == 90 * 3 / 10
    progress.stored(PointsStored(call_id="half", points=1))
    assert progress.seconds_left == (90 * 3 - 1) / 10
    progress.stored(CallSkipped(call_id="half", reason="no answer"))
    assert progress.seconds_left == 89 * 3 / 10


def test_plain_line_is_shorter_than_120_characters_and_names_the_scarcest_quota():
    scarce = attrs.evolve(QUOTA, endpoint="call/lists", spent=9_000)
    small = attrs.evolve(QUOTA, endpoint="insight/usage/by_time", per_day=60, spent=10)
    unused = attrs.evolve(QUOTA, endpoint="call/statistics", spent=10_000)
    undaily = attrs.evolve(QUOTA, endpoint="opentok/session_data", per_day=864_000, spent=0)
    quotas = {quota.endpoint: quota for quota in (QUOTA, scarce, small, unused, undaily)}
    progress = Progress(quotas=quotas, units="meetings and days")
    for endpoint in ("call/metrics", "call/lists", "insight/usage/by_time", "opentok/session_data"):
        progress.sent(attrs.evolve(answered(), endpoint=endpoint))
    progress.stored(CallsListed(calls=1_000_000, more=True))
    line = plain_line(progress, 86_399)
    assert line == (
        "23:59:59 meetings and days 0 of 1,000,000+; points 0; requests 4 (call/lists: 1,000 left today)"
    )
    progress.sent(Waited(endpoint="call/metrics", rule="a rule " * 30, seconds=3))
    line = plain_line(progress, 86_399)
    assert len(line) < 120
    assert line.endswith("...")


def test_vendor_without_a_daily_quota_has_nothing_left_today():
    progress = Progress(quotas={"call/metrics": attrs.evolve(QUOTA, per_day=864_000, spent=0)})
    progress.sent(answered())
    assert plain_line(progress, 1).endswith("requests 1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True, theme=terminal._THEME)
    console.print(_view(progress))
    assert not {"today", "sessions"} & set(console.file.getvalue().split())
    assert "call/metrics" in console.file.getvalue()


async def test_lines_of_a_nightly_harvest_are_few(monkeypatch):
    """Twenty minutes: the first line after five seconds, later one a minute."""
    now, printed = [0.0], []

    async def sleep(seconds):
        now[0] += seconds
        if now[0] > 1_200:
            raise asyncio.CancelledError

    monkeypatch.setattr(live_progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live_progress.asyncio, "sleep", sleep)
    monkeypatch.setattr(live_progress, "one_line", lambda _console, line: printed.append((now[0], line)))

    class Client:
        async def quota(self):
            return [QUOTA]

    with pytest.raises(asyncio.CancelledError):
        await _poll_quota(Client(), Progress(begun=0.0), Console(file=io.StringIO()))
    assert [seconds for seconds, _ in printed][:5] == [5, 15, 35, 75, 135]
    assert len(printed) < 25
    assert sum(len(line) + 1 for _, line in printed) < 3_000
