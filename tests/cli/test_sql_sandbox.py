"""`sql` only reads: hostile statements change nothing, and read nothing outside the store and the allowed folders."""

import gc
import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agora_analytics.cli import main
from agora_analytics.store import duckdb_connection, open_store
from tests.conftest import slow
from tests.store.sample_calls import store_call

DUCKDB_2 = pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="needs DuckDB 2")
SECRET = "only-for-this-process"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a store, and with files beside it that a query must not read or change."""
    store_call(open_store(tmp_path / "store", create=True), "c1")
    (tmp_path / "beside").mkdir()
    (tmp_path / "store-2").mkdir()
    for name in ("beside", "store-2"):
        (tmp_path / name / "customers.csv").write_text("call_id,customer\nc1,Ms Ito\n")
    pq.write_table(pa.table({"call_id": ["c1"]}), tmp_path / "beside/customers.parquet")
    (tmp_path / "beside/rows.json").write_text('{"call_id": "c1"}\n')
    (tmp_path / "beside/other.duckdb").touch()
    (tmp_path / "store/link.csv").symlink_to(tmp_path / "beside/customers.csv")
    monkeypatch.chdir(tmp_path / "beside")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:9")
    return tmp_path


def snapshot(folder):
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")
    }


@pytest.fixture
def refused(folder, capsys):
    """Run a statement that must fail with exit code 2 and one line on stderr, and change no file."""

    def run(statement, *words):
        text = statement.replace("$STORE", str(folder / "store")).replace("$BESIDE", str(folder / "beside"))
        before = snapshot(folder)
        code = main(["sql", "--store", str(folder / "store"), *words, text])
        written = capsys.readouterr()
        assert snapshot(folder) == before
        assert (code, written.out) == (2, "")
        assert written.err.count("\n") == 1
        assert "please report" not in written.err
        return written.err

    return run


WRITES = [
    "copy calls to '$STORE/x.csv'",
    "copy (select 1) to '$BESIDE/x.parquet'",
    "copy calls from '$BESIDE/customers.csv'",
    "explain analyze copy calls to '$STORE/x.csv'",
    "EXPLAIN ANALYZE\tCOPY (select 1) TO '$STORE/_store.json'",
    "explain (analyze) copy calls to '$STORE/x.csv'",
    "explain (analyze, format json) copy calls to '$STORE/x.csv'",
    "explain (format html, analyze true) copy calls to '$STORE/x.csv'",
    "explain copy calls to '$STORE/x.csv'",
    "explain analyze (format /*) select 1 -- */ json) copy calls to '$STORE/x.csv'",
    "-- explain select 1\nexplain analyze copy calls to '$STORE/x.csv'",
    "with t as (copy calls to '$STORE/x.csv') select * from t",
    "with t as (copy calls to '$STORE/_store.json') select 1 from t",
    "select * from (with t as (copy calls to '$STORE/x.csv') from t)",
    "select 1 where exists (with t as (copy calls to '$STORE/x.csv') from t)",
    "with u as (with t as (copy calls to '$STORE/x.csv') from t) from u",
    "explain analyze with t as (copy calls to '$STORE/x.csv') from t",
    "describe (with t as (copy calls to '$STORE/x.csv') from t)",
    "with t as (insert into calls values (1) returning *) from t",
    "with t as (delete from calls returning *) from t",
    "with t as (update calls set cname = 'x' returning *) from t",
    "select 1; copy calls to '$STORE/x.csv'",
    "select 1;; select 2",
    "insert into calls values (1)",
    "delete from calls",
    "update calls set cname = 'x'",
    "drop view calls",
    "create table t as select 1",
    "explain analyze create table t as select 1",
    "create or replace view calls as select 1",
    "create macro f() as table select 1",
    "create secret s (type http, bearer_token 'x')",
    "alter view calls rename to x",
    "truncate calls",
    "export database '$BESIDE/dump'",
    "import database '$BESIDE'",
    "attach '$BESIDE/new.duckdb'",
    "attach '$BESIDE/other.duckdb' (read_only)",
    "detach memory",
    "use memory",
    "install httpfs",
    "load httpfs",
    "update extensions",
    "set threads = 1",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset all",
    "set variable x = 1",
    "pragma version",
    "pragma enable_profiling",
    "pragma profiling_output = '$STORE/profile.json'",
    "call pragma_version()",
    "call enable_logging(storage = 'file', storage_path = '$STORE/log')",
    "begin",
    "checkpoint",
    "vacuum",
    "analyze",
    "prepare p as select 1",
    "execute p",
    "explain analyze execute p",
    "merge into calls using sessions on true when matched then delete",
    "pivot calls on cname using count(*)",
    "",
    ";",
    "-- nothing",
]  # fmt: skip


@pytest.mark.parametrize("statement", WRITES)
def test_statement_that_does_not_only_read_is_refused(refused, statement):
    refused(statement)


FUNCTIONS = [
    "from enable_logging(storage = 'file', storage_path = '$STORE/log')",
    "from truncate_duckdb_logs()",
    "from checkpoint()",
    "from force_checkpoint()",
    "from query('select 1')",
    "from query('copy calls to ''$STORE/x.csv''')",
    "from query_table('$BESIDE/customers.csv')",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "from read_duckdb('$BESIDE/other.duckdb')",
    "from duckdb_secrets()",
    "from which_secret('s3://a', 's3')",
    "from duckdb_settings()",
    "from system.main.duckdb_settings()",
    'select (select value from "DuckDB_Settings"() limit 1)',
    "from sqlite_scan('$BESIDE/other.duckdb', 't')",
    "from create_external_resource('a')",
    "from add_grammar_extension('a')",
    "from copy_database('memory', 'x')",
    "explain analyze from enable_logging(storage = 'file', storage_path = '$STORE/log')",
]


@pytest.mark.parametrize("statement", FUNCTIONS)
def test_table_function_that_may_do_more_than_read_is_refused(refused, statement):
    assert "table function" in refused(statement)


FILES = [
    "from '$BESIDE/customers.csv'",
    "from 'customers.csv'",
    "from './customers.csv'",
    "from '$BESIDE/customers.parquet'",
    "from '$STORE/../beside/customers.csv'",
    "from '$STORE/calls/../../beside/customers.csv'",
    "from '$STORE-2/customers.csv'",
    "from 'file://$BESIDE/customers.csv'",
    "from '~/customers.csv'",
    "from read_csv(['$STORE/_store.json', '$BESIDE/customers.csv'])",
    "from read_csv('$BES' || 'IDE/customers.csv')",
    "from read_text('$BESIDE/customers.csv')",
    "from read_blob('$BESIDE/*')",
    "from read_json('$BESIDE/rows.json')",
    "from read_parquet('$BESIDE/../**/*.parquet')",
    "from parquet_metadata('$BESIDE/customers.parquet')",
    "from sniff_csv('$BESIDE/customers.csv')",
    "from glob('$BESIDE/*')",
    "from glob('$STORE*/*')",
    "from glob('/**')",
    "from read_text('/proc/self/environ')",
    "from read_text('/etc/passwd')",
    "from read_text('/dev/stdin')",
    "from read_text('.tmp/x')",
    "from 'http://127.0.0.1:9/x.csv'",
    "from 'https://127.0.0.1:9/x.parquet'",
    "from 's3://bucket/x.parquet'",
    "from 'hf://datasets/x/y.csv'",
    "select * from calls where call_id in (select call_id from '$BESIDE/customers.csv')",
    "summarize '$BESIDE/customers.csv'",
    "describe '$BESIDE/customers.csv'",
    "explain analyze from '$BESIDE/customers.csv'",
]


@pytest.mark.parametrize("statement", FILES)
def test_file_outside_the_store_is_not_readable(refused, folder, statement):
    (folder / "other").mkdir()
    message = refused(statement, "--allow", str(folder / "other"))
    assert "cannot read" in message
    assert "--allow DIR" in message


@DUCKDB_2  # DuckDB 1 does not resolve links
def test_link_in_the_store_to_a_file_outside_is_not_readable(refused):
    assert "cannot read" in refused("from '$STORE/link.csv'")


@pytest.mark.parametrize(
    "statement",
    ["select getenv('HTTP_PROXY')", "from monkeypatch", "from text", "from connection", "select ?", "selec"],
)
def test_environment_and_variables_are_not_readable(refused, statement):
    refused(statement)


@pytest.fixture
def rows(folder, capsys):
    def run(statement, *words, store=folder / "store"):
        assert main(["sql", "--store", str(store), "-f", "json", *map(str, words), statement]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_proxy_password_of_the_environment_is_not_readable(rows):
    assert rows("select current_setting('http_proxy') as p") == [{"p": ""}]
    assert SECRET not in json.dumps(rows("from pg_settings"))


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from calls",
        "from calls",
        "table calls",
        "values (1)",
        "(select 1) union all (select 2)",
        "with t as materialized (select 1) from t",
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 3) from t",
        "describe calls",
        "summarize calls",
        "show tables",
        "explain select * from calls",
        "explain analyze select * from calls",
        "\n-- why\n/* more */ explain (format json) from calls",
        "explain (analyze, format json) (select 1) union all (select 2)",
        "pivot metrics on mid in (20003, 20018) using avg(value)",
        "unpivot (select 1 as a, 2 as b) on a, b",
        "select * from range(3), unnest([1, 2])",
        "select * from generate_series(1, 3)",
        "select 'copy calls to x; select 1'",
        "select 1;",
        "from quality",
    ],
)
def test_statement_that_reads_is_accepted(rows, statement):
    assert rows(statement)


def test_files_of_the_store_are_readable(rows, folder):
    assert rows(f"select count(*) as n from '{folder}/store/metrics/*/*/*.parquet'")[0]["n"] > 0


def test_allowed_folder_is_readable_and_not_writable(rows, refused, folder, monkeypatch):
    join = "select call_id, customer from calls join '{}' using (call_id)"
    expected = [{"call_id": "c1", "customer": "Ms Ito"}]
    beside = folder / "beside"
    assert rows(join.format(beside / "customers.csv"), "--allow", beside) == expected
    monkeypatch.chdir(folder)
    assert rows(join.format("beside/customers.csv"), "--allow", "store-2", "--allow", "beside") == expected
    monkeypatch.chdir(beside)
    refused("with t as (copy calls to 'x.csv') from t", "--allow", str(beside))
    assert "cannot read" in refused(f"from '{folder}/store-2/customers.csv'", "--allow", str(beside))


def test_missing_file_and_damaged_file_of_the_user_are_named(refused, folder):
    (folder / "beside/damaged.parquet").write_bytes(b"PAR1")
    for name in ("nothing.csv", "nothing.parquet", "damaged.parquet"):
        message = refused(f"from '$BESIDE/{name}'", "--allow", ".")
        assert name in message
        assert "the file is damaged" not in message


def test_file_of_the_store_that_is_not_text_is_an_error_of_the_query(refused):
    assert "the query is wrong" in refused("from read_text('$STORE/calls/*/*/*.parquet')")


def test_allowed_folder_must_exist(refused):
    assert "is not a folder" in refused("select 1", "--allow", "nothing")


@pytest.mark.parametrize(
    "name", ["it's [a] *strange* day=1999-01-01 {name}?", *map(slow, ("app_id=b", "ü 会", "x,y]"))]
)
def test_store_is_readable_wherever_it_is(rows, folder, name):
    (folder / "store").rename(folder / name)
    (folder / "link").symlink_to(folder / name)
    for spelling in (folder / name, f"../{name}", f"./../beside/../{name}", folder / "link", "../link"):
        assert rows("select count(*) as n from calls", store=spelling) == [{"n": 1}]
        assert rows("select count(*) > 0 as yes from quality", store=spelling) == [{"yes": True}]


@pytest.mark.parametrize("link", ["store", "store/calls"])
@pytest.mark.parametrize("content", [b"PAR1", b"", b"PAR1" + bytes(60) + b"PAR1"])
def test_damaged_file_of_the_store_is_an_error_of_the_store(folder, capsys, link, content):
    (folder / link).rename(folder / "elsewhere")
    (folder / link).symlink_to(folder / "elsewhere")
    (file,) = (folder / "store/calls").glob("*/*/*.parquet")
    file.write_bytes(content)
    assert main(["sql", "--store", str(folder / "store"), "from calls"]) == 74
    message = capsys.readouterr().err
    assert "the file is damaged" in message
    assert str(file) in message


def test_explained_query_is_the_judged_query(rows, folder):
    """Comments in comments must not hide another statement from the judgement."""
    before = snapshot(folder / "store")
    rows(f"/* /* */ explain select 1 -- */ explain analyze copy calls to '{folder}/store/x.csv'")
    assert snapshot(folder / "store") == before


def test_folder_of_a_table_may_be_a_link(rows, folder):
    (folder / "store/metrics").rename(folder / "large disk")
    (folder / "store/metrics").symlink_to(folder / "large disk")
    assert rows("select count(*) > 0 as yes from metrics") == [{"yes": True}]


@DUCKDB_2  # the memory that a query needs depends on the version
def test_query_that_needs_more_memory_uses_a_temporary_folder(rows, folder, monkeypatch):
    connect = duckdb_connection.connect

    def small():
        connection = connect()
        connection.execute("SET memory_limit = '40MB'; SET threads = 1")
        return connection

    monkeypatch.setattr(duckdb_connection, "connect", small)
    (folder / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "scratch"))
    duckdb_connection._private_folder.cache_clear()
    before = snapshot(folder / "beside")
    text = "select i, md5(i::varchar) as s from range(700_000) t(i) order by s limit 1 offset 699_999"
    assert rows(text) == [{"i": 40691, "s": "fffffe98d0963d27015c198262d97221"}]
    gc.collect()
    (private,) = (folder / "scratch").iterdir()
    duckdb_connection._private_folder.cache_clear()
    assert private.stat().st_mode & 0o777 == 0o700
    assert list(private.iterdir()) == []
    assert snapshot(folder / "beside") == before
