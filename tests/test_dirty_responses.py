"""Dirty responses of every vendor: what can be read is read, and one bad record costs one record.

Each case is an endpoint with a row as raw JSON. Each kind of dirt replaces one field, the list or the envelope.
"""

import json
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import frozen

from agora_analytics import AsyncAgora, AsyncAgoraBeta, errors
from agora_analytics.apsaravideo import AsyncApsaraVideo
from agora_analytics.engine.events import RecordsSkipped
from agora_analytics.signaling import AsyncSignaling, Basic
from agora_analytics.testing import VirtualClock, run_virtual
from tests.agora import harness as agora
from tests.apsaravideo import harness as apsaravideo
from tests.beta import harness as beta
from tests.conftest import NOW, response
from tests.harness import Scripted
from tests.opentok import harness as opentok
from tests.signaling import harness as signaling

T = int(NOW)
S = T - 3600
MS = S * 1000

Fields = dict[str, Any]
Name = tuple[str, str]
"""The name of a field in the API, and of its attribute."""


async def pages(listing: Any) -> tuple[list[Any], list[Any]]:
    """Return the records of a listing, and the skipped ones."""
    all_pages = [page async for page in listing.pages()]
    return [one for page in all_pages for one in page.records], [
        one for page in all_pages for one in page.skipped
    ]


async def rows(query: Awaitable[Any]) -> tuple[list[Any], list[Any]]:
    found = await query
    return list(found), list(found.skipped)


async def events(batches: Any) -> tuple[list[Any], list[Any]]:
    all_batches = [batch async for batch in batches]
    return [one for batch in all_batches for one in batch.events], [
        one for batch in all_batches for one in batch.unreadable
    ]


@frozen(kw_only=True)
class Case:
    """An endpoint: how it is queried, its body around the list `%s`, and two rows.

    `text`, `number`, `flag` and `time` name a field of that kind; a time is in seconds, unless `unit` is 1000. With
    `skips`, a record without a readable time is skipped; otherwise the time is None and `extra` has what was sent.
    """

    name: str
    scripted: Callable[..., Any]
    ask: Callable[[Any], Awaitable[tuple[list[Any], list[Any]]]]
    body: str
    list_field: str
    row: Fields
    other: Fields
    text: Name
    time: Name | None = None
    number: Name | None = None
    flag: Name | None = None
    unit: int = 1
    skips: bool = True
    before: tuple[bytes, ...] = ()
    path: str

    def answer(self, body: bytes) -> tuple[list[Any], list[Any], Any]:
        """Return the records of a body, the skipped records, and the harness."""
        harness = self.scripted(*map(response, (*self.before, body)))
        records, skipped = harness.run(self.ask)
        named = [one for event in harness.events_of(RecordsSkipped) for one in event.skipped]
        assert len(named) == len(skipped)
        return records, named, harness

    def bodies(self, *raw_rows: bytes) -> bytes:
        return self.body.encode() % (b"[" + b",".join(raw_rows) + b"]")


def raw(row: Fields, **changed: bytes) -> bytes:
    """Return a row as JSON, with some values as raw text."""
    fields = {name: json.dumps(value).encode() for name, value in row.items()} | changed
    return b"{" + b",".join(json.dumps(name).encode() + b":" + value for name, value in fields.items()) + b"}"


AGORA = '{"code":200,"message":"","requestId":"r","has_more":false,"%s":%%s}'
CALL = {"cname": "room", "created_ts": S, "destroyed_ts": S + 60, "finished": True, "call_pcu": 3}
SESSION = {"cname": "room", "uid": 7, "join_ts": S, "leave_ts": S + 60, "finished": True, "speaker": True}
SESSION |= {"user_audio_freeze_rate": 3}
IN_A_MEETING = (
    '{"data":{"project":{"sessionData":{"sessions":{"resources":[{"sessionId":"s","meetings":{"resources":'
    f'[{{"meetingId":"m","createdAt":{S},"%s":{{"resources":%%s}}}}]}}}}]}}}}}}}}}}'
)

