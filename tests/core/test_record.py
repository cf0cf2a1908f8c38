"""Records as JSON: exact, complete, and the same for every class of every vendor."""

import collections.abc
import inspect
import json
import math
import typing
from array import array
from datetime import UTC, datetime
from enum import Enum
from importlib import import_module

import attrs
import pytest

import agora_analytics
from agora_analytics import Call, Page, Quota, Record, Records, Rows, Series
from agora_analytics.agora.follow import Follow
from agora_analytics.core.columns import MetricColumns, no_columns
from agora_analytics.core.record import json_value
from agora_analytics.engine.events import Event
from agora_analytics.engine.pages import Meta, Pages
from tests.test_pickling import DATA, MACHINERY, example

JSON = (str, int, float, bool, dict, list, type(None))
CLIENTS = {
    "agora.client": "AsyncAgora",
    "agora.beta.client": "AsyncAgoraBeta",
    "signaling.client": "AsyncSignaling",
    "opentok.client": "AsyncOpenTok",
    "apsaravideo.client": "AsyncApsaraVideo",
    "agora.insights": "Insights",
    "agora.realtime": "Realtime",
}
RECORDS = [
    kind for kind in DATA if issubclass(kind, Record) and kind.__name__ not in MACHINERY | {"CompactReport"}
]


def call(**more):
    return Call(
        call_id="c", cname="room", created_ts=1_795_082_240, destroyed_ts=1_795_082_400, finished=True, **more
    )


def is_json(value):
    match value:
        case dict():
            return all(type(name) is str and is_json(each) for name, each in value.items())
        case list():
            return all(map(is_json, value))
        case float():
            return math.isfinite(value)
        case _:
            return type(value) in JSON


def test_call_as_json_has_every_attribute_and_keeps_seconds():
    assert call(call_pcu=7, extra={"new": [1, {"deep": None}]}).to_dict() == {
        "call_id": "c",
        "cname": "room",
        "created_ts": 1_795_082_240,
        "destroyed_ts": 1_795_082_400,
        "finished": True,
        "call_pcu": 7,
        "call_acu": None,
        "call_audio_freeze_rate": None,
        "call_video_freeze_rate": None,
        "extra": {"new": [1, {"deep": None}]},
    }


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63, 10**30])
def test_large_integers_are_exact(number):
    text = call(extra={"id": number}).to_json()
    assert f'"id":{number}' in text
    assert json.loads(text)["extra"]["id"] == number


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_null(number):
    assert call(extra={"rate": [number]}).to_dict()["extra"] == {"rate": [None]}
    assert json.loads(call(call_audio_freeze_rate=number).to_json())["call_audio_freeze_rate"] is None


def test_text_is_not_escaped():
    assert '"cname":"教室 🎧"' in attrs.evolve(call(), cname="教室 🎧").to_json()


def test_datetimes_are_iso_8601():
    assert json_value(datetime(2026, 11, 20, 12, 0, 0, 250_000, UTC)) == "2026-11-20T12:00:00.250000+00:00"


def test_series_has_its_samples_name_and_unit():
    series = Series(
        sid="S", mid=20018, peer_uid="77", name="video_end_to_end_loss", unit="%",
        ts=memoryview(array("q", [10, 12])), value=memoryview(array("d", [0.5, math.nan])),
    )  # fmt: skip
    assert series.to_dict() == {
        "sid": "S",
        "mid": 20018,
        "peer_uid": "77",
        "ts": [10, 12],
        "value": [0.5, None],
        "name": "video_end_to_end_loss",
        "unit": "%",
    }


def test_quota_has_what_is_left():
    quota = Quota(
        endpoint="call/lists", per_day=100, requests=10, period=1.0, spent=30, closed=False, opens_at=86400.0
    )
    assert quota.to_dict() | {"left": 70, "daily": True} == quota.to_dict()


def test_page_leaves_the_body_out():
    meta = Meta(status=200, request_id="r", host="https://api.example.com", attempts=1, elapsed=0.25)
    page = Page(records=[call()], meta=meta, resume_token="next", raw=b"{}")
    assert page.to_dict() == {
        "records": [call().to_dict()],
        "meta": meta.to_dict(),
        "resume_token": "next",
        "skipped": [],
    }
    assert "1 x Call" in repr(page)


def test_vars_of_a_record_is_its_dict():
    assert vars(call()) == call().to_dict()


