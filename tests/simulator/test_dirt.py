"""Dirty responses: what each kind changes, and that the same seed makes the same records dirty."""

import gzip
import json
import zlib

import httpx
import pytest

from agora_analytics.simulator import DEMO_CREDENTIALS, DIRT_KINDS, Dirt, Simulator
from agora_analytics.simulator.dirt import LOSSES, dirty_response

(AUTH,) = DEMO_CREDENTIALS.items()

CALL = {
    "call_id": "A",
    "cname": "room",
    "network": "4G",
    "created_ts": 1_795_000_000,
    "finished": True,
    "call_audio_freeze_rate": 0.5,
}
PAGE = {"code": 200, "message": "success", "total_size": 1, "call_lists": [CALL], "more": []}
BODY = json.dumps(PAGE).encode()


def dirty(kind, *, number=1, body=BODY, **more):
    return dirty_response(Dirt(share=1, kinds=(kind,), **more), "call/lists", number, 200, body)


def record(kind):
    return json.loads(dirty(kind).body)["call_lists"][0]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("number-as-text", "created_ts", "1795000000"),
        ("number-as-text", "call_audio_freeze_rate", "0.5"),
        ("boolean-as-number", "finished", 1),
        ("boolean-as-text", "finished", "true"),
        ("unknown-field", "x_unknown", {"deep": [None, {"a": 1}]}),
        ("unreadable-optional", "network", {"unexpected": ["4G"]}),
        ("lone-surrogate", "cname", "room\ud83d"),
        ("control-characters", "cname", "\x1b[2J\u202eroom\x00"),
        ("formula", "cname", "=cmd|'/c calc'!A1 room"),
        ("unreadable-key", "call_id", {"unexpected": "A"}),
        ("milliseconds", "created_ts", 1_795_000_000_000),
        ("beyond-64-bits", "created_ts", 1_795_000_000 + 2**70),
        ("empty-id", "call_id", ""),
    ],
)
def test_dirt_changes_one_field_of_a_record(kind, field, value):
    assert record(kind)[field] == value


def test_integers_become_floats():
    assert b'"created_ts":1795000000.0' in dirty("integer-as-float").body


def test_nan_is_written_as_python_writes_it():
    assert b'"call_audio_freeze_rate":NaN' in dirty("nan").body


def test_invalid_utf8_is_a_byte_in_a_string():
    assert b'"cname":"room\xff"' in dirty("invalid-utf8").body


@pytest.mark.parametrize(
    ("kind", "unpack"),
    [
        ("gzip-members", lambda body: b"".join(_members(body))),
        ("x-gzip", gzip.decompress),
        ("raw-deflate", lambda body: zlib.decompress(body, wbits=-15)),
        ("gzip-in-gzip", lambda body: gzip.decompress(gzip.decompress(body))),
        ("byte-order-mark", lambda body: body.removeprefix(b"\xef\xbb\xbf")),
        ("cookie", bytes),
        ("cached-date", bytes),
    ],
)
def test_dirt_of_the_response_leaves_its_content(kind, unpack):
    response = dirty(kind)
    assert json.loads(unpack(response.body)) == PAGE
    assert response.headers or kind == "byte-order-mark"


def _members(body):
    while body:
        unpacker = zlib.decompressobj(wbits=31)
        yield unpacker.decompress(body)
        body = unpacker.unused_data


def test_empty_lists_are_null_or_missing():
    assert json.loads(dirty("null-list").body)["more"] is None
    assert "more" not in json.loads(dirty("missing-list").body)


def test_messages_are_in_upper_case():
    assert json.loads(dirty("upper-case-message").body)["message"] == "SUCCESS"


def test_a_second_request_returns_the_same_dirt():
    body = json.dumps(PAGE | {"call_lists": [CALL | {"call_id": str(i)} for i in range(200)]}).encode()
    first, second = (dirty("milliseconds", number=n, body=body) for n in (1, 2))
    some = dirty_response(Dirt(share=0.1, kinds=("milliseconds",)), "call/lists", 3, 200, body)
    assert first == second
    assert len(first.unreadable) == first.kinds["milliseconds"] == 200
    assert 5 < some.kinds["milliseconds"] < 40


def test_losses_are_named_and_other_dirt_is_not():
    assert {kind for kind in DIRT_KINDS if kind != "gzip-bomb" and dirty(kind).unreadable} == LOSSES
    assert dirty("milliseconds").unreadable == ("A 1795000000",)


def test_only_some_endpoints_are_dirty():
    assert dirty("milliseconds", only={"call/metrics"}).body == BODY


def test_records_of_an_error_stay_clean():
    error = dirty_response(Dirt(share=1, kinds=("milliseconds",)), "call/lists", 1, 500, BODY)
    assert not error.kinds


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown dirt: mud; use number-as-text"):
        Dirt(kinds=("mud",))


async def test_simulator_sends_and_counts_dirt(small_world, clock):
    sim = Simulator(small_world, now=clock, dirt=Dirt(share=1, kinds=("milliseconds",)))
    transport = httpx.ASGITransport(sim.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=AUTH) as http:
        params = {
            "appid": small_world.app_id,
            "start_ts": int(clock.now) - 7100,
            "end_ts": int(clock.now) - 600,
        }
        response = await http.get("/beta/analytics/call/lists", params=params)
    calls = response.json()["call_lists"]
    assert len(calls) == sim.seen.dirt["milliseconds"] > 0
    assert {key.split()[0] for _, key in sim.seen.unreadable} == {call["call_id"] for call in calls}
    assert all(call["created_ts"] > 10**12 for call in calls)
