"""Bodies of metrics: judged and decoded in one step, large ones with one parse."""

import json
import tracemalloc

import msgspec
import pytest

from agora_analytics import errors
from agora_analytics.agora import parsers
from agora_analytics.agora.operations import METRICS
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.core.verdicts import Done, Fail, Retry
from agora_analytics.decode.chunks import PIECE
from tests.conftest import response
from tests.harness import exchange

POINTS = [[1_763_600_000 + i, i % 100] for i in range(400)]
SESSION = {"sid": "A", "data": [{"mid": 20001, "kvs": POINTS, "peer_uid": 0}]}
MANY = PIECE // 6_000 + 60
"""So many sessions are more than one piece."""


def sessions(count):
    return ",".join(json.dumps(SESSION | {"sid": f"S{i}"}, separators=(",", ":")) for i in range(count))


def body(count, before='"code":200,"requestId":"r",', after=""):
    return f'{{{before}"metrics":[{sessions(count)}]{after}}}'.encode()


def verdict_on(text):
    return METRICS.read(exchange(response(text), METRICS))


@pytest.mark.parametrize("count", [0, 1, MANY])
def test_good_body_is_decoded_with_its_request_id(count):
    verdict = verdict_on(body(count))
    assert isinstance(verdict, Done)
    assert verdict.request_id == "r"
    assert len(verdict.result.sids) == count


def test_large_body_is_not_parsed_for_its_envelope(monkeypatch):
    text, sizes = body(MANY), []
    assert len(text) > PIECE
    decode = msgspec.json.decode

    def noting(buffer, **more):
        sizes.append(len(buffer))
        return decode(buffer, **more)

    monkeypatch.setattr(parsers.msgspec.json, "decode", noting)
    envelope = parsers.open_metrics(text).envelope
    assert (envelope.code, envelope.requestId) == (200, "r")
    assert max(sizes) < 100


@pytest.mark.parametrize("after", [',"code":200,"requestId":"r"', ',"code":0,"requestId":"r","other":[1]'])
def test_envelope_after_the_sessions_is_found(after):
    verdict = verdict_on(body(MANY, before="", after=after))
    assert isinstance(verdict, Done)
    assert verdict.request_id == "r"


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("after", ["", ',"other":[1]'])
def test_refusal_in_a_body_with_sessions_is_a_typed_error(count, after):
    verdict = verdict_on(body(count, before="", after=f',"code":400,"message":"no"{after}'))
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is errors.BadRequest


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text[: len(text) * 2 // 3],
        lambda text: text.replace(b'"S0","data":[{', b'"S0","data":[{{', 1),
        lambda text: text + b"x",
    ],
    ids=["last byte missing", "cut off", "brace too many", "text after it"],
)
def test_body_that_is_not_json_is_requested_again(count, damage):
    verdict = verdict_on(damage(body(count)))
    assert isinstance(verdict, Retry)
    assert "is not JSON" in str(verdict.error)


@pytest.mark.parametrize("count", [2, MANY])
def test_series_that_cannot_be_read_costs_no_other_series(count):
    verdict = verdict_on(body(count).replace(b'"mid":20001', b'"mid":"x"', 1))
    assert isinstance(verdict, Done)
    assert len(verdict.result.mid) == count - 1
    (skipped,) = verdict.skipped
    assert (skipped.path, skipped.key) == ("$.metrics[0].data[0]", "S0")
    assert skipped.reason == "mid: 'x' is not an integer of 64 bits"


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("dirt", [b"\xef\xbb\xbf", b" "])
@pytest.mark.parametrize("message", [b"NaN", b'"\\ud83d"', b'"\xff"', b"1e999"])
def test_dirt_in_the_envelope_costs_nothing(count, dirt, message):
    verdict = verdict_on(dirt + body(count).replace(b"{", b'{"note":%b,' % message, 1))
    assert isinstance(verdict, Done)
    assert (verdict.request_id, verdict.skipped, len(verdict.result.mid)) == ("r", (), count)


@pytest.mark.parametrize("metrics", [b'{"S0":[]}', b'"none"', b"7"])
def test_json_of_another_shape_is_a_decode_error_with_its_request_id(metrics):
    verdict = verdict_on(b'{"code":200,"requestId":"r","metrics":%b}' % metrics)
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is errors.DecodeError
    assert (verdict.error.request_id, verdict.error.path) == ("r", "$.metrics")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clean", "dirty"),
    [
        (b"[1795000000,1]", b"[1795000000,NaN]"),
        (b'"sid":"s7"', b'"sid":"s\xff"'),
        (b'"sid":"s7"', b'"sid":"\\ud800"'),
        (b'"message":""', b'"message":"\xff"'),
        (b'{"code"', b'\xef\xbb\xbf{"code"'),
    ],
    ids=["NaN", "invalid UTF-8", "surrogate", "message", "byte order mark"],
)
def test_dirty_response_is_decoded_in_pieces(clean, dirty):
    """Decoding all of it at once would take ten times its size."""
    points = b",".join(b"[%d,1]" % (1_795_000_000 + i) for i in range(2_000))
    series = b'{"mid":20001,"peer_uid":0,"kvs":[' + points + b"]}"
    sessions = b",".join(b'{"sid":"s%d","data":[' % i + series + b"]}" for i in range(100))
    body = b'{"code":200,"message":"","metrics":[' + sessions + b"]}"
    body = body.replace(clean, dirty, 1)
    tracemalloc.start()
    try:
        opened = parsers.open_metrics(body)
        columns = opened.decode(LenientReader())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(columns.ts) == 200_000
    assert len(columns.sids) == 100
    assert peak < 4.5 * len(body), peak / len(body)
