from agora_analytics.cli.live_progress import Progress, plain_line
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
