import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agora_analytics.cli import main
from agora_analytics.errors import StoreError
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


def test_csv_output(sql):
    header, row = csv.reader(io.StringIO(sql("--format", "csv", QUERY)))
    assert header == ["n", "d", "s", "text", "nothing", "nan", "ts", "day", "list", "yes"]
    assert row == [
        *("1", "2.5", "3", 'a,"b', "", "nan", "2026-11-20T06:00:00Z", "2026-11-20", '["x", "y"]', "true")
    ]


def test_json_output(sql):
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{'a': date '2026-11-20'}", '{"a": "2026-11-20"}'),
        ("[timestamptz '2026-11-20 08:00:00+02']", '["2026-11-20T06:00:00Z"]'),
        ("[1.5::decimal(4, 2)]", "[1.5]"),
        ("['x'::blob]", '["eA=="]'),
    ],
)
def test_nested_values_are_the_same_in_a_table_and_in_csv(sql, value, text):
    assert text in sql(f"select {value} as v")
    assert next(csv.reader(sql("-f", "csv", f"select {value} as v").splitlines()[1:])) == [text]


@pytest.mark.parametrize(
    "value",
    [
        "date '20000-01-01'",
        "date '-infinity'",
        "timestamptz '20000-01-01'",
        "timestamp 'infinity'",
        "{'a': date '20000-01-01'}",
    ],
)
def test_value_without_python_type_is_an_error_of_the_query(tmp_path, capsys, value):
    open_store(tmp_path / "store", create=True)
    assert main(["sql", "--store", str(tmp_path / "store"), f"select {value} as v"]) == 2
    written = capsys.readouterr()
    assert "cast its column to VARCHAR" in written.err
    assert written.out == ""


def test_duplicate_column_names_are_numbered(sql):
    assert json.loads(sql("--format", "json", "select 1 as a, 2 as a")) == [{"a": 1, "a_2": 2}]


def test_empty_result_in_every_format(sql):
    assert json.loads(sql("--format", "json", "select * from calls")) == []
    assert sql("--format", "csv", "select call_id, cname from calls") == "call_id,cname\n"
    assert "no rows" in sql("select * from calls")


def test_table_is_limited_and_csv_and_json_are_not(sql):
    query = "select * from range(1000)"
    assert len(sql("--format", "csv", query).splitlines()) == 1001
    assert len(json.loads(sql("--format", "json", query))) == 1000
    table = sql(query)
    assert len(table.splitlines()) < 50
    assert "40 of 1,000 rows; --limit 0 shows all" in table
    assert len(sql("--limit", "0", query).splitlines()) > 1000


def test_numbers_are_right_aligned_at_the_decimal_point(sql):
    lines = sql("select * from (values (1.5::double, 'a'), (100.25, 'b')) t(value, name)").splitlines()
    assert [line.split()[:2] for line in lines if "a" in line.split() or "b" in line.split()] == [
        ["1.50", "a"],
        ["100.25", "b"],
    ]
    assert any(line.startswith("  1.50  a") for line in lines)


def test_query_is_read_from_stdin(command, tmp_path):
    open_store(tmp_path / "store", create=True)
    done = command("sql", "--store", "store", "-", "--format", "json", stdin="select 42 as answer")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [{"answer": 42}]


def test_sql_takes_the_output_options_of_every_command(sql, tmp_path):
    assert sql("-f", "jsonl", "-n", "2", "select * from range(3) t(n)") == '{"n": 0}\n{"n": 1}\n'
    assert sql("-o", str(tmp_path / "rows.parquet"), QUERY) == ""
    stored = pq.read_table(tmp_path / "rows.parquet")
    assert stored["ts"].to_pylist()[0].isoformat() == "2026-11-20T06:00:00+00:00"
    assert sql("-o", str(tmp_path / "rows.csv"), "select 1 as a, [] as list") == ""
    assert (tmp_path / "rows.csv").read_text() == "a,list\n1,\n"


def test_fractions_of_a_second_are_written_only_where_there_are_some(sql):
    query = "select unnest([timestamptz '2026-11-20 08:00:00Z', timestamptz '2026-11-20 08:00:01.25Z']) as ts"
    expected = ["2026-11-20T08:00:00Z", "2026-11-20T08:00:01.250000Z"]
    assert [row["ts"] for row in json.loads(sql("-f", "json", query))] == expected


def test_rows_are_streamed(sql):
    """All rows of the query would take 8 TB, and hours."""
    query = "select * from range(1_000_000_000_000) t(n)"
    assert sql("-f", "jsonl", "-n", "2", query) == '{"n": 0}\n{"n": 1}\n'
    assert sql("-f", "csv", "-n", "1", query) == "n\n0\n"


def test_table_in_a_file_counts_all_rows_of_the_query(sql, tmp_path):
    """The query returns its rows in batches, of which the first has enough for the limit."""
    file = tmp_path / "rows.txt"
    assert sql("-n", "2", "-o", str(file), "select * from range(100_000)") == ""
    assert file.read_text().splitlines()[-1] == "2 of 100,000 rows; --limit 0 shows all"


def test_error_after_some_rows_says_how_many_were_written(tmp_path, capsys, monkeypatch):
    def stream(layout, text, allow):
        table = pa.table({"n": [1, 2]})

        def tables():
            yield table
            raise StoreError("the disk failed")

        return table.schema, tables()

    open_store(tmp_path / "store", create=True)
    monkeypatch.setattr("agora_analytics.store.query.stream", stream)
    file = tmp_path / "rows.csv"
    assert main(["sql", "--store", str(tmp_path / "store"), "from calls", "-o", str(file)]) == 74
    assert f"2 rows were written to {file} before that" in capsys.readouterr().err
    assert file.read_text() == "n\n1\n2\n"


def test_nanoseconds_are_written_in_full(sql):
    query = "select timestamp_ns '2026-11-20 08:00:00.123456789' as ts"
    assert json.loads(sql("-f", "json", query)) == [{"ts": "2026-11-20T08:00:00.123456789"}]


@pytest.mark.parametrize(
    ("file", "words", "message"),
    [
        ("x.html", (), "this command writes no HTML page"),
        ("x.svg", ("-f", "csv"), ".svg is not a format that can be written"),
        ("x.txt", ("-f", "csv"), "is a file for table, but --format is csv"),
        ("x.csv", ("-f", "json"), "is a file for csv, but --format is json"),
        ("x", (), "has no ending that names a format"),
    ],
)
def test_ending_of_output_is_a_format_or_an_error(capsys, tmp_path, file, words, message):
    open_store(tmp_path / "store", create=True)
    query = ["sql", "--store", str(tmp_path / "store"), "select 1 as a"]
    assert main([*query, "-o", str(tmp_path / file), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / file).exists()


def test_output_without_ending_takes_the_format(tmp_path):
    open_store(tmp_path / "store", create=True)
    query = ["sql", "--store", str(tmp_path / "store"), "select 1 as a"]
    assert main([*query, "-o", str(tmp_path / "rows"), "-f", "csv"]) == 0
    assert (tmp_path / "rows").read_text() == "a\n1\n"
    assert main([*query, "-o", "/dev/null"]) == 0
