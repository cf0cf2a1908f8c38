import csv
import io
import json

import pytest

from agora_analytics.cli import main
from agora_analytics.store import open_store

QUERY = """
select 1 as n, 2.5 as d, sum(3) as s, 'a,"b' as text, null::int as nothing, 'nan'::double as nan,
       timestamptz '2026-11-20 08:00:00+02' as ts, date '2026-11-20' as day, ['x', 'y'] as list, true as yes
"""


@pytest.fixture
def sql(capsys, tmp_path):
    """Run the command in this process."""
    open_store(tmp_path / "store", create=True)

    def run(*words):
        assert main(["sql", "--store", str(tmp_path / "store"), *words]) == 0
        written = capsys.readouterr()
        assert not written.err
        return written.out

    return run


def test_csv(sql):
    header, row = csv.reader(io.StringIO(sql("--format", "csv", QUERY)))
    assert header == ["n", "d", "s", "text", "nothing", "nan", "ts", "day", "list", "yes"]
    assert row == [
        *("1", "2.5", "3", 'a,"b', "", "nan", "2026-11-20T06:00:00Z", "2026-11-20", '["x", "y"]', "true")
    ]


def test_json(sql):
    assert json.loads(sql("--format", "json", QUERY)) == [
        {
            "n": 1,
            "d": 2.5,
            "s": 3,
            "text": 'a,"b',
            "nothing": None,
            "nan": None,
            "ts": "2026-11-20T06:00:00Z",
            "day": "2026-11-20",
            "list": ["x", "y"],
            "yes": True,
        }
    ]


def test_two_columns_of_one_name_both_come(sql):
    assert json.loads(sql("--format", "json", "select 1 as a, 2 as a")) == [{"a": 1, "a_2": 2}]


def test_no_rows(sql):
    assert json.loads(sql("--format", "json", "select * from calls")) == []
    assert sql("--format", "csv", "select call_id, cname from calls") == "call_id,cname\n"
    assert "no rows" in sql("select * from calls")


def test_programs_get_every_row_and_people_a_note(sql):
    query = "select * from range(1000)"
    assert len(sql("--format", "csv", query).splitlines()) == 1001
    assert len(json.loads(sql("--format", "json", query))) == 1000
    table = sql(query)
    assert len(table.splitlines()) < 50
    assert "40 of 1,000 rows; --limit 0 shows all" in table
    assert len(sql("--limit", "0", query).splitlines()) > 1000


def test_numbers_stand_to_the_right_and_their_points_in_line(sql):
    lines = sql("select * from (values (1.5::double, 'a'), (100.25, 'b')) t(value, name)").splitlines()
    assert [line.split()[:2] for line in lines if "a" in line.split() or "b" in line.split()] == [
        ["1.50", "a"],
        ["100.25", "b"],
    ]
    assert any(line.startswith("  1.50  a") for line in lines)


def test_the_query_may_come_from_stdin(command, tmp_path):
    open_store(tmp_path / "store", create=True)
    done = command("sql", "--store", "store", "-", "--format", "json", stdin="select 42 as answer")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [{"answer": 42}]
