"""Reading records: tolerant where the reference asks for it, and exact about what is missing."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.agora.records import Call, Session, read_records
from agora_analytics.errors import DecodeError

CALL = {
    "call_id": "c1",
    "cname": "room",
    "created_ts": 1_795_000_000,
    "destroyed_ts": 1_795_000_600,
    "finished": True,
}
SESSION = {"sid": "S1", "uid": 7, "join_ts": 1_795_000_000, "leave_ts": 1_795_000_600, "finished": True}


def one(kind, row):
    (record,) = read_records(kind, [row], path="$.rows")
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
    assert getattr(one(kind, rest | {"finished": False}), end) == row[begin]
    with pytest.raises(DecodeError, match=end):
        one(kind, rest)
    with pytest.raises(DecodeError, match=begin):
        one(kind, rest | {"finished": False, begin: None})


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
def test_a_required_field_that_is_missing_is_an_error_with_its_path(name, how):
    row = {key: value for key, value in CALL.items() if key != name} | ({name: None} if how == "null" else {})
    with pytest.raises(DecodeError, match=rf"\$\.call_lists\[1\].*{name}") as caught:
        read_records(Call, [CALL, row], path="$.call_lists")
    assert caught.value.path == "$.call_lists[1]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uid", True), ("uid", 1.5), ("uid", []), ("sid", ["S1"]), ("sid", {}), ("join_ts", "soon"),
        ("join_ts", True), ("finished", "yes"), ("finished", 1), ("user_audio_freeze_rate", "much"),
    ],
)  # fmt: skip
def test_value_of_a_wrong_type_is_an_error_with_its_path(name, value):
    with pytest.raises(DecodeError, match=r"\$\.rows\[0\]") as caught:
        one(Session, SESSION | {name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize("rows", [None, {}, "text", 7])
def test_a_list_that_is_missing_is_an_error_with_its_path(rows):
    with pytest.raises(DecodeError, match=r"at \$\.call_lists"):
        read_records(Call, rows, path="$.call_lists")


@pytest.mark.parametrize("row", [None, [], "text"])
def test_a_row_that_is_no_object_is_an_error_with_its_path(row):
    with pytest.raises(DecodeError, match=r"at \$\.call_lists\[1\]"):
        read_records(Call, [CALL, row], path="$.call_lists")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2),
)


@given(
    st.dictionaries(st.sampled_from([*SESSION, "roles", "speaker", "user_audio_freeze_rate", "x"]), VALUES)
)
def test_any_row_is_read_or_refused(row):
    try:
        session = one(Session, SESSION | row)
    except DecodeError:
        return
    assert isinstance(session.uid, str)
    assert isinstance(session.sid, str)
