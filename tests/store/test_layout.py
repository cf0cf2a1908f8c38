import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.errors import StoreError
from agora_analytics.schemas import KEYS, TABLES, table_schema
from agora_analytics.store.layout import COMPACTED, decode_id, encode_id, short_id, stored_id
from agora_analytics.store.parquet_file import ENCODINGS


@given(st.text(min_size=1, max_size=60))
def test_any_id_is_encoded_as_a_safe_file_name_and_decoded(text):
    name = encode_id(text)
    assert re.fullmatch(r"[A-Za-z0-9%-][A-Za-z0-9_.%-]*", name) or "~" in name
    assert not name.startswith(COMPACTED)
    if "~" not in name and not any("\ud800" <= c <= "\udfff" for c in text):
        assert decode_id(name) == text


@given(st.lists(st.text(min_size=1, max_size=400), unique=True))
def test_different_ids_have_different_names(texts):
    names = {encode_id(text) for text in texts}
    assert len(names) == len(texts)
    assert all(len(name) < 240 for name in names)


@given(st.text(min_size=1, max_size=400) | st.text("ü~%c_", min_size=120, max_size=400))
def test_cut_name_stays_the_same_when_it_is_encoded_again(text):
    assert stored_id(stored_id(text)) == stored_id(text)
    assert len(encode_id(short_id(text) + ".0-1209599.99")) <= 200


def test_path_separators_are_encoded(store):
    partition = {"app_id": "../../etc", "day": "2026-11-20", "pending": False}
    store.writer.put("metrics", "../../../passwd", [], **partition)
    assert [path.relative_to(store.path).as_posix() for path in store.files("metrics")] == [
        "metrics/app_id=%2E.%2F..%2Fetc/day=2026-11-20/%2E.%2F..%2F..%2Fpasswd.parquet"
    ]
    assert store.writer.units("../../etc").live["metrics"] == {"../../../passwd": "2026-11-20"}


@pytest.mark.parametrize("day", ["2026-1-2", "..", "", "2026-11-20/..", "20261120"])
def test_invalid_day_is_refused(store, day):
    with pytest.raises(StoreError, match="UTC day"):
        store.writer.put("calls", "c", [], app_id="a", day=day, pending=False)


def test_unknown_table_is_refused(store):
    with pytest.raises(StoreError, match="the tables are calls, sessions, metrics, points"):
        store.writer.put("users", "c", [], app_id="a", day="2026-11-20", pending=False)


def test_an_empty_id_is_refused():
    with pytest.raises(StoreError, match="empty id"):
        encode_id("")


def test_each_column_has_a_description():
    for table in TABLES:
        for column in table_schema(table):
            assert column.metadata[b"description"].endswith(b".")


def test_keys_and_encodings_name_columns():
    for table, schema in TABLES.items():
        assert set(KEYS[table]) <= set(schema.names)
        assert {name.split(".")[0] for name in ENCODINGS[table].dictionary} <= set(schema.names)
        assert not set(ENCODINGS[table].dictionary) & set(ENCODINGS[table].other)
