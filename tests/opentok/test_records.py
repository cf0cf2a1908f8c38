"""Tolerant reading: nulls, numbers as text, times in every form, unknown names and values."""

import doctest
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.opentok import (
    Connection,
    MeetingSummary,
    StreamSample,
    credentials,
    graphql_query,
    query_builders,
    records,
)
from agora_analytics.opentok.records import flag, moment, number, record, snake, text, whole
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
    assert number(value) is None or isinstance(number(value), float)
    assert whole(value) is None or isinstance(whole(value), int)
    assert flag(value) in (None, True, False)
    assert text(value) is None or text(value)


def test_numbers_as_text():
    assert (number("1.5"), number(2), whole("3"), whole(4.0), whole(4.5), number(True)) == (
        1.5,
        2.0,
        3,
        4,
        None,
        None,
    )


def test_unknown_fields_are_accepted_and_missing_ones_none():
    made = record(MeetingSummary, {"meetingId": "m", "totalStreams": "2", "new": {"a": 1}}, session_id="s")
    assert (made.session_id, made.meeting_id, made.total_streams, made.created_at) == ("s", "m", 2, None)
    assert record(Connection, {"guid": None, "sdkType": "TOASTER"}, session_id="s").sdk_type == "TOASTER"


@pytest.mark.parametrize("kind", [Connection, MeetingSummary, StreamSample])
def test_snake_inverts_camel_case(kind):
    assert all(snake(theirs) == ours for theirs, ours in records._reader(kind)[0].items())


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
    "session_summaries": (("2d",), lambda new: {"sessionSummaries": listed({"meetings": listed(new)})}),
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
