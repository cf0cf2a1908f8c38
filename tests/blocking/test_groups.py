"""The groups of methods from blocking code: statistics, Data Insights, Real-time, and following it."""

import pytest

from agora_analytics import InvalidRequest
from agora_analytics.agora.follow import LiveWindow
from tests.blocking.conftest import MIDNIGHT


def test_statistics_of_a_call(client):
    call = client.calls(MIDNIGHT - 3 * 3600, MIDNIGHT).collect()[0]
    assert client.statistics(call, "audio_freeze_rate", "net")
    assert client.statistics_over_time(call, "user_count")
    assert client.freeze_distribution(call, "audio_freeze_rate") is not None


def test_data_insights(client):
    rows = client.insights.usage("channelCount", MIDNIGHT - 86_400, MIDNIGHT - 6 * 3600, granularity="1h")
    assert {row.metric for row in rows} == {"channelCount"}
    (cost,) = client.insights.estimate("channelCount", MIDNIGHT - 86_400, MIDNIGHT - 6 * 3600)
    assert cost.requests == 1
    with pytest.raises(InvalidRequest, match="no metric"):
        client.insights.usage([], "2d")


def test_real_time_and_following_it(client):
    assert client.realtime.usage("userCount", "5m") is not None
    followed = client.realtime.follow("channelCount", since="3m")
    windows = []
    for window in followed:
        windows.append(window)
        if len(windows) == 3:
            break
    assert all(isinstance(window, LiveWindow) for window in windows)
    assert windows[2].ts - windows[0].ts == 40
    assert next(iter(followed)).ts == windows[2].end  # it continues after the last one
    assert followed.lost == 0


def test_the_hosts(client):
    (host,) = client.domains()
    assert host.current
