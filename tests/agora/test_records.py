"""Reading calls and sessions: what can be read is read, and what cannot is named."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.agora.records import Call, Session, read_records
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.errors import DecodeError

CALL = {
    "call_id": "c1",
    "cname": "room",
    "created_ts": 1_795_000_000,
    "destroyed_ts": 1_795_000_600,
    "finished": True,
}
SESSION = {"sid": "S1", "uid": 7, "join_ts": 1_795_000_000, "leave_ts": 1_795_000_600, "finished": True}


def read(kind, *rows):
    """Return the records of rows, and the skipped ones."""
    reader = LenientReader()
    return read_records(kind, list(rows), reader, path="$.rows"), reader.skipped


def one(kind, row):
    (record,), skipped = read(kind, row)
    assert not skipped
    return record


def test_a_call_with_nothing_but_the_required_fields_is_read():
    call = one(Call, CALL)
    assert (call.call_id, call.call_pcu, call.call_audio_freeze_rate, call.extra) == ("c1", None, None, {})
    assert call.created_at == datetime.fromtimestamp(1_795_000_000, UTC)
    assert (call.destroyed_at - call.created_at).seconds == 600


def test_a_session_with_nothing_but_the_required_fields_is_read():
    session = one(Session, SESSION)
    assert (session.cname, session.roles, session.account, session.speaker) == ("", (), None, None)
    assert (session.left_at - session.joined_at).seconds == 600


@pytest.mark.parametrize(
    ("uid", "text"),
    [(7, "7"), (5_000_000_000, "5000000000"), (2**63, str(2**63)), ("alice-3", "alice-3"), ("0", "0")],
)
def test_user_id_is_text_for_a_number_or_text(uid, text):
    assert one(Session, SESSION | {"uid": uid}).uid == text


@pytest.mark.parametrize(
    ("roles", "expected"),
    [("host", ("host",)), (["host", "audience"], ("host", "audience")), ([], ()), (None, ()), (1, ("1",))],
)
def test_roles_come_as_text_list_or_null(roles, expected):
    assert one(Session, SESSION | {"roles": roles}).roles == expected


@pytest.mark.parametrize("sent", [{}, {"end": None}])
@pytest.mark.parametrize(
    ("kind", "row", "begin", "end"),
    [(Call, CALL, "created_ts", "destroyed_ts"), (Session, SESSION, "join_ts", "leave_ts")],
)
def test_ongoing_records_need_no_end(kind, row, begin, end, sent):
    rest = {name: value for name, value in row.items() if name != end} | ({end: None} if sent else {})
    for ongoing in (False, 0, "false"):
        assert getattr(one(kind, rest | {"finished": ongoing}), end) == row[begin]
    for broken in (rest, rest | {"finished": False, begin: None}):
        records, (skipped,) = read(kind, row, broken)
        assert len(records) == 1
        assert (skipped.path, skipped.key) == ("$.rows[1]", "c1" if kind is Call else "S1")
        assert f"{end if broken is rest else begin} is missing" in skipped.reason


@pytest.mark.parametrize("end", [0, -1, 1_795_000_600_000, "-"])
def test_end_of_an_ongoing_call_that_cannot_be_read_is_its_start(end):
    call = one(Call, CALL | {"finished": False, "destroyed_ts": end})
    assert (call.destroyed_ts, call.extra) == (1_795_000_000, {"destroyed_ts": end})


@pytest.mark.parametrize("kind", [Call, Session])
def test_unknown_fields_are_kept_as_they_were_sent(kind):
    row = CALL if kind is Call else SESSION
    record = one(kind, row | {"new_field": {"deep": [1]}, "extra": "not ours"})
    assert record.extra == {"new_field": {"deep": [1]}, "extra": "not ours"}


@pytest.mark.parametrize("name", ["call_pcu", "call_acu", "call_audio_freeze_rate", "call_video_freeze_rate"])
def test_null_equals_a_missing_field(name):
    assert getattr(one(Call, CALL | {name: None}), name) is None


def test_a_null_never_becomes_the_text_none():
    session = one(
        Session,
        SESSION | dict.fromkeys(["cname", "account", "network", "platform", "speaker", "sdk_version"]),
    )
    assert (session.cname, session.account, session.network, session.speaker) == ("", None, None, None)


@pytest.mark.parametrize("name", CALL)
@pytest.mark.parametrize("how", ["missing", "null"])
def test_record_without_a_required_field_is_skipped_and_named(name, how):
    row = {key: value for key, value in CALL.items() if key != name} | ({name: None} if how == "null" else {})
    records, skipped = read(Call, CALL, row, CALL | {"call_id": "c2"})
    assert [call.call_id for call in records] == ["c1", "c2"]
    key = "room" if name == "call_id" else "c1"
    assert skipped == [SkippedRecord(path="$.rows[1]", key=key, reason=f"{name} is missing")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uid", True), ("uid", 1.5), ("uid", []), ("sid", ["S1"]), ("sid", {}), ("sid", ""), ("sid", "S" * 1025),
        ("join_ts", "soon"), ("join_ts", True), ("join_ts", 1.5), ("join_ts", 0), ("join_ts", -1),
        ("join_ts", 1_795_000_000_000), ("join_ts", 2**63), ("join_ts", "9" * 5000),
        ("finished", "yes"), ("finished", 2), ("finished", []),
    ],
)  # fmt: skip
def test_required_value_that_cannot_be_read_skips_the_record(name, value):
    records, (skipped,) = read(Session, SESSION | {name: value}, SESSION)
    assert len(records) == 1
    assert skipped.path == "$.rows[0]"
    assert skipped.reason.startswith(f"{name}: ")
    assert len(skipped.reason) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_audio_freeze_rate", "much"), ("user_audio_freeze_rate", True), ("user_audio_freeze_rate", 10**400),
        ("speaker", "yes"), ("speaker", 2), ("account", {"id": 1}), ("network", [4]), ("roles", {"a": 1}),
        ("roles", ["host", None]), ("cname", True),
    ],
)  # fmt: skip
def test_optional_value_that_cannot_be_read_stays_in_extra(name, value):
    session = one(Session, SESSION | {name: value})
    assert getattr(session, name) == {"roles": (), "cname": ""}.get(name)
    assert session.extra == {name: value}


@pytest.mark.parametrize(
    ("name", "sent", "expected"),
    [
        ("join_ts", "1795000000", 1_795_000_000), ("join_ts", 1_795_000_000.0, 1_795_000_000),
        ("join_ts", " 1.795e9 ", 1_795_000_000), ("finished", 1, True), ("finished", 0.0, False),
        ("finished", "True", True), ("finished", "0", False), ("speaker", "1", True), ("speaker", "false", False),
        ("user_audio_freeze_rate", "0.25", 0.25), ("user_audio_freeze_rate", "1e-3", 0.001),
        ("sid", 7, "7"), ("uid", 7.0, "7"), ("account", 5, "5"), ("sdk_version", 4.5, "4.5"),
    ],
)  # fmt: skip
def test_other_spellings_of_a_value_are_read(name, sent, expected):
    session = one(Session, SESSION | {name: sent})
    assert getattr(session, name) == expected
    assert type(getattr(session, name)) is type(expected)
    assert session.extra == {}


@pytest.mark.parametrize("sent", [2**63, -(2**63) - 1, 10**30, "9" * 5000, 1.5, "many"])
def test_count_that_a_table_cannot_hold_is_null(sent):
    call = one(Call, CALL | {"call_pcu": sent})
    assert (call.call_pcu, call.extra) == (None, {"call_pcu": sent})


def test_unknown_field_that_is_nested_too_deeply_skips_the_record():
    deep = []
    for _ in range(200):
        deep = [deep]
    records, (skipped,) = read(Call, CALL | {"new": deep}, CALL)
    assert len(records) == 1
    assert skipped == SkippedRecord(path="$.rows[0]", key="c1", reason="new is nested too deeply")


@pytest.mark.parametrize("rows", [{}, "text", 7])
def test_list_of_another_type_is_an_error_with_its_path(rows):
    with pytest.raises(DecodeError, match=r"at \$\.call_lists"):
        read_records(Call, rows, LenientReader(), path="$.call_lists")


def test_null_is_an_empty_list():
    assert read_records(Call, None, LenientReader(), path="$.call_lists") == []


@pytest.mark.parametrize(("row", "found"), [(None, "null"), ([], "list"), ("text", "str")])
def test_row_that_is_not_an_object_is_skipped(row, found):
    records, skipped = read(Call, CALL, row)
    assert len(records) == 1
    assert skipped == [SkippedRecord(path="$.rows[1]", key=None, reason=f"expected an object, found {found}")]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2),
)


@given(
    st.dictionaries(st.sampled_from([*SESSION, "roles", "speaker", "user_audio_freeze_rate", "x"]), VALUES)
)
def test_any_row_is_read_or_skipped(row):
    records, skipped = read(Session, SESSION | row)
    assert len(records) + len(skipped) == 1
    for session in records:
        assert isinstance(session.uid, str)
        assert 1 <= len(session.sid) <= 1024
        assert session.joined_at <= datetime(2100, 1, 1, tzinfo=UTC)
        json.dumps(session.extra)
