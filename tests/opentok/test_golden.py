"""Exact queries, and the records of the responses that the documents show."""

from datetime import UTC, datetime

import pytest

from agora_analytics.errors import AccessDenied, InvalidRequest
from agora_analytics.opentok import SessionSummary, StreamSample
from agora_analytics.opentok.records import MeetingSummary
from tests.conftest import response
from tests.opentok.harness import NOW, make_harness, scripted

SUMMARIES = b"""{"data": {"project": {"sessionData": {"sessionSummaries": {
  "pageInfo": {"hasNextPage": false, "endCursor": null}, "totalCount": 1, "resources": [
    {"sessionId": "1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4", "mediaMode": "routed", "meetings": {
      "pageInfo": {"hasNextPage": false, "endCursor": ""}, "totalCount": 2, "resources": [
        {"meetingId": "m1", "createdAt": "2026-11-18T12:24:05.407Z", "destroyedAt": "2026-11-18T12:52:33.000Z",
         "totalConnections": 3, "totalStreams": 2, "maxConcurrentStreams": 2, "totalSubscribers": null},
        {"meetingId": "m1", "createdAt": "2026-11-18T12:58:00.001Z", "destroyedAt": null, "totalConnections": 1.0}
      ]}}]}}}}}"""
SAMPLES = b"""{"data": {"project": {"sessionData": {"sessions": {"resources": [{"sessionId": "s", "meetings": {
  "resources": [{"meetingId": "m", "createdAt": "2026-11-18T12:24:05.407Z",
    "publishers": {"resources": [{"connectionId": "c1", "stream": {"streamId": "st"},
      "streamStatsCollection": {"resources": [
        {"createdAt": "2026-11-18T12:24:30.000Z", "audioBitrateKbps": 31, "videoBitrateKbps": 503.25,
         "audioPacketLoss": 0, "videoPacketLoss": 0.0125, "videoResolution": "640x480", "hasAudio": true}]}}]},
    "subscribers": {"resources": [{"subscriberId": "u", "connectionId": "c2", "stream": {"streamId": "st"},
      "streamStatsCollection": {"resources": [
        {"createdAt": "2026-11-18T12:24:31.000Z", "videoLatencyMs": 42, "subscribeToVideo": false}]}}]}}]}}]}}}}}"""
NOTHING = b"""{"data": {"project": {"sessionData": {"sessions": {"resources": []}, "sessionSummaries": {"resources": []}}}}}"""
ADD_ON = b"""{"errors": [{"message": "This query requires the Advanced Insights add-on", "locations": [{"line": 1,
  "column": 38}], "path": ["project", "sessionData"], "errorCode": 1014}], "data": {"project": {"sessionData": null}}}"""
FORBIDDEN = (
    b'{"error": {"errorCode": 1021, "message": "You are not authorized to view data from this project."}}'
)


def asked_and_got(body, job, status=200):
    harness = scripted(response(body, status))
    found = harness.run(job)
    return [request.body.decode() for request in harness.transport.requests], found


def test_summaries():
    (sent,), found = asked_and_got(
        SUMMARIES,
        lambda client: client.session_summaries("2026-11-18T00:00Z", "2026-11-19T00:00Z").collect(),
    )
    page = "pageInfo { hasNextPage endCursor } totalCount resources"
    assert sent == (
        '{"query":"{ project(projectId: 45000001) { sessionData { sessionSummaries('
        'start: \\"2026-11-18T00:00:00.000Z\\", end: \\"2026-11-19T00:00:00.000Z\\", first: 1000) '
        f"{{ {page} {{ sessionId mediaMode meetings(first: 10) {{ {page} {{ "
        "createdAt meetingId destroyedAt totalConnections totalStreams totalSubscribers maxConcurrentConnections "
        'maxConcurrentStreams maxConcurrentSubscribers } } } } } } }"}'
    )
    session_id = "1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4"
    assert found == [
        SessionSummary(
            session_id=session_id,
            media_mode="routed",
            meetings=(
                MeetingSummary(
                    session_id=session_id,
                    meeting_id="m1",
                    created_at=datetime(2026, 11, 18, 12, 24, 5, 407_000, UTC),
                    destroyed_at=datetime(2026, 11, 18, 12, 52, 33, tzinfo=UTC),
                    total_connections=3,
                    total_streams=2,
                    max_concurrent_streams=2,
                ),
                MeetingSummary(
                    session_id=session_id,
                    meeting_id="m1",
                    created_at=datetime(2026, 11, 18, 12, 58, 0, 1_000, UTC),
                    total_connections=1,
                ),
            ),
        )
    ]


