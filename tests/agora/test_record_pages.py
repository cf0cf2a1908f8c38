"""Pages of records: the fast reader and the lenient one return the same, whatever the page holds."""

import copy
import json
import pickle
from functools import partial
from importlib.util import find_spec

import pytest
from attrs import evolve, fields_dict
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.agora.arrow import calls_table, sessions_table
from agora_analytics.agora.record_pages import _row_reader, open_leniently, open_page
from agora_analytics.agora.records import Call, Session
from agora_analytics.core.lenient_json import NotJson
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.errors import DecodeError
from tests.agora.test_records import CALL, SESSION

FULL_CALL = CALL | {
    "call_pcu": 3,
    "call_acu": 4,
    "call_audio_freeze_rate": 0,
    "call_video_freeze_rate": 0.25,
}
FULL_SESSION = SESSION | {
    "cname": "room", "account": "", "network": "Wi-Fi", "platform": "iOS", "speaker": False, "roles": ["host"],
    "sdk_version": "4.5.0", "device_type": "é", "user_audio_freeze_rate": 1e-9, "user_video_freeze_rate": 1,
}  # fmt: skip
KINDS = {Call: (FULL_CALL, "call_lists"), Session: (FULL_SESSION, "call_info")}


def body(kind, rows, **more):
    return json.dumps({"code": 200, "message": "", "requestId": "r-1", **more, KINDS[kind][1]: rows}).encode()


def read_page(kind, text, *, open_body=open_page):
    """Return the page of a body, and the records that it leaves out."""
    reader = LenientReader()
    return open_body(text, record=kind, items=KINDS[kind][1]).decode(reader), reader.skipped


read_leniently = partial(read_page, open_body=open_leniently)
read_rows = partial(read_page, open_body=partial(open_page, as_rows=True))


def outcome(read, kind, text):
    try:
        return read(kind, text)
    except NotJson as error:
        return str(error)
    except DecodeError as error:
        return str(error), error.path


def reads_alike(kind, text):
    lenient, fast = outcome(read_leniently, kind, text), outcome(read_page, kind, text)
    assert fast == lenient
    assert repr(fast) == repr(lenient)  # 1 == 1.0 == True, and they are not the same
    if find_spec("pyarrow") and not isinstance(fast, str) and isinstance(fast[1], list):
        assert rows_of_table(read_rows, kind, text) == rows_of_table(read_leniently, kind, text)
    return fast


def rows_of_table(read, kind, text):
    """Return the rows of a table that is made of a page twice, after another page."""
    page, _ = read(kind, text)
    known = read_page(kind, body(kind, [KINDS[kind][0]]))[0].records
    if kind is Call:
        return repr(calls_table([known, page.records, page.records]).to_pylist())
    return repr(sessions_table([known, page.records, page.records], call_id="c").to_pylist())


@pytest.mark.parametrize("kind", KINDS)
def test_documented_page_is_read_by_the_fast_reader(kind):
    row, items = KINDS[kind]
    text = body(kind, [row, row | {"cname": "other"}], total_size=2, page_size=100, page_no=1, has_more=False)
    page, skipped = reads_alike(kind, text)
    assert not skipped
    assert not isinstance(_row_reader(kind, items)(text).rows[0], kind)
    assert (page.total, page.page_size, page.has_more, page.request_id) == (2, 100, False, "r-1")
    assert [record.cname for record in page.records] == ["room", "other"]
    assert page.records[0].extra is not page.records[1].extra


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([2**63, 2**64, -(2**70), "7", "1.5", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


def rows_of(kind):
    """Rows that are near to good ones: a field changed, a field gone, a field that nobody knows."""
    names = st.sampled_from([*(fields_dict(kind).keys()), "new_field", "sid "])
    changes = st.dictionaries(names, VALUES, max_size=2)
    return st.builds(
        lambda changed, gone: {k: v for k, v in (KINDS[kind][0] | changed).items() if k not in gone},
        changes,
        st.sets(names, max_size=1),
    )


@given(data=st.data(), kind=st.sampled_from(list(KINDS)))
def test_both_readers_agree_on_any_page(data, kind):
    rows = data.draw(st.lists(rows_of(kind), max_size=3))
    envelope = data.draw(
        st.dictionaries(st.sampled_from(["total_size", "page_size", "has_more", "new"]), VALUES, max_size=2)
    )
    reads_alike(kind, body(kind, rows, **envelope))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("uid", [0, 7, 2**32, 2**63, 2**64, -1, "7", "", "ä", None, 1.5, True, []])
@pytest.mark.parametrize("roles", [["a", "b"], [], "a", "", 1, None, [1, None], 1.5, True, {"a": 1}])
def test_both_readers_agree_on_odd_types(kind, uid, roles):
    reads_alike(
        kind, body(kind, [KINDS[kind][0] | ({"uid": uid, "roles": roles} if kind is Session else {})])
    )


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"{}", b'{"call_lists":[', b'{"call_lists":[]} x', b'{"call_lists":[],"x":"\xff"}',
        b'{"call_lists":[],"message":1e999}', b"[" * 5000, b'{"call_lists":null}', b'{"call_lists":[null]}',
        b'{"call_lists":[{"call_id":"a","call_id":null}]}', b'{"rows":[]}',
    ],
)  # fmt: skip
def test_both_readers_agree_on_other_bodies(text):
    reads_alike(Call, text)


def test_field_named_extra_is_an_unknown_field():
    page, _ = reads_alike(Call, body(Call, [FULL_CALL | {"extra": {}}]))
    assert page.records[0].extra == {"extra": {}}


def test_a_record_may_be_copied_changed_and_pickled():
    (call,) = read_page(Call, body(Call, [FULL_CALL]))[0].records
    for twin in (copy.deepcopy(call), pickle.loads(pickle.dumps(call)), evolve(call)):
        assert twin == call
