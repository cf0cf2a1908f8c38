"""Refusals, faults, partial responses and the limit of 30 seconds, through the whole client."""

import asyncio

import pytest

from agora_analytics import errors
from agora_analytics.engine.events import PartialResponse, Waited
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.opentok import ProjectKey
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.simulator import Faults, OpenTokWorld
from agora_analytics.simulator.opentok import Rules
from tests.conftest import response, slow
from tests.opentok.harness import (
    DAY,
    IDS,
    KEY,
    NOW,
    SECRET,
    WORLD,
    data,
    make_harness,
    scripted,
    summaries,
    without_sharing,
)
from tests.opentok.test_judge import VERDICTS
from tests.opentok.test_listings import expected_samples, sample_rows

LONG = RetryPolicy(deadline=None)


async def ask(client):
    return await client.session_summaries("16d").collect()


# ---- codes


@pytest.mark.parametrize("code", VERDICTS)
def test_every_code_raises_its_error_type(code):
    harness = make_harness()
    harness.simulator.fail_with(code, times=10)
    with pytest.raises(VERDICTS[code][1], match=str(code)) as caught:
        harness.run(ask)
    assert caught.value.code == code
    assert caught.value.endpoint == "opentok/session_data"
    assert harness.requests.total() == len(caught.value.trail) == {1001: 2, 1011: 2, 1012: 6}.get(code, 1)


@pytest.mark.parametrize("code", VERDICTS)
def test_error_of_one_field_is_reported_with_the_other_data(code):
    harness = make_harness()
    harness.simulator.fail_with(code, at="meetings", times=10)
    (page,) = harness.run(lambda client: pages_of(client.session_summaries("16d")))
    assert [one.session_id for one in page.records] == IDS
    assert [one.code for one in page.problems] == [code]
    assert page.problems[0].path == ("project", "sessionData", "sessionSummaries", "resources", 0, "meetings")
    assert [len(one.meetings) > 0 for one in page.records] == [False] + [True] * (len(IDS) - 1)
    assert [event.code for event in harness.events_of(PartialResponse)] == [code]


@pytest.mark.parametrize(
    "project", [None, {}, {"sessionData": None}, {"sessionData": {"sessionSummaries": None}}]
)
def test_missing_list_is_not_an_empty_list(project):
    with pytest.raises(errors.DecodeError, match="no list sessionSummaries") as caught:
        scripted(data(project)).run(ask)
    assert caught.value.path == "$.data.project.sessionData.sessionSummaries"
    assert caught.value.endpoint == "opentok/session_data"


def test_failed_part_is_complete_after_a_retry():
    harness = make_harness()
    harness.simulator.fail_with(1012, at="streamStatsCollection")
    found = harness.run(lambda client: client.stream_stats(IDS[0]).collect())
    assert sample_rows(found) == expected_samples(keep=lambda session, _: session.session_id == IDS[0])
    assert harness.events_of(PartialResponse) == []


async def pages_of(listing):
    return [page async for page in listing.pages()]


def test_errors_without_data_are_raised():
    harness = make_harness()
    harness.simulator.fail_with(1016, at="meetings")
    with pytest.raises(errors.NotFound, match="1016"):
        harness.run(lambda client: client.meetings(IDS[0]).collect())


@pytest.mark.parametrize("missing", ["refuse", "partial"])
def test_unknown_session(missing):
    harness = make_harness(rules=Rules(missing=missing))

    async def job(client):
        with pytest.raises(errors.NotFound, match="1017"):
            await client.sessions("1_another").collect()
        return await pages_of(client.sessions([IDS[0], "1_another", IDS[1]]))

    if missing == "refuse":
        with pytest.raises(errors.NotFound, match="1017"):
            harness.run(job)
        return
    (page,) = harness.run(job)
    assert [one.session_id for one in page.records] == IDS[:2]
    assert [one.code for one in page.problems] == [1017]


def test_without_the_add_on_only_project_data_are_available():
    harness = make_harness(rules=Rules(add_on=False))

    async def job(client):
        with pytest.raises(errors.AccessDenied, match="add-on"):
            await ask(client)
        return await client.project_data("10d").collect()

    assert len(harness.run(job)) == 1


def test_exceeded_node_limit_is_explained():
    with pytest.raises(errors.AccessDenied, match="requests too much"):
        make_harness(rules=Rules(node_limit=100)).run(ask)


def test_first_stays_within_the_server_limit():
    strict = make_harness(rules=Rules(excess="refuse"))
    assert len(strict.run(lambda client: client.stream_stats(IDS).collect())) == len(expected_samples())


@pytest.mark.parametrize(("theirs", "code", "error"), [
    ("45000002", 1019, errors.AuthenticationError), ("45000003", 1015, errors.NotFound),
])  # fmt: skip
def test_project_of_another_key_is_refused(theirs, code, error):
    harness = make_harness(projects={KEY: SECRET, "45000002": SECRET})
    query = f"{{ project(projectId: {theirs}) {{ sessionData {{ sessionSummaries(start: 1795000000) {{ totalCount }} }} }} }}"
    with pytest.raises(error, match=str(code)):
        harness.run(lambda client: client.query(query))


def test_wrong_secret_is_not_retried():
    harness = make_harness()
    with pytest.raises(errors.AuthenticationError, match="1020"):
        harness.run(ask, ProjectKey(KEY, "another0secret0of0forty0characters000000"))
    assert harness.requests.total() == 1