CASES = [
    Case(
        name="agora calls", scripted=agora.scripted, ask=lambda c: pages(c.calls("6h")), body=AGORA % "call_lists",
        list_field="call_lists", row=CALL | {"call_id": "a"}, other=CALL | {"call_id": "b"},
        text=("cname", "cname"), number=("call_pcu", "call_pcu"), flag=("finished", "finished"),
        time=("created_ts", "created_ts"), path="$.call_lists",
    ),
    Case(
        name="agora sessions", scripted=agora.scripted, ask=lambda c: pages(c.sessions("c", "6h", "1m")),
        body=AGORA % "call_info", list_field="call_info", row=SESSION | {"sid": "a"}, other=SESSION | {"sid": "b"},
        text=("account", "account"), number=("user_audio_freeze_rate", "user_audio_freeze_rate"),
        flag=("speaker", "speaker"), time=("join_ts", "join_ts"), path="$.call_info",
    ),
    Case(
        name="agora insights", scripted=agora.scripted, ask=lambda c: rows(c.insights.usage("userCount", "2d")),
        body=AGORA % "data", list_field="data", row={"ts": S, "userCount": 3}, other={"ts": S + 60, "userCount": 3},
        text=("new", "extra.new"), number=("userCount", "value"), time=("ts", "ts"), path="$.data",
    ),
    Case(
        name="agora realtime", scripted=agora.scripted,
        ask=lambda c: rows(c.realtime.quality("networkDelay", "10m", by="net")), body=AGORA % "data",
        list_field="data", row={"ts": S, "networkDelay": 3, "net": "4G"},
        other={"ts": S + 60, "networkDelay": 3, "net": "4G"},
        text=("net", "dimension_value"), number=("networkDelay", "value"), time=("ts", "ts"), path="$.data",
    ),
    Case(
        name="agora top groups", scripted=agora.scripted, ask=lambda c: rows(c.realtime.top_usage("os", "5m")),
        body='{"code":200,"data":{"list":%s}}', list_field="list",
        row={"os": "a", "userCount": 3, "windowStartTs": S, "windowEndTs": S + 20},
        other={"os": "b", "userCount": 3, "windowStartTs": S, "windowEndTs": S + 20},
        text=("os", "dimension_value"), number=("userCount", "value"), time=("windowStartTs", "window_start_ts"),
        path="$.data.list",
    ),
    Case(
        name="agora minutes of a call", scripted=agora.scripted,
        ask=lambda c: rows(c.statistics_over_time("c", since="6h", until="1m")), body=AGORA % "data",
        list_field="data", row={"ts": S, "value": 3}, other={"ts": S + 60, "value": 3}, text=("new", "extra.new"),
        number=("value", "value"), time=("ts", "ts"), path="$.data",
    ),
    Case(
        name="beta calls", scripted=beta.scripted, ask=lambda c: pages(c.calls("6h")), body=AGORA % "call_lists",
        list_field="call_lists", row=CALL | {"call_id": "a"}, other=CALL | {"call_id": "b"},
        text=("cname", "cname"), number=("call_pcu", "call_pcu"), flag=("finished", "finished"),
        time=("created_ts", "created_ts"), path="$.call_lists",
    ),
    Case(
        name="beta live scale", scripted=beta.scripted, ask=lambda c: rows(c.live_scale(metrics="pcu")),
        body=AGORA % "data", list_field="data", row={"ts": S, "pcu": 3}, other={"ts": S + 60, "pcu": 3},
        text=("new", "extra.new"), number=("pcu", "value"), time=("ts", "ts"), path="$.data",
    ),
    Case(
        name="beta diagnosis", scripted=beta.scripted, ask=lambda c: pages(c.live_diagnosis()),
        body=AGORA % "data", list_field="data", row={"user": "a", "exp_id": 4, "ts": S, "cname": "room"},
        other={"user": "b", "exp_id": 4, "ts": S, "cname": "room"}, text=("cname", "cname"), time=("ts", "ts"),
        path="$.data",
    ),
    Case(
        name="signaling events", scripted=signaling.scripted, ask=lambda c: events(c.channel_events()),
        body='{"result":"success","request_id":"r","events":%s}', list_field="events",
        row={"group_id": "room", "user_id": "a", "type": "Join", "ms": MS},
        other={"group_id": "room", "user_id": "b", "type": "Join", "ms": MS}, text=("type", "type"),
        time=("ms", "ms"), unit=1000, path="$.events",
    ),
    Case(
        name="signaling history", scripted=signaling.scripted, ask=lambda c: pages(c.history("ann", "room")),
        body='{"errorCode":200,"data":{"messageList":%s,"newStart":0}}', list_field="messageList",
        row={"publisher": "a", "message": "hi", "timestamp": 5}, other={"publisher": "b", "message": "hi", "timestamp": 5},
        text=("customType", "custom_type"), path="$.data.messageList",
    ),
    Case(
        name="signaling archive", scripted=signaling.scripted, ask=lambda c: pages(c.legacy_history("1h", source="a")),
        before=(b'{"result":"success","location":"~/rtm/message/history/query/M"}',),
        body='{"result":"success","code":"ok","messages":%s}', list_field="messages",
        row={"src": "a", "dst": "room", "message_type": "group_message", "ms": MS, "payload": "hi"},
        other={"src": "b", "dst": "room", "message_type": "group_message", "ms": MS, "payload": "hi"},
        text=("payload", "payload"), time=("ms", "ms"), unit=1000, path="$.messages",
    ),
    Case(
        name="opentok connections", scripted=opentok.scripted, ask=lambda c: pages(c.connections("s")),
        body=IN_A_MEETING % "connections", list_field="resources", row={"connectionId": "a", "createdAt": S},
        other={"connectionId": "b", "createdAt": S}, text=("city", "city"), time=("createdAt", "created_at"),
        skips=False, path="$.data.project.sessionData.sessions.resources[0].meetings.resources[0].connections.resources",
    ),
    Case(
        name="opentok publishers", scripted=opentok.scripted, ask=lambda c: pages(c.publishers("s")),
        body=IN_A_MEETING % "publishers", list_field="resources", row={"connectionId": "a", "createdAt": S, "hasVideoTrack": True},
        other={"connectionId": "b", "createdAt": S}, text=("connectionId", "connection_id"),
        flag=("hasVideoTrack", "has_video_track"), time=("createdAt", "created_at"), skips=False,
        path="$.data.project.sessionData.sessions.resources[0].meetings.resources[0].publishers.resources",
    ),
    Case(
        name="apsaravideo", scripted=apsaravideo.scripted, ask=lambda c: pages(c.interaction_metrics("FirstFrameCost", "2h")),
        body='{"RequestId":"r","Nodes":%s}', list_field="Nodes", row={"Timestamp": str(MS), "Value": "3"},
        other={"Timestamp": str(MS + 300_000), "Value": "3"}, text=("Unit", "extra.Unit"), number=("Value", "value"),
        time=("Timestamp", "ts"), unit=1000, path="$.Nodes",
    ),
]  # fmt: skip
HALF, WHOLE = "a\ufffd", "\U0001f600"
TEXTS = {
    "lone surrogate, escaped": (b'"a\\ud83d"', HALF),
    "lone surrogate, raw": (b'"a\xed\xa0\xbd"', HALF),
    "lone low surrogate": (b'"a\\uDE00"', HALF),
    "character cut in two": (b'"a\xe4\xbc"', HALF),
    "byte that is not UTF-8": (b'"a\xff"', HALF),
    "surrogate pair, escaped": (b'"\\ud83d\\ude00"', WHOLE),
    "surrogate pair, raw": (b'"\xed\xa0\xbd\xed\xb8\x80"', WHOLE),
    "NUL, escaped": (b'"a\\u0000b"', "a\0b"),
    "NUL, raw": (b'"a\x00b"', "a\0b"),
    "control characters, raw": (b'"a\x1b[2J\tb"', "a\x1b[2J\tb"),
}
NUMBERS = {
    "text": (b'"3"', 3), "float as text": (b'"3.0"', 3), "float": (b"3.0", 3), "exponent": (b"3e0", 3),
    "null": (b"null", None), "NaN": (b"NaN", None), "infinity": (b"Infinity", None),
    "negative infinity": (b"-Infinity", None), "too large for a float": (b"1e999", None),
}  # fmt: skip
UNREADABLE_NUMBERS = {
    "word": (b'"-"', "-"), "truth value": (b"true", True), "object": (b'{"a":1}', {"a": 1}), "list": (b"[3]", [3]),
    "NaN as text": (b'"NaN"', "NaN"), "5,000 digits": (b"9" * 5000, "9" * 5000),
}  # fmt: skip
FLAGS = {b"1": True, b"0": False, b'"true"': True, b'"False"': False, b'"1"': True, b"0.0": False}
TIMES = {"text": b'"%d"', "float": b"%d.0", "text of a float": b'"%d.0"'}
UNREADABLE_TIMES = {
    "zero": b"0", "negative": b"-5", "word": b'"soon"', "truth value": b"true", "float out of range": b"1e300",
    "over 64 bits": b"9223372036854775808", "5,000 digits": b"9" * 5000, "list": b"[1]",
}  # fmt: skip
ROWS = {"null": b"null", "number": b"7", "text": b'"row"', "list": b"[]"}


