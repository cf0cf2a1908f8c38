"""The memory of a decoded body is estimated from its text, and a body that would take too much is refused."""

import tracemalloc
from importlib import import_module

import msgspec
import pytest

from agora_analytics.core.json_memory import refuse_expansion
from agora_analytics.errors import TransportError
from agora_analytics.messages import FailureKind
from tests.conftest import harness_of, response

ROW = b'{"call_id":"%032d","cname":"room","created_ts":1548670255,"destroyed_ts":1548670300,"finished":true}'
ELEMENTS = {
    "lists": b"[]",
    "nested lists": b"[[[[[[[[]]]]]]]]",
    "objects": b"{}",
    "objects with a member": b'{"a":1}',
    "numbers": b"1000",
    "floats": b"1.5",
    "strings": b'"ab"',
    "points": b"[1548670255,4]",
    "records": ROW % 0,
}
MB = 1_000_000


def body_of(
    element, size=1_200_000, *, around=b'{"code":200,"message":"","total_size":0,"call_lists":[],"x":[%b]}'
):
    return around % b",".join([element] * (size // (len(element) + 1)))


def is_refused(body, limit, *, columnar=False):
    return refuse_expansion(body, limit, columnar=columnar) is not None


@pytest.mark.parametrize("element", ELEMENTS)
def test_estimate_is_close_to_the_memory_of_the_objects(element):
    body = body_of(ELEMENTS[element], 300_000)
    tracemalloc.start()
    try:
        decoded = msgspec.json.decode(body)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert decoded["x"]
    assert is_refused(body, taken // 2)
    assert not is_refused(body, taken * 3)


@pytest.mark.parametrize(
    ("element", "refused"),
    [
        ("lists", True),
        ("objects", True),
        ("objects with a member", True),
        ("points", False),
        ("records", False),
    ],
)
def test_metrics_are_refused_only_if_they_are_denser_than_points(element, refused):
    assert is_refused(body_of(ELEMENTS[element]), 0, columnar=True) is refused


def test_largest_page_of_calls_is_far_below_the_limit():
    assert not is_refused(body_of(ROW % 0, 20 * MB), 256 * 2**20)


QUERIES = {
    "agora": lambda client: client.calls("1h").collect(),
    "agora sessions": lambda client: client.sessions("c", "2h", "1h").collect(),
    "agora metrics": lambda client: client.metrics("c", "2h", "119m", sids=["s"]).collect(),
    "beta": lambda client: client.calls("1h").collect(),
    "signaling": lambda client: client.history("u", "c").collect(),
    "apsaravideo": lambda client: client.interaction_metrics("m", "1h").collect(),
}


@pytest.mark.parametrize("case", QUERIES)
def test_body_that_would_take_too_much_memory_costs_one_request(case, monkeypatch):
    monkeypatch.setattr("agora_analytics.engine.outcomes.LARGEST_BODY", 5 * MB)
    harness = harness_of(case.split()[0]).scripted(response(body_of(b"[]")))
    with pytest.raises(TransportError, match=r"would take about \d+ MB of memory") as caught:
        harness.run(QUERIES[case])
    assert caught.value.kind is FailureKind.TOO_LARGE
    assert len(harness.transport.requests) == 1


def test_metrics_of_many_points_are_decoded_although_their_objects_would_take_more(monkeypatch):
    pytest.importorskip("numpy")
    monkeypatch.setattr("agora_analytics.engine.outcomes.LARGEST_BODY", 2 * MB)
    around = (
        b'{"code":200,"message":"","metrics":[{"sid":"s","data":[{"mid":20001,"peer_uid":0,"kvs":[%b]}]}]}'
    )
    harness = import_module("tests.agora.harness").scripted(
        response(body_of(ELEMENTS["points"], around=around))
    )
    (series,) = harness.run(QUERIES["agora metrics"])
    assert len(series) == 80_000
