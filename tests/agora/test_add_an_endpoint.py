"""An endpoint takes one row of data and one method: the recipe of `docs/contributing/adding-an-endpoint.md`, executed."""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from attrs import evolve, field, frozen

import agora_analytics
from agora_analytics import Agora, AsyncAgora, Call, Limits, errors
from agora_analytics.agora import plans, query_operations
from agora_analytics.agora.call_arguments import call_id_of
from agora_analytics.agora.enums import Names
from agora_analytics.agora.parsers import Number, QueryContext
from agora_analytics.agora.plans import DAY, ENTERPRISE, HOUR
from agora_analytics.agora.queries import QueryFilters
from agora_analytics.agora.query_operations import QueryOperation
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.records import Uid
from agora_analytics.agora.window_policies import clip_end_only, snake_case_ends
from agora_analytics.blocking.wrappers import awaited
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.instants import Instant
from agora_analytics.testing import VirtualClock
from tests.agora.reference import table
from tests.conftest import CUSTOMER, NOW, SECRET, ok, response
from tests.harness import Harness, Scripted

PACKAGE = Path(agora_analytics.__file__).parent
DOCS = PACKAGE.parent / "docs"
T = int(NOW)

# ---- the invented endpoint, word for word as the recipe has it

CALL_SCORE = "call/score"
SCORE_LIMITS = Limits(requests=10, per_day=10_000, reach=15 * DAY, span=6 * HOUR, delay=100)


@frozen(kw_only=True)
class UserScore:
    """The score of one user of a call."""

    metric: str
    uid: Uid
    score: Number | None
    since: int
    until: int
    extra: Mapping[str, Any] = field(factory=dict)


def user_scores(context: QueryContext, data: Any) -> list[UserScore]:
    """Read `[{uid, <metric>}]`."""
    return context.records(UserScore, data, names={"score": context.metric}, present=["score"])


SCORE: QueryOperation[UserScore] = QueryOperation(
    name=CALL_SCORE,
    path="/beta/analytics/call/score",
    record=UserScore,
    parse=user_scores,
    metrics=frozenset({"audio_score", "video_score"}),
    write_window=snake_case_ends,
    clip=clip_end_only,
)


class AsyncScoring(AsyncAgora):
    async def user_scores(
        self,
        call: Call | str,
        metrics: Names = "audio_score",
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        validate: bool | None = None,
    ) -> Rows[UserScore]:
        """Return a row for each metric and user of a call."""
        filters = QueryFilters(params={"call_id": call_id_of(call)})
        window = self._window_of(call, since, until, validate)
        return await self._queries.query(SCORE, metrics, window, filters, validate)


class Scoring(Agora):
    user_scores = awaited(AsyncScoring.user_scores)


# ---- what it can do


PLAN = evolve(ENTERPRISE, limits={**ENTERPRISE.limits, CALL_SCORE: SCORE_LIMITS})
AN_HOUR = {"since": T - 2 * HOUR, "until": T - HOUR}


def run(work, *script, **settings):
    """Run work with a client against a scripted server, on virtual time; return the result and the requests."""
    transport, defaults = Scripted(*script), {"app_id": "app", "plan": PLAN}
    harness = Harness(AsyncScoring, (CUSTOMER, SECRET), defaults, VirtualClock(NOW), transport=transport)
    return harness.run(work, **settings), transport.requests


def test_rows_become_records():
    rows, (request,) = run(
        lambda client: client.user_scores("c1", **AN_HOUR),
        ok(data=[{"uid": 7, "audio_score": 4.2, "new": 1}]),
    )
    assert list(rows) == [
        UserScore(
            metric="audio_score",
            uid=Uid("7"),
            score=4.2,
            since=T - 2 * HOUR,
            until=T - HOUR - 1,
            extra={"new": 1},
        )
    ]
    assert rows.meta[0].status == 200
    assert (request.method, request.path) == ("GET", "/beta/analytics/call/score")
    assert dict(request.query) == {
        "start_ts": str(T - 2 * HOUR),
        "end_ts": str(T - HOUR - 1),
        "appid": "app",
        "call_id": "c1",
        "metric": "audio_score",
    }


def test_a_long_call_and_several_metrics_are_several_requests():
    _, requests = run(
        lambda client: client.user_scores(
            "c1", ["audio_score", "video_score"], since=T - 8 * HOUR, until=T - HOUR
        ),
        ok(data=[]),
    )
    sent = [dict(request.query) for request in requests]
    assert [(each["metric"], int(each["end_ts"]) - T) for each in sent] == [
        ("audio_score", -2 * HOUR - 1),
        ("audio_score", -HOUR - 1),
        ("video_score", -2 * HOUR - 1),
        ("video_score", -HOUR - 1),
    ]


