"""`harvest`, `sql`, `compact` and `estimate` on a store in a bucket."""

import csv
import io

import pytest

pytest.importorskip("deltalake")
pytest.importorskip("obstore")

LAST_DAY = ("--since", "1d")


@pytest.fixture
def place(s3, environment):
    environment.update(s3.environment)
    return f"{s3.url}/calls"


def counted(ended):
    assert ended.returncode == 0, ended.stderr
    return list(csv.reader(io.StringIO(ended.stdout)))[1:]


def test_harvest_and_query_a_bucket(command, base_url, place, world):
    ended = command("harvest", *LAST_DAY, "--out", place)
    assert ended.returncode == 0, ended.stderr
    assert place in ended.stdout + ended.stderr
    query = "select count(*), sum(c.finished::int) from calls c"
    calls = counted(command("sql", "--store", place, "--format", "csv", query))[0][0]
    assert int(calls) == len(world.calls)
    again = command("harvest", *LAST_DAY, "--out", place, "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert command("compact", "--store", place).returncode == 0
    summed = command("sql", "--store", place, "--format", "csv", "select sum(samples) from quality_hours")
    whole = command("sql", "--store", place, "--format", "csv", "select count(*) from quality")
    assert counted(summed) == counted(whole)
    refused = command("rollup", "--store", place)
    assert (refused.returncode, "has no roll-ups" in refused.stderr) == (2, True)
    estimated = command("estimate", *LAST_DAY, "--out", place)
    assert estimated.returncode == 0, estimated.stderr
    assert f"{calls} more are in the store" in estimated.stdout + estimated.stderr


def test_query_of_a_bucket_reads_no_other_files(fails, command, base_url, place):
    assert command("harvest", *LAST_DAY, "--out", place, "--quiet").returncode == 0
    message = fails(2, "sql", "--store", place, "from read_text('/etc/hostname')")
    assert "reads files only in the store" in message


def test_missing_store_and_credentials_in_the_url_are_reported(fails, place):
    assert f"the store {place} does not exist" in fails(74, "sql", "--store", place, "select 1")
    message = fails(2, "sql", "--store", "s3://key:hidden@bucket/calls", "select 1")
    assert "credentials" in message
    assert "hidden" not in message
