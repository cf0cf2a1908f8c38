"""The lenient reader without a vendor: JSON, values, and records of any class."""

import doctest
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.core import lenient_json, numbers
from agora_analytics.core.field_types import Id, Int64, Milliseconds, Seconds
from agora_analytics.core.lenient_json import NotJson, load_json, load_object
from agora_analytics.core.lenient_reader import READERS, LenientReader
from agora_analytics.core.numbers import number_of, truth_of, whole_number
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.errors import DecodeError
from agora_analytics.instants import LAST_SECOND


@pytest.mark.parametrize("module", [lenient_json, numbers])
def test_docstring_examples(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":[NaN,Infinity,-Infinity,1e999,-1e999]}', {"a": [None] * 5}),
        (b'{"a":"\xff\\ud83d\xed\xa0\xbd"}', {"a": "\ufffd" * 3}),
        (b'{"\\ud83d":{"\xff":[" \\udc00"]}}', {"\ufffd": {"\ufffd": [" \ufffd"]}}),
        (b'{"a":"\\\\ud83d"}', {"a": "\\ud83d"}),
        (b'{"a":"\x00\n\x1f"}', {"a": "\0\n\x1f"}),
        (b'{"a":18446744073709551616}', {"a": 2**64}),
        (b'{"a":' + b"1" * 5000 + b"}", {"a": "1" * 5000}),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_json_that_strict_parsers_refuse_is_read(body, value):
    assert load_json(body) == load_object(body) == value


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a":1', b'{"a":1} x', b"\xef\xbb\xbf\xef\xbb\xbf{}", b"[" * 100_000, '{"a":1}'.encode("utf-16")],
)  # fmt: skip
def test_body_that_is_not_json_is_one_kind_of_error(body):
    with pytest.raises(NotJson) as caught:
        load_json(body)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"'])
def test_json_that_is_not_an_object_is_the_same_error(body):
    with pytest.raises(NotJson, match="not a JSON object"):
        load_object(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON)
def test_good_json_is_read_like_any_parser_reads_it(value):
    assert load_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_not_json(body):
    try:
        value = load_json(body)
    except NotJson:
        return
    json.dumps(value).encode()


@pytest.mark.parametrize(
    ("value", "number", "whole"),
    [
        (3, 3, 3), (3.0, 3.0, 3), ("3", 3, 3), (" -3.0 ", -3.0, -3), ("+3", 3, 3), ("3.", 3.0, 3), ("3e2", 300.0, 300),
        (2.5, 2.5, None), ("2.5", 2.5, None), (2**63, 2**63, None), (-(2**63), -(2**63), -(2**63)), (1e300, 1e300, None),
        (True, None, None), (None, None, None), ("", None, None), ("x", None, None), ("1_0", None, None), ("٣", None, None),
        ("nan", None, None), ("inf", None, None), (float("nan"), None, None), (float("inf"), None, None), ([], None, None),
        (10**400, None, None), ("1e999", None, None), ("9" * 5000, None, None), ("0x10", None, None),
    ],
)  # fmt: skip
def test_numbers(value, number, whole):
    assert (number_of(value), whole_number(value)) == (number, whole)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True), (False, False), (1, True), (0, False), (1.0, True), ("TRUE", True), (" false ", False), ("0", False),
        (2, None), (0.5, None), ("yes", None), ("", None), (None, None), ([], None), (float("inf"), None),
    ],
)  # fmt: skip
def test_truth_values(value, truth):
    assert truth_of(value) is truth


@frozen(kw_only=True)
class Record:
    """A record with every type of field."""

    key: Id
    at: Seconds
    ms: Milliseconds | None = None
    count: Int64 | None = None
    rate: float | None = None
    value: int | float | None
    flag: bool | None = None
    name: str = "unnamed"
    extra: Mapping[str, Any] = field(factory=dict)


ROW = {"key": "a", "at": 1_795_000_000, "value": 1}


def read(*rows, **how):
    reader = LenientReader()
    return reader.records(Record, list(rows), "$.rows", **how), reader.skipped


def test_attribute_that_may_be_none_needs_no_field():
    (record,), skipped = read({"key": "a", "at": "1795000000"})
    assert (record.value, record.name, skipped) == (None, "unnamed", [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("ms", 1_795_000_000), ("ms", 10**13), ("count", 2**63), ("rate", "x"), ("value", 2**63), ("value", "x"),
     ("flag", 2), ("name", {}), ("name", True)],
)  # fmt: skip
def test_optional_value_that_cannot_be_read_keeps_its_default(name, value):
    (record,), skipped = read(ROW | {name: value})
    assert getattr(record, name) == ("unnamed" if name == "name" else None)
    assert (record.extra, skipped) == ({name: value}, [])


@pytest.mark.parametrize(
    ("at", "good"), [(0, False), (1, True), (LAST_SECOND, True), (LAST_SECOND + 1, False)]
)
def test_seconds_have_bounds(at, good):
    records, skipped = read(ROW | {"at": at})
    assert (len(records), len(skipped)) == (good, not good)


def test_all_problems_of_a_record_are_named():
    _, (skipped,) = read({"key": "k" * 1025, "name": "x"})
    reason = "key: an id has 1 to 1024 characters, not 1025; at is missing"
    assert skipped == SkippedRecord(path="$.rows[0]", key="k" * 1024, reason=reason)


def test_names_known_values_and_fallbacks():
    names = {"at": ("time", "ts"), "value": ("v",)}
    rows = [{"ts": 5, "v": 1, "key": "sent"}, {"time": 6, "ts": 7}, {"ts": "soon", "v": 1}]
    records, skipped = read(
        *rows, names=names, known={"key": "k"}, present=["value"], instead=lambda _: {"at": 9}
    )
    assert [(one.key, one.at, one.extra) for one in records] == [
        ("k", 5, {"key": "sent"}),
        ("k", 9, {"ts": "soon"}),
    ]
    assert [(each.path, each.reason) for each in skipped] == [("$.rows[1]", "v is missing")]


def test_class_without_extra_is_refused():
    @frozen
    class Lossy:
        key: str

    with pytest.raises(TypeError, match="has no attribute extra"):
        LenientReader().record(Lossy, {}, "$")


def test_type_of_a_vendor_that_is_imported_after_the_first_record_is_read(monkeypatch):
    read(ROW)

    @frozen
    class Timed:
        at: datetime
        extra: Mapping[str, Any]

    monkeypatch.setitem(READERS, datetime, lambda value, _: datetime.fromtimestamp(value, UTC))
    reader = LenientReader()
    assert reader.record(Timed, {"at": 5}, "$") == Timed(datetime.fromtimestamp(5, UTC), {})
    assert reader.skipped == []


def test_inner_list_of_another_type_is_skipped_and_costs_no_more():
    reader = LenientReader()
    assert [reader.inner_list(value, "$.x", "k") for value in (None, [1], {})] == [[], [1], []]
    assert reader.skipped == [SkippedRecord(path="$.x", key="k", reason="expected a list, found dict")]
    with pytest.raises(DecodeError, match="expected a list, found dict"):
        reader.records(Record, {}, "$.rows")