def cases(kind: str = "text") -> pytest.MarkDecorator:
    """Parametrize a test with the cases that have a field of a kind."""
    chosen = [case for case in CASES if getattr(case, kind)]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def value_of(record: Any, name: str) -> Any:
    """Return an attribute of a record, or a value of its `extra`."""
    attribute, _, inner = name.partition(".")
    value = getattr(record, attribute)
    return value[inner] if inner else value


def both(case: Case, **changed: bytes) -> tuple[Any, list[Any]]:
    """Return the changed record, and the skipped ones. The other record must not be lost, nor a request be spent."""
    records, skipped, harness = case.answer(case.bodies(raw(case.row, **changed), raw(case.other)))
    assert len(records) + len(skipped) == 2
    assert len(harness.transport.requests) == 1 + len(case.before)
    return records[0], skipped


@cases()
@pytest.mark.parametrize("dirt", TEXTS)
def test_text_that_is_not_unicode_has_replacement_characters(case, dirt):
    sent, expected = TEXTS[dirt]
    record, skipped = both(case, **{case.text[0]: sent})
    assert (value_of(record, case.text[1]), skipped) == (expected, [])


@cases()
def test_byte_order_mark_is_dropped(case):
    body = b"\xef\xbb\xbf" + case.bodies(raw(case.row), raw(case.other))
    records, skipped, _ = case.answer(body)
    assert (len(records), skipped) == (2, [])


