"""Tolerant reading: nulls, numbers as text, times in every form, unknown names and values."""

import doctest
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.opentok import (
    Connection,
    MeetingSummary,
    StreamSample,
    credentials,
    graphql_query,
    query_builders,
    records,
)
from agora_analytics.opentok.records import moment, record, snake
from tests.harness import Scripted
from tests.opentok.harness import data, listed, make_harness, scripted, summaries

ANY = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
)


@pytest.mark.parametrize(
    "sent",
    [
        "2020-03-22T12:24:05.407Z",
        "2020-03-22T13:24:05.407+01:00",
        "2020-03-22T12:24:05.407",
        1584879845407,
        "1584879845407",
        1584879845.407,
    ],
)
def test_moment_reads_every_form(sent):
    assert moment(sent) == datetime(2020, 3, 22, 12, 24, 5, 407_000, UTC)
    assert moment(sent).tzinfo is UTC


@given(ANY)
def test_any_value_is_read_or_none(value):
    assert moment(value) is None or moment(value).tzinfo is UTC
    row = dict.fromkeys(["createdAt", "videoBitrateKbps", "videoCodec", "hasVideo"], value)
    sample = made(StreamSample, row | {"totalStreams": value}, role="publisher")
    json.dumps(sample.extra)


def made(kind, fields, **known):
    """Return a record; nothing is skipped."""
    reader = LenientReader()
    one = record(kind, fields, reader, "$", session_id="s", **known)
    assert not reader.skipped
    return one


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("totalStreams", "3", 3), ("totalStreams", 4.0, 4), ("publisherMinutes", "1.5", 1.5),
        ("publisherMinutes", 2, 2.0), ("meetingId", 7, "7"), ("meetingId", "", None),
    ],
)  # fmt: skip
def test_numbers_and_text_in_other_forms_are_read(name, sent, expected):
    summary = made(MeetingSummary, {name: sent})
    assert (getattr(summary, snake(name)), summary.extra) == (expected, {})


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("totalStreams", 4.5), ("totalStreams", True), ("totalStreams", 2**63), ("publisherMinutes", "n/a"),
        ("createdAt", "soon"), ("createdAt", 0), ("createdAt", 1e300), ("createdAt", "9999-12-31T23:59:59-12:00"),
        ("createdAt", "0001-01-01"), ("meetingId", {"a": 1}),
    ],
)  # fmt: skip
def test_value_that_cannot_be_read_is_none_and_stays_in_extra(name, sent):
    summary = made(MeetingSummary, {name: sent})
    assert (getattr(summary, snake(name)), summary.extra) == (None, {name: sent})


@pytest.mark.parametrize(("sent", "expected"), [(1, True), ("false", False), ("TRUE", True), (0, False)])
def test_truth_values_in_other_forms_are_read(sent, expected):
    assert made(StreamSample, {"hasAudio": sent}, role="publisher").has_audio is expected


def test_unknown_fields_are_accepted_and_missing_ones_none():
    one = made(MeetingSummary, {"meetingId": "m", "totalStreams": "2", "new": {"a": 1}})
    assert (one.session_id, one.meeting_id, one.total_streams, one.created_at) == ("s", "m", 2, None)
    assert made(Connection, {"guid": None, "sdkType": "TOASTER"}).sdk_type == "TOASTER"


@pytest.mark.parametrize("kind", [Connection, MeetingSummary, StreamSample])
def test_snake_inverts_camel_case(kind):
    assert all(snake(theirs) == ours for ours, (theirs,) in records._names(kind).items())


def test_summary_of_nulls():
    page = summaries(
        {"sessionId": "s", "mediaMode": None, "meetings": listed(None, {"meetingId": None})}, None
    )
    found = scripted(data(page)).run(lambda client: client.session_summaries("2d").collect())
    assert [(one.session_id, one.media_mode, len(one.meetings)) for one in found] == [("s", None, 1)]


@pytest.mark.parametrize("module", [credentials, graphql_query, query_builders, records])
def test_docstring_examples(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


FIELDS_OF_TOMORROW = {
    "session_summaries": (
        ("2d",),
        lambda new: {"sessionSummaries": listed({"sessionId": "s", "meetings": listed(new)})},
    ),
    "connections": (("s",), lambda new: of_a_meeting(connections=listed(new))),
    "publishers": (("s",), lambda new: of_a_meeting(publishers=listed({"stream": new}))),
    "subscribers": (("s",), lambda new: of_a_meeting(subscribers=listed(new))),
    "stream_stats": (
        ("s",),
        lambda new: of_a_meeting(publishers=listed({"streamStatsCollection": listed(new)})),
    ),
}


def of_a_meeting(**inside):
    return {"sessions": listed({"sessionId": "s", "meetings": listed({"meetingId": "m", **inside})})}


@pytest.mark.parametrize("method", FIELDS_OF_TOMORROW)
@pytest.mark.parametrize("sent", [4.5, "text", {"inner": [1]}, None])
def test_unknown_field_of_the_caller_is_kept_in_extra(method, sent):
    pytest.importorskip("pyarrow")
    args, answer = FIELDS_OF_TOMORROW[method]
    script = Scripted(data({"sessionData": answer({"mosScore": sent})}))
    named = ["stream.mosScore" if method == "publishers" else "mosScore"]

    async def job(client):
        asked = getattr(client, method)(*args, fields=named)
        return await asked.collect(), await asked.to_arrow()

    (found,), table = make_harness().run(job, transport=script)  # the present schema does not have the field
    kept = found.meetings[0] if method == "session_summaries" else found
    assert kept.extra == {"mosScore": sent}
    assert hash(kept)
    if method != "session_summaries":  # its rows are sessions
        assert [json.loads(one) for one in table["extra"].to_pylist()] == [{"mosScore": sent}]
    assert b"mosScore" in script.requests[0].body
