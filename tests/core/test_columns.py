"""Samples as columns."""

import math
from array import array

import pytest

from agora_analytics.core.columns import MetricColumns, no_columns


@pytest.fixture
def columns():
    return MetricColumns(
        sids=("S1", "S2"),
        sid_index=(0, 0, 1),
        mid=(20001, 20005, 20001),
        peer_uid=("0", "77", "0"),
        offsets=(0, 2, 2, 5),
        ts=memoryview(array("q", [10, 12, 10, 14, 18])),
        value=memoryview(array("d", [1.0, 2.5, 3.0, math.nan, 4.0])),
    )


def test_each_series_has_its_own_points(columns):
    assert [(s.sid, s.mid, s.peer_uid, s.ts.tolist(), len(s)) for s in columns] == [
        ("S1", 20001, "0", [10, 12], 2),
        ("S1", 20005, "77", [], 0),
        ("S2", 20001, "0", [10, 14, 18], 3),
    ]
    assert len(columns) == 5


def test_series_is_a_view_of_the_columns(columns):
    *_, last = columns
    assert last.ts.obj is columns.ts.obj
    assert last.value.obj is columns.value.obj
    assert math.isnan(last.value[1])


def test_no_columns_have_no_series():
    nothing = no_columns()
    assert (len(nothing), list(nothing), list(nothing.offsets)) == (0, [], [0])
    assert (nothing.ts.format, nothing.value.format) == ("q", "d")


def test_repr_does_not_contain_the_samples(columns):
    assert "2.5" not in repr(columns)