def test_completion_of_names_does_not_read_the_records():
    class Unreadable(list):
        def __iter__(self):
            raise AssertionError

    meta = Meta(status=200, request_id="r", host="https://api.example.com", attempts=1, elapsed=0.25)
    assert {"records", "to_dict", "resume_token"} <= set(dir(Page(records=Unreadable(), meta=meta)))


@pytest.mark.parametrize("kind", RECORDS)
def test_every_record_becomes_json_with_all_its_public_attributes(kind):
    record = example(kind)
    if kind.__name__ == "CallDetails":  # columns of an example do not fit each other
        record = attrs.evolve(record, columns=no_columns())
    fields = record.to_dict()
    assert is_json(fields)
    assert json.loads(record.to_json()) == fields
    left_out = {"MetricsPage": {"raw", "columns"}}.get(
        kind.__name__, {"raw"} if issubclass(kind, Page) else set()
    )
    assert {each.name for each in attrs.fields(kind) if each.name[0] != "_"} - left_out <= set(fields)


@pytest.mark.parametrize("kind", [kind for kind in RECORDS if "extra" in attrs.fields_dict(kind)])
def test_record_with_unknown_fields_can_be_in_a_set(kind):
    record = example(kind)
    assert {record, attrs.evolve(record)} == {record}


# --- completeness


def classes_in(hint):
    """Return the classes of this package in an annotation."""
    found = set()
    for argument in typing.get_args(hint):
        found |= classes_in(argument)
    origin = typing.get_origin(hint) or hint
    if inspect.isclass(origin) and origin.__module__.startswith("agora_analytics."):
        found.add(origin)
    return found


def returned_by(client):
    found = set()
    for name, method in inspect.getmembers(client, inspect.isfunction):
        if not name.startswith("_") and name not in {"aclose", "quota"}:
            hint = inspect.signature(method, eval_str=False).return_annotation
            if isinstance(hint, str):  # a module with postponed annotations
                public = {each: getattr(agora_analytics, each) for each in agora_analytics.__all__}
                hint = eval(hint, {**vars(typing), **public, "pa": pytest.importorskip("pyarrow")})
            found |= classes_in(hint)
    return found


NO_DATA = (Pages, Records, Follow, MetricColumns, Enum)


@pytest.mark.parametrize("module", CLIENTS)
def test_every_value_that_a_client_returns_is_a_record(module):
    for name in {"opentok.client": ("starlette", "jwt"), "agora.client": ("pyarrow",)}.get(module, ()):
        pytest.importorskip(name)
    client = getattr(import_module(f"agora_analytics.{module}"), CLIENTS[module])
    returned = returned_by(client)
    assert returned
    assert [kind for kind in returned if not issubclass(kind, (Record, *NO_DATA))] == []


def test_every_event_and_report_is_a_record():
    events = list(typing.get_args(Event))
    try:
        from agora_analytics.harvest.report import HarvestEvent, HarvestReport
    except ImportError:
        pass
    else:
        events += [*typing.get_args(HarvestEvent), HarvestReport]
    assert len(events) >= 12
    assert [kind for kind in events if not issubclass(kind, Record)] == []


@pytest.mark.parametrize("kind", RECORDS)
def test_every_value_within_a_record_is_json_by_itself(kind):
    """No object of ours becomes the text of its repr."""
    inner = set()
    for hint in typing.get_type_hints(kind).values():
        inner |= classes_in(hint)
    assert [each for each in inner if not issubclass(each, (Record, *NO_DATA))] == []


def test_rows_behave_as_a_sequence_and_as_a_dict():
    rows = Rows(records=(call(),), meta=(), kind=Call)
    assert isinstance(rows, collections.abc.Sequence)
    assert (len(rows), rows[0], list(rows)) == (1, call(), [call()])
    assert dict(rows) == rows.to_dict() == {"records": [call().to_dict()], "meta": [], "skipped": []}
    empty = Rows(records=(), meta=(), kind=Call)
    assert dict(empty) == {"records": [], "meta": [], "skipped": []}
    assert repr(empty) == "[no Call]"


def test_records_are_a_list_that_becomes_json():
    records = Records([call()], table=lambda _: None)
    assert records == [call()]
    assert isinstance(records, list)
    assert records.to_dicts() == json.loads(records.to_json()) == [call().to_dict()]