@cases("number")
@pytest.mark.parametrize("dirt", NUMBERS)
def test_number_in_another_form_is_read(case, dirt):
    sent, expected = NUMBERS[dirt]
    record, skipped = both(case, **{case.number[0]: sent})
    assert (value_of(record, case.number[1]), skipped) == (expected, [])


@cases("number")
@pytest.mark.parametrize("dirt", UNREADABLE_NUMBERS)
def test_optional_number_that_cannot_be_read_is_null_and_stays_in_extra(case, dirt):
    name, attribute = case.number
    sent, kept = UNREADABLE_NUMBERS[dirt]
    record, skipped = both(case, **{name: sent})
    assert (value_of(record, attribute), skipped) == (None, [])
    if case.name == "apsaravideo":
        assert record.raw == (kept if isinstance(kept, str) else json.dumps(kept, separators=(",", ":")))
    else:
        assert record.extra == {name: kept}


@cases("flag")
@pytest.mark.parametrize("sent", FLAGS)
def test_truth_value_in_another_form_is_read(case, sent):
    record, skipped = both(case, **{case.flag[0]: sent})
    assert value_of(record, case.flag[1]) is FLAGS[sent]
    assert skipped == []


@cases("time")
@pytest.mark.parametrize("form", TIMES)
def test_time_in_another_form_is_read(case, form):
    name, attribute = case.time
    record, skipped = both(case, **{name: TIMES[form] % (S * case.unit)})
    normal, _ = both(case)
    assert (value_of(record, attribute), skipped) == (value_of(normal, attribute), [])


@cases("time")
@pytest.mark.parametrize("dirt", [*UNREADABLE_TIMES, "another unit"])
def test_time_out_of_bounds_costs_at_most_its_record(case, dirt):
    name, attribute = case.time
    another_unit = b"%d" % (S if case.unit == 1000 else MS)
    record, skipped = both(case, **{name: UNREADABLE_TIMES.get(dirt, another_unit)})
    if case.skips:
        assert [each.path for each in skipped] == [f"{case.path}[0]"]
        assert name in skipped[0].reason
    elif dirt == "another unit":  # OpenTok's times may be either, so the size decides
        assert (value_of(record, attribute).timestamp(), skipped) == (S, [])
    else:
        assert (value_of(record, attribute), skipped) == (None, [])
        assert name in record.extra