def test_samples():
    _, found = asked_and_got(SAMPLES, lambda client: client.stream_stats("s").collect())
    known = {
        "session_id": "s",
        "meeting_id": "m",
        "meeting_created_at": datetime(2026, 11, 18, 12, 24, 5, 407_000, UTC),
        "stream_id": "st",
        "publisher_connection_id": "c1",
    }
    assert found == [
        StreamSample(
            **known,
            role="publisher",
            connection_id="c1",
            created_at=datetime(2026, 11, 18, 12, 24, 30, tzinfo=UTC),
            audio_bitrate_kbps=31.0,
            video_bitrate_kbps=503.25,
            audio_packet_loss=0.0,
            video_packet_loss=0.0125,
            video_resolution="640x480",
            has_audio=True,
        ),
        StreamSample(
            **known,
            role="subscriber",
            connection_id="c2",
            subscriber_id="u",
            created_at=datetime(2026, 11, 18, 12, 24, 31, tzinfo=UTC),
            video_latency_ms=42.0,
            subscribe_to_video=False,
        ),
    ]


@pytest.mark.parametrize(("body", "status", "code"), [(ADD_ON, 200, 1014), (FORBIDDEN, 403, 1021)])
def test_refusals_in_both_forms(body, status, code):
    with pytest.raises(AccessDenied, match=str(code)) as caught:
        asked_and_got(body, lambda client: client.session_summaries("1d").collect(), status)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert (caught.value.endpoint, caught.value.host) == (
        "opentok/session_data",
        "https://insights.opentok.com",
    )


# ---- fields that the caller names

CHOICES = {
    "session_summaries": (("2d",), ("totalStreams",), "createdAt totalStreams"),
    "connections": (("s",), ("country", "city"), "connectionId country city"),
    "publishers": (("s",), ("stream.videoType",), "createdAt connectionId stream { streamId videoType }"),
    "subscribers": (("s",), (), "subscriberId createdAt connectionId stream { streamId }"),
    "stream_stats": (("s",), ("videoPacketLoss", "hasVideo"), "createdAt videoPacketLoss hasVideo"),
}


@pytest.mark.parametrize("method", CHOICES)
def test_fields_are_selected_by_the_caller(method):
    args, fields, asked = CHOICES[method]
    (sent,), _ = asked_and_got(
        NOTHING, lambda client: getattr(client, method)(*args, fields=fields).collect()
    )
    assert f"resources {{ {asked} }}" in sent


@pytest.mark.parametrize("method", CHOICES)
def test_invalid_field_name_is_refused(method):
    args, _, _ = CHOICES[method]
    harness = make_harness(now=NOW)

    async def job(client):
        with pytest.raises(InvalidRequest, match="is not a field name"):
            await getattr(client, method)(*args, fields=["guid } evil {"]).collect()

    harness.run(job)
    assert harness.requests.total() == 0


def test_fields_of_publishers_only_are_not_requested_of_subscribers():
    (sent,), _ = asked_and_got(
        NOTHING, lambda client: client.stream_stats("s", fields=("hasVideo", "subscribeToAudio")).collect()
    )
    assert sent.count("hasVideo") == sent.count("subscribeToAudio") == 1