# ---- faults


@pytest.mark.parametrize(
    "kind", ["reset", "500", "503-html", "504-html", "cut-off", "broken-json", "lost-answer", "429"]
)
def test_one_fault_is_retried(kind):
    harness = make_harness(faults=Faults(script=(kind,)))
    assert [one.session_id for one in harness.run(ask)] == IDS
    assert harness.requests.total() == 2


def test_many_faults_lose_and_repeat_no_sample():
    ended = OpenTokWorld.generate(  # an active meeting would grow during the waits between attempts
        seed=7, since=NOW - 15 * DAY, until=NOW - DAY, sessions=8, ongoing_share=0
    )
    ids = [session.session_id for session in ended.sessions]
    harness = make_harness(ended, faults=Faults(share=0.3, seed=4), latency=(0.01, 0.1))
    retry = RetryPolicy(timeout=5, deadline=None, attempts=15, rate_attempts=15)
    found = harness.run(lambda client: client.stream_stats(ids).collect(), retry=retry)
    assert sample_rows(found) == expected_samples(ended)
    assert harness.simulator.seen.faults.total() > 3


def test_html_page_with_status_200_is_an_error():
    page = response(b"<html>sign in</html>", content_type="text/html")
    with pytest.raises(errors.ServerError, match=r"the body \(text/html\) is not a response"):
        scripted(page).run(ask)


def test_persistent_rate_limit_is_raised():
    harness = scripted(response({"message": "Too Many Requests"}, 429, retry_after="3"))
    with pytest.raises(errors.RateLimited, match="Too Many Requests"):
        harness.run(ask, retry=LONG)
    assert len(harness.transport.requests) == RetryPolicy().rate_attempts


# ---- fewer than 100 requests in 30 seconds, of a key and from an address


async def many(client, times):
    without_sharing(client)
    await asyncio.gather(*(client.sessions(IDS[0]).collect() for _ in range(times)))


@pytest.mark.parametrize(
    ("latency", "times"), [((0.01, 0.4), 250), slow((0.01, 0.4), 500), slow((0.0, 0.0), 500)]
)
@pytest.mark.slow
def test_client_sends_fewer_than_100_requests_in_30_seconds(latency, times):
    harness = make_harness(latency=latency)

    async def job(client):
        begin = harness.clock.now()
        await many(client, times)
        return harness.clock.now() - begin

    seconds = harness.run(job, retry=LONG)
    assert harness.requests.total() == times
    assert max(harness.simulator.rate_windows.worst.values()) < 100
    assert 0.22 * times < seconds < 0.32 * times  # the rate is used: 99 requests take at least 30 s
    assert any("99 requests in 30.4 s" in event.rule for event in harness.events_of(Waited))


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_clients_with_different_keys_share_the_limit_of_the_address(kept, tmp_path):
    ledger = MemoryLedger() if kept == "in memory" else SqliteLedger(tmp_path / "ledger")
    other = OpenTokWorld.generate(
        seed=7, since=NOW - 15 * DAY, until=NOW - 3600, sessions=1, session_ids=IDS[:1], project_id="45000002"
    )
    projects = {KEY: SECRET, "45000002": SECRET}
    harness = make_harness([WORLD, other], projects=projects, latency=(0.02, 0.1))

    async def job(first):
        async with harness.client(ProjectKey("45000002", SECRET), ledger=ledger, retry=LONG) as second:
            await asyncio.gather(many(first, 130), many(second, 130))
        await ledger.aclose()

    harness.run(job, ledger=ledger, retry=LONG)
    assert harness.simulator.rate_windows.worst["key 45000001"] > 30
    assert harness.simulator.rate_windows.worst["key 45000002"] > 30
    assert harness.simulator.rate_windows.worst["address 127.0.0.1"] < 100
    assert harness.requests.total() == 260


async def test_clients_of_a_process_share_one_ledger():
    async with (
        AsyncOpenTok(ProjectKey(KEY, SECRET)) as one,
        AsyncOpenTok(ProjectKey("45000002", SECRET)) as two,
    ):
        assert one._engine._ledger is two._engine._ledger
        assert one._engine._account == two._engine._account


@pytest.mark.slow
def test_client_waits_when_another_program_uses_the_limit():
    """Another program on this machine uses the limit of the address: refused requests are retried later."""
    harness = make_harness(latency=(0.02, 0.1))

    async def job(client):
        async with harness.client(ledger=MemoryLedger(), retry=LONG) as another_program:
            await asyncio.gather(many(client, 90), many(another_program, 90))

    harness.run(job, retry=RetryPolicy(deadline=None, rate_attempts=20))
    accepted = harness.simulator.seen.accepted.total()
    assert accepted == 180
    assert harness.requests.total() > accepted


def test_quota_counts_sent_requests():
    harness = make_harness()

    async def job(client):
        await ask(client)
        await client.project_data("10d").collect()
        return await client.quota(), dict(client.sent)

    quotas, sent = harness.run(job)
    assert sent == {"opentok/session_data": 1, "opentok/project_data": 1}
    assert {quota.spent for quota in quotas} == {2}  # they share one budget
    assert {quota.requests for quota in quotas} == {99}
    assert all(30 < quota.period < 31 for quota in quotas)


def test_empty_list_is_not_an_error():
    assert scripted(data(summaries())).run(ask) == []
