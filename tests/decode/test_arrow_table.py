"""The conversion of decoded points to an Arrow table."""

import random

import pytest

from agora_analytics.core.columns import no_columns
from agora_analytics.decode import decode_metrics

pa = pytest.importorskip("pyarrow")
arrow_table = pytest.importorskip("agora_analytics.decode.arrow_table")
columns_table = arrow_table.columns_table


def body(*sessions: tuple[str, list[tuple[int, object, list]]]) -> bytes:
    import json

    return json.dumps({
        "metrics": [
            {"sid": sid, "data": [{"mid": mid, "kvs": kvs, "peer_uid": peer} for mid, peer, kvs in data]}
            for sid, data in sessions
        ]
    }).encode()  # fmt: skip


def rows(table):
    return [tuple(row.values()) for row in table.set_column(5, "ts", table["ts"].cast("int64")).to_pylist()]


def test_the_schema():
    table = columns_table(decode_metrics(body(("A", [(1, 0, [[5, 1]])]))), app_id="P", call_id="C")
    text = pa.dictionary(pa.int32(), pa.string())
    assert table.schema == pa.schema([
        ("app_id", text), ("call_id", text), ("sid", text), ("mid", pa.int32()), ("peer_uid", text),
        ("ts", pa.timestamp("s", "UTC")), ("value", pa.float64()),
    ])  # fmt: skip
    table.validate(full=True)


def test_without_app_id_there_is_no_such_column():
    table = columns_table(decode_metrics(body(("A", [(1, 0, [[5, 1]])]))), call_id="C")
    assert table.column_names == ["call_id", "sid", "mid", "peer_uid", "ts", "value"]


def test_no_points():
    for columns in (no_columns(), decode_metrics(body(("A", []), ("B", [(1, 0, [])])))):
        table = columns_table(columns, app_id="P", call_id="C")
        table.validate(full=True)
        assert table.num_rows == 0


def test_sorted_columns_are_not_copied():
    columns = decode_metrics(body(("A", [(1, 0, [[5, 1], [6, None]]), (2, 0, [[5, 1]])])))
    table = columns_table(columns, app_id="P", call_id="C")
    addresses = [table[name].chunk(0).buffers()[1].address for name in ("ts", "value")]
    assert addresses == [pa.py_buffer(view).address for view in (columns.ts, columns.value)]
    assert table["value"].null_count == 1


def test_rows_are_sorted_by_key_and_null_stays_null():
    columns = decode_metrics(
        body(
            ("B", [(2, "x", [[5, 1]]), (1, 7, [[6, None], [5, 2]]), (1, 0, [[9, 3]])]),
            ("A", [(3, 0, [[5, 4]])]),
        )
    )
    assert rows(columns_table(columns, app_id="P", call_id="C")) == [
        ("P", "C", "A", 3, "0", 5, 4.0),
        ("P", "C", "B", 1, "0", 9, 3.0),
        ("P", "C", "B", 1, "7", 5, 2.0),
        ("P", "C", "B", 1, "7", 6, None),
        ("P", "C", "B", 2, "x", 5, 1.0),
    ]


def test_first_of_duplicate_keys_is_kept():
    columns = decode_metrics(
        body(("A", [(1, 0, [[5, 1], [6, 2], [5, 3]]), (1, 0, [[6, 4], [7, 5]])]), ("A", [(1, 0, [[7, 6]])]))
    )
    table_rows = rows(columns_table(columns, app_id="P", call_id="C"))
    assert [(ts, value) for *_, ts, value in table_rows] == [(5, 1.0), (6, 2.0), (7, 5.0)]


def test_order_of_the_response_does_not_matter():
    generator = random.Random(1)
    sessions = [
        (sid, [(mid, peer, [[ts, ts * mid] for ts in range(9)]) for mid in (1, 2, 3) for peer in (0, 10, 9)])
        for sid in "ABCD"
    ]
    table = columns_table(decode_metrics(body(*sessions)), app_id="P", call_id="C")
    for _ in range(5):
        generator.shuffle(sessions)
        for _, data in sessions:
            generator.shuffle(data)
            for _, _, kvs in data:
                generator.shuffle(kvs)
        again = columns_table(decode_metrics(body(*sessions)), app_id="P", call_id="C")
        assert again.equals(table)
        assert again["sid"].chunk(0).dictionary.equals(table["sid"].chunk(0).dictionary)
