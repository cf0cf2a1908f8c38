"""`validate=False` sends the arguments unchanged, so that the server refuses them."""

import pytest

from agora_analytics.errors import BadRequest, InvalidRequest, ServerError, WindowRefused

harness = pytest.importorskip("tests.harvest.harness")
SINCE, UNTIL = harness.SINCE, harness.UNTIL
CALL = "0" * 24


@pytest.fixture
def project(tmp_path):
    return harness.make_harness(harness.simple_world(5), tmp_path / "store")


WRONG = {
    "milliseconds": (lambda client, **how: client.calls(SINCE * 1000, UNTIL * 1000, **how), ServerError),
    "swapped ends": (lambda client, **how: client.calls(UNTIL, SINCE, **how), BadRequest),
    "too long": (lambda client, **how: client.calls(SINCE - 86_400, UNTIL, **how), WindowRefused),
    "too far back": (
        lambda client, **how: client.calls(SINCE - 30 * 86_400, SINCE - 29.5 * 86_400, **how),
        WindowRefused,
    ),
    "a long call's metrics": (
        lambda client, **how: client.metrics(CALL, SINCE, UNTIL, sids=["S1"], **how),
        WindowRefused,
    ),
    "eleven uids": (
        lambda client, **how: client.sessions(CALL, SINCE, SINCE + 60, uids=range(11), **how),
        BadRequest,
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_validate_false_leaves_errors_to_the_server(project, wrong):
    ask, error = WRONG[wrong]

    async def job(client):
        with pytest.raises(error):
            await ask(client, validate=False).collect()

    project.run(job)
    assert project.simulator.seen.requests.total() >= 1


@pytest.mark.parametrize("wrong", ["milliseconds", "swapped ends", "too far back", "eleven uids"])
def test_validate_of_a_call_overrides_the_client(project, wrong):
    ask, error = WRONG[wrong]

    async def job(client):
        with pytest.raises(InvalidRequest):
            await ask(client, validate=True).collect()
        assert not project.simulator.seen.requests
        with pytest.raises(error):
            await ask(client).collect()

    project.run(job, validate=False)


def test_validate_false_sends_both_ends_unchanged(project):
    asked = []

    async def job(client):
        await client.calls(SINCE, SINCE + 3600, page_size=500, validate=False).collect()

    answer = project.simulator.app

    async def listening(scope, receive, send):
        asked.append(scope["query_string"].decode())
        await answer(scope, receive, send)

    from agora_analytics import AsgiTransport

    project.run(job, transport=AsgiTransport(listening))
    assert f"start_ts={SINCE}&end_ts={SINCE + 3600}" in asked[0]
    assert "page_size=500" in asked[0]
