"""The commands of OpenTok, as a shell runs them, against the simulator over a real socket."""

import csv
import io
import json
import re
import signal
import time

import pytest

from agora_analytics.simulator import serve_in_thread
from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld, Rules
from agora_analytics.store import open_store

DAY = 86_400
((KEY, SECRET),) = DEMO_PROJECT.items()


@pytest.fixture(scope="module")
def made():
    """Six days, the sessions of which have all ended."""
    until = time.time() - 7200
    return OpenTokWorld.generate(
        seed=7, since=until - 6 * DAY, until=until, sessions=5, ongoing_share=0, peers=1
    )


@pytest.fixture
def serve(environment):
    """Serve a world by some rules; the environment names it."""

    def serving(made, **rules):
        simulator = OpenTokSimulator(made, rules=Rules(**rules))
        return simulator, serve_in_thread(simulator)

    environment |= {"OPENTOK_API_KEY": KEY, "OPENTOK_API_SECRET": SECRET}
    return serving


@pytest.fixture
def simulator(serve, made, environment):
    simulator, served = serve(made)
    with served as url:
        environment["OPENTOK_BASE_URL"] = url
        yield simulator


@pytest.mark.slow
def test_sessions_stats_and_project_rows(command, simulator, made):
    rows = list(
        csv.DictReader(io.StringIO(command("opentok", "sessions", "--since", "7d", "-f", "csv").stdout))
    )
    assert len(rows) == sum(len(session.meetings) for session in made.sessions)
    one = rows[0]["session_id"]
    lines = command("opentok", "stats", "--role", "publisher", "-f", "jsonl", "--", one).stdout.splitlines()
    samples = [json.loads(line) for line in lines]
    streams = [p for meeting in made.session(one).meetings for p in meeting.publishers]
    assert len(samples) == sum(len(made.samples(stream)) for stream in streams)
    assert {sample["role"] for sample in samples} == {"publisher"}
    days = command("opentok", "project", "errors.connect.failures", "--since", "6d", "--each", "day").stdout
    assert re.search(r"from +connect failures\n─+\n20\d\d-\d\d-\d\d 0[78]:00:00Z +\d", days)


@pytest.mark.slow
def test_field_or_dimension_that_is_named_twice_counts_once(command, simulator):
    words = ("opentok", "project", *2 * ["errors.connect.failures"], "--by", "country", "--by", "COUNTRY")
    done = command(*words, "--since", "6d", "--format", "csv")
    assert done.stdout.splitlines()[0] == "country,errors.connect.failures"


def test_query_fetches_all_pages_as_json(command, simulator, made):
    text = "query ($n: Int) { project(projectId: 45000001) { sessionData { sessionSummaries(start: %d, first: $n) { resources { sessionId } } } } }"
    done = command("opentok", "query", text % (time.time() - 7 * DAY), "--variables", '{"n": 2}')
    listing = json.loads(done.stdout)["project"]["sessionData"]["sessionSummaries"]
    assert list(listing) == ["resources"]  # the client has added pageInfo
    found = listing["resources"]
    assert {one["sessionId"] for one in found} == {session.session_id for session in made.sessions}


@pytest.mark.slow
def test_harvest_resumes_and_fills_the_quality_view(command, simulator, tmp_path):
    words = ("opentok", "harvest", "--since", "7d", "--out", "quality.store")
    first = command(*words)
    assert first.returncode == 0, first.stderr
    counts = open_store(tmp_path / "quality.store").counts()
    assert counts["points"] > 1000
    assert "were already in the store" in command(*words).stdout
    assert open_store(tmp_path / "quality.store").counts() == counts
    found = command(
        "sql", "--store", "quality.store", "select distinct vendor from quality", "--format", "csv"
    )
    assert found.stdout == "vendor\nopentok\n"


@pytest.mark.slow
def test_dry_run_counts_sessions_and_stores_nothing(command, simulator, made, tmp_path):
    words = ("opentok", "harvest", "--since", "7d", "--out", "quality.store")
    done = command(*words, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    entries = sum(len(session.meetings) for session in made.sessions)
    days = int(re.search(r"opentok/project_data +([78]) *\nNothing was stored", done.stdout)[1])
    assert f"{entries + days} meetings and days to visit" in done.stdout
    assert re.search(rf"endpoint +requests *\n *─+\n *opentok/session_data +{entries + 1} *\n", done.stdout)
    assert "This estimate took 1 request (opentok/session_data 1)." in done.stdout
    assert "quota" not in done.stdout
    assert not (tmp_path / "quality.store").exists()
    command(*words)
    assert re.search(r"\n  3 meetings and days to visit \(\d+ more are", command(*words, "--dry-run").stdout)


@pytest.mark.slow
def test_harvest_without_advanced_insights_stores_days_and_reports_sessions(
    command, serve, made, environment
):
    _, served = serve(made, add_on=False)
    with served as url:
        environment["OPENTOK_BASE_URL"] = url
        words = ("opentok", "harvest", "--since", "5d", "--out", "quality.store")
        before, done = command(*words, "--dry-run"), command(*words)
    assert before.returncode == 0
    assert re.search(r"the harvest will skip it:\n    sessions: 1014 ", before.stdout)
    assert done.returncode == 75
    assert "could not be harvested" in done.stderr
    assert "1014" in done.stdout


@pytest.mark.slow
def test_errors_are_one_line(fails, simulator, environment):
    assert "looks like milliseconds" in fails(2, "opentok", "sessions", "--since", "1763000000000")
    assert "too far back" in fails(2, "opentok", "sessions", "--since", "90d", "--until", "80d")
    assert "does not exist" in fails(2, "opentok", "stats", "1_MX4nope")
    assert "Cannot query field" in fails(2, "opentok", "query", "{ project(projectId: 45000001) { nope } }")
    assert "use one of day, week, month" in fails(2, "opentok", "project", "--each", "hour")
    assert "use one of sdk_type" in fails(2, "opentok", "project", "--by", "planet")
    assert "not GraphQL" in fails(2, "opentok", "query", "{ project(")
    assert "not a JSON object" in fails(2, "opentok", "query", "{ a }", "--variables", "[1]")
    environment["OPENTOK_API_SECRET"] = "another0secret0of0forty0characters000000"
    message = fails(77, "opentok", "harvest", "--since", "1d", "--out", "s")
    assert "check the secret" in message
    assert "another0" not in message
    del environment["OPENTOK_API_KEY"]
    assert "not set in the environment: OPENTOK_API_KEY" in fails(78, "opentok", "sessions")


@pytest.mark.slow
def test_harvest_with_the_printed_environment_of_the_simulator(start, command):
    server = start("opentok", "simulate", "--port", "0", "--sessions", "2", "--days", "1")
    exports = {}
    for line in server.stdout:
        if match := re.match(r"  export (\w+)=(\S+)", line):
            exports[match[1]] = match[2]
        if "agora-analytics opentok harvest" in line:
            words = line.split()[1:]
            break
    assert command(*words, env=exports).returncode == 0
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "")
    assert "no limit was exceeded" in out