@cases()
@pytest.mark.parametrize("sent", ROWS)
def test_row_that_is_not_an_object_is_skipped(case, sent):
    records, skipped, _ = case.answer(case.bodies(raw(case.row), ROWS[sent], raw(case.other)))
    assert len(records) == 2
    if case.name.startswith("opentok") and sent == "null":  # GraphQL has null for a member that failed
        assert skipped == []
    else:
        assert [(each.path, each.key) for each in skipped] == [(f"{case.path}[1]", None)]


@cases()
@pytest.mark.parametrize("spelling", ["null", "missing"])
def test_empty_list_may_be_null_or_missing(case, spelling):
    body = case.body.encode() % b"null"
    if spelling == "missing":
        body = body.replace(b'"%b":null' % case.list_field.encode(), b'"unknown":null')
    records, skipped, harness = case.answer(body)
    assert (records, skipped) == ([], [])
    assert len(harness.transport.requests) == 1 + len(case.before)


@cases()
@pytest.mark.parametrize("sent", [b"{}", b'"none"', b"7", b"true"])
def test_list_of_another_type_is_a_decode_error_or_named(case, sent):
    body = case.body.encode() % sent
    if case.name.startswith("opentok"):  # the list is within a record
        records, skipped, _ = case.answer(body)
        assert (records, len(skipped)) == ([], 1)
        return
    with pytest.raises(errors.DecodeError, match=r"expected a list|cannot be read") as caught:
        case.answer(body)
    assert caught.value.path == case.path


@pytest.mark.parametrize(
    "code", [b'"200"', b"200.0", b'"200.0"', b"0", b'"0"', b"2e2"], ids=lambda code: code.decode()
)
@pytest.mark.parametrize("case", CASES[:9], ids=lambda case: case.name)
def test_code_of_success_in_another_form(case, code):
    body = case.bodies(raw(case.row), raw(case.other)).replace(b'"code":200', b'"code":%b' % code)
    records, skipped, _ = case.answer(body)
    assert (len(records), skipped) == (2, [])


@pytest.mark.parametrize(
    "code",
    [b"[]", b"{}", b"true", b"1.5", b"1" * 30, b"[" * 900 + b"]" * 900],
    ids=lambda code: code[:9].decode(),
)
@pytest.mark.parametrize("scripted", [agora.scripted, beta.scripted])
def test_code_that_is_not_a_code_costs_two_requests(scripted, code):
    line = response(b'{"code":%s,"call_lists":[]}' % code)
    harness = scripted(line, line, line)
    with pytest.raises(errors.ServerError, match="no readable code") as caught:
        harness.run(lambda client: client.calls("6h").collect())
    assert len(harness.transport.requests) == 2
    assert pickle.loads(pickle.dumps(caught.value)).code is None


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name != "signaling events"], ids=lambda case: case.name
)
def test_object_without_a_field_of_the_api_costs_two_requests(case):
    """Read as an empty list, the answer of a proxy would be a result."""
    line = response({"status": "maintenance"})
    harness = case.scripted(*map(response, case.before), line, line, line)
    with pytest.raises(errors.ServerError):
        harness.run(case.ask)
    assert len(harness.transport.requests) == 2 + len(case.before)


@cases()
def test_value_that_is_nested_too_deeply_costs_its_record(case):
    """Python could neither copy nor pickle such a value."""
    for name in case.row:
        deep = b"[" * 900 + b"]" * 900
        records, skipped, harness = case.answer(case.bodies(raw(case.row, **{name: deep}), raw(case.other)))
        assert len(records) + len(skipped) == 2
        assert len(harness.transport.requests) == 1 + len(case.before)
        pickle.dumps((records, skipped))


