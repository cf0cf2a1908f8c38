"""Whatever a server sends: a verdict, and points or an error that says where. Nothing else, and no node lost."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics import DecodeError
from agora_analytics.apsaravideo.judge import retry_after
from agora_analytics.apsaravideo.listing import OPERATION
from agora_analytics.apsaravideo.records import read_points
from agora_analytics.core.field_types import LAST_SECOND
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.core.verdicts import Done, Fail, Retry
from agora_analytics.messages import Response
from tests.harness import exchange

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
scalars = st.none() | st.booleans() | numbers | text | st.floats().map(str)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
)
milliseconds = st.integers(LAST_SECOND + 1, LAST_SECOND * 1000 + 999)
times = milliseconds.map(str) | milliseconds
nodes = st.lists(
    st.fixed_dictionaries({"Timestamp": times, "Value": anything}, optional={"Unit": anything}), max_size=5
)
ENVELOPE = {"Code": anything, "Message": anything, "RequestId": anything, "Nodes": anything, "code": anything}
envelopes = st.fixed_dictionaries({}, optional=ENVELOPE).map(lambda fields: json.dumps(fields).encode())


@settings(deadline=None)
@given(
    body=st.binary(max_size=60) | envelopes | anything.map(lambda value: json.dumps(value).encode()),
    status=st.integers(200, 599),
    header=text | st.integers(-5, 10**9).map(str),
)
def test_every_answer_has_a_verdict(body, status, header):
    response = Response(status=status, headers={"x-acs-retry-after": header}, body=body)
    verdict = OPERATION.read(exchange(response, OPERATION))
    assert isinstance(verdict, Done | Retry | Fail)
    if status >= 400:
        assert not isinstance(verdict, Done)
        assert verdict.error.status == status
        assert str(verdict.error)
    assert (after := retry_after(response)) is None or 0 < after <= 10**6


@settings(deadline=None)
@given(body=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_body_is_decoded_or_the_error_has_its_path(body):
    problem = None
    try:
        read_points(body, LenientReader(), metric="m")
    except DecodeError as error:
        problem = error
    assert problem is None or problem.path.startswith("$")


@settings(deadline=None)
@given(sent=nodes, summary=scalars)
def test_no_node_is_lost_and_no_value_is_made_up(sent, summary):
    reader = LenientReader()
    read = read_points(json.dumps({"Nodes": sent, "SummaryData": summary}).encode(), reader, metric="m")
    assert not reader.skipped
    sent = sorted(sent, key=lambda node: int(node["Timestamp"]) // 1000)
    assert [point.ts for point in read.points] == [int(node["Timestamp"]) // 1000 for node in sent]
    for node, point in zip(sent, read.points, strict=True):
        if point.value is not None:
            assert point.value == pytest.approx(float(node["Value"]))
            assert point.raw is None
        elif node["Value"] is not None:
            assert point.raw is not None
        assert set(point.extra) == set(node) - {"Timestamp", "Value"}