def test_the_end_is_clipped_to_the_available_data():
    rows, _ = run(
        lambda client: client.user_scores("c1", since=T - HOUR, until=T),
        ok(data=[{"uid": 7, "audio_score": 1}]),
    )
    assert T - 110 < rows[0].until < T - 100


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "text"),
    [
        ({"since": T - 20 * DAY, "until": T - 19 * DAY}, {}, errors.WindowOutOfReach, "reaches 360 h"),
        ({"metrics": "user_count", **AN_HOUR}, {}, errors.InvalidRequest, "it has audio_score, video_score"),
        ({}, {}, errors.InvalidRequest, "needs since= and until="),
        (
            AN_HOUR,
            {"plan": "enterprise"},
            errors.InvalidRequest,
            "the enterprise plan does not include call/score",
        ),
    ],
)
def test_what_the_plan_or_the_endpoint_does_not_have_takes_no_request(arguments, settings, error, text):
    transport = Scripted(ok(data=[]))
    with pytest.raises(error, match=text):
        run(lambda client: client.user_scores("c1", **arguments), **settings | {"transport": transport})
    assert transport.requests == []


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (response({"code": 404, "message": "no call", "requestId": "r"}), errors.NotFound, "no call"),
        (response({"code": 500, "message": "oops", "requestId": "r"}), errors.ServerError, "oops"),
        (ok(data={"uid": 7}, requestId="r"), errors.DecodeError, r"expected a list, found dict at \$\.data"),
    ],
)
def test_errors_have_their_context(answer, error, text):
    with pytest.raises(error, match=text) as caught:
        run(lambda client: client.user_scores("c1", **AN_HOUR), answer, retry=RetryPolicy(attempts=1))
    failure = caught.value
    assert (failure.endpoint, failure.request_id, len(failure.trail)) == (CALL_SCORE, "r", 1)
    assert failure.host is not None


def test_an_error_after_a_response_has_the_records_so_far():
    script = [ok(data=[{"uid": 7, "audio_score": 1}]), response({"code": 404, "message": "no"})]
    with pytest.raises(errors.NotFound) as caught:
        run(lambda client: client.user_scores("c1", ["audio_score", "video_score"], **AN_HOUR), *script)
    assert [row.uid for row in caught.value.partial] == ["7"]


def test_without_validation_everything_is_sent_as_it_is():
    _, (request,) = run(
        lambda client: client.user_scores("c1", "other", since=5, until=T, validate=False), ok(data=[])
    )
    query = dict(request.query)
    assert (query["start_ts"], query["end_ts"], query["metric"]) == ("5", str(T), "other")


def test_the_rate_limit_of_its_plan_row_holds():
    async def eleven(client):
        begin = client._engine.clock.now()
        for _ in range(11):
            await client.user_scores("c1", **AN_HOUR)
        return client._engine.clock.now() - begin

    seconds, requests = run(eleven, ok(data=[]))
    assert len(requests) == 11
    assert 0.1 < seconds < 2


def test_the_blocking_twin_has_the_signature_and_the_docstring():
    assert Scoring.user_scores.__doc__ == AsyncScoring.user_scores.__doc__
    assert "since" in Scoring.user_scores.__signature__.parameters


# ---- how many files it takes


def test_the_recipe_has_the_code_of_this_file():
    recipe = (DOCS / "contributing" / "adding-an-endpoint.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", recipe, re.DOTALL)
    source = dedent(Path(__file__).read_text())
    assert len(blocks) == 5
    for block in blocks:
        assert block in source


CONSUMERS = {"beta", "cli", "harvest", "integrations", "simulator"}
"""Parts of the package that use some endpoints, or are about another API; a new endpoint works without them."""
METHODS = {name: here.removeprefix("client.").split(".") for _, name, _, here, _ in table("Endpoints")}


def files_that_name(operation):
    """Return the files that name an operation, by its name or a constant, and those of its two public methods."""
    names = {operation.name}
    for module in (plans, query_operations):
        names |= {key for key, value in vars(module).items() if value in (operation.name, operation)}
    pattern = re.compile(rf"(?<![\w/])({'|'.join(map(re.escape, names))})(?![\w/])")
    named = {
        path.relative_to(PACKAGE.parent)
        for path in [*PACKAGE.rglob("*.py"), DOCS / "agora-api.md"]
        if not CONSUMERS & set(path.parts) and pattern.search(path.read_text())
    }
    *part, method = METHODS[operation.name]
    folder = Path(PACKAGE.name)
    module = part[0] if part else getattr(AsyncAgora, method).__module__.rpartition(".")[2]
    asynchronous = folder / "agora" / f"{module}.py"
    return named | {asynchronous, folder / "blocking" / f"{part[0] if part else 'agora'}.py"}


@pytest.mark.parametrize(
    "operation", [each for each in query_operations.OPERATIONS.values() if isinstance(each, QueryOperation)]
)
def test_an_endpoint_is_named_in_at_most_five_files(operation):
    assert len(files_that_name(operation)) <= 5