@pytest.mark.parametrize("time", [float("nan"), float("inf"), 10**400, 1e300])
@pytest.mark.parametrize(
    ("scripted", "ask"),
    [
        (agora.scripted, lambda c, time: c.calls(time, validate=False).collect()),
        (agora.scripted, lambda c, time: c.insights.usage("userCount", time, validate=False)),
        (signaling.scripted, lambda c, time: c.legacy_history(time, source="a").collect()),
    ],
)
def test_time_that_is_no_64_bit_number_is_refused(scripted, ask, time):
    harness = scripted(response(b"{}"))
    with pytest.raises(errors.InvalidRequest):
        harness.run(lambda client: ask(client, time))
    assert not harness.transport.requests


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Service Package Limit Check Error, QPD Limit Error", errors.QuotaExhausted),
        ("SERVICE PACKAGE LIMIT CHECK ERROR, QUERY TIME RANGE LIMIT ERROR", errors.WindowRefused),
        ("You Have No Auth To Access this service", errors.AccessDenied),
    ],
)
@pytest.mark.parametrize("code", [300, "300", 300.0])
def test_limit_message_matches_in_any_case(message, error, code):
    for scripted in (agora.scripted, beta.scripted):
        harness = scripted(response({"code": code, "message": message}))
        with pytest.raises(error):
            harness.run(lambda client: client.calls("6h").collect())
        assert len(harness.transport.requests) == 1


@pytest.mark.parametrize("text", ["party \ud83d", "\udc00"])
@pytest.mark.parametrize(
    ("scripted", "ask"),
    [
        (agora.scripted, lambda c, text: c.calls("6h", cname=text).collect()),
        (agora.scripted, lambda c, text: c.sessions(text, "6h", "1h").collect()),
        (agora.scripted, lambda c, text: c.metrics("c", "6h", "1h", sids=[text]).collect()),
        (agora.scripted, lambda c, text: c.realtime.usage("userCount", by="net", values=[text])),
        (agora.scripted, lambda c, text: c.insights.usage_totals("userCount", "5d", "2d", by="os", values=[text])),
        (agora.scripted, lambda c, text: c.statistics(text, since="6h", until="1h")),
        (beta.scripted, lambda c, text: c.calls("6h", cname=text).collect()),
        (beta.scripted, lambda c, text: c.details(text, "6h", "1h").collect()),
        (signaling.scripted, lambda c, text: c.peer_message("ann", "bob", text)),
        (signaling.scripted, lambda c, text: c.peer_message(text, "bob", "hi")),
        (signaling.scripted, lambda c, text: c.history(text, "room").collect()),
        (signaling.scripted, lambda c, text: c.legacy_history("1h", source=text).collect()),
        (opentok.scripted, lambda c, text: c.connections(text).collect()),
        (opentok.scripted, lambda c, text: c.meetings("s", meeting_id=text).collect()),
        (opentok.scripted, lambda c, text: c.query("query($a: Int) { project(projectId: $a) { projectId } }", {"a": text})),
        (apsaravideo.scripted, lambda c, text: c.interaction_metrics("FirstFrameCost", "1h", channel_id=text).collect()),
    ],
)  # fmt: skip
def test_half_of_a_character_in_an_argument_is_refused_before_a_request(scripted, ask, text):
    harness = scripted(response(b"{}"))
    with pytest.raises(errors.InvalidRequest):
        harness.run(lambda client: ask(client, text))
    assert not harness.transport.requests


@pytest.mark.parametrize(
    ("client", "ask"),
    [
        (lambda text, **more: AsyncAgora(text, "secret", app_id="app", **more), lambda c: c.calls("1h").collect()),
        (lambda text, **more: AsyncAgora("id", text, app_id="app", **more), lambda c: c.calls("1h").collect()),
        (lambda text, **more: AsyncAgoraBeta("id", text, app_id="app", **more), lambda c: c.calls("1h").collect()),
        (lambda text, **more: AsyncSignaling(Basic("id", text), app_id="app", **more), lambda c: events(c.user_events())),
        (lambda text, **more: AsyncApsaraVideo("id", text, app_id="app", **more), lambda c: c.quota()),
        (lambda text, **more: AsyncApsaraVideo("id", "secret", app_id="app", account=text, **more), lambda c: c.quota()),
    ],
)  # fmt: skip
def test_half_of_a_character_in_a_credential_is_refused_before_a_request(client, ask):
    """The error does not show the credential."""
    transport, clock = Scripted(b"{}"), VirtualClock(NOW)

    async def job():
        async with client("hidden\ud83d", transport=transport, clock=clock) as connected:
            await ask(connected)

    with pytest.raises(errors.ConfigurationError) as caught:
        run_virtual(job(), clock)
    assert "hidden" not in str(caught.value)
    assert not transport.requests
