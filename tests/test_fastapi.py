"""Results that a FastAPI route returns are JSON, with and without a return annotation."""

from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agora_analytics import Call, Page, Point, Quota, Records, Rows, Series, Session
from agora_analytics.agora.beta import Diagnosis
from agora_analytics.core.verdicts import SkippedRecord
from agora_analytics.engine.pages import Meta
from tests.agora.harness import SINCE, UNTIL, make_harness

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("starlette")
pytest.importorskip("numpy")

META = Meta(status=200, request_id="r", host="https://api.example.com", attempts=1, elapsed=0.25)


def ask(app, *paths):
    """Return the JSON of GET requests to an application, whose lifespan runs."""

    async def work(_):
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://app") as http,
        ):
            responses = [await http.get(path) for path in paths]
        assert [
            (response.status_code, response.text) for response in responses if not response.is_success
        ] == []
        return [response.json() for response in responses]

    return work


def app_of(routes, harness):
    """Return an application with a client in its lifespan; each route is a path, a function and an annotation or none."""

    @asynccontextmanager
    async def lifespan(app):
        async with harness.client() as client:
            app.state.client = client
            yield

    app = fastapi.FastAPI(lifespan=lifespan)
    for path, function, annotation in routes:

        def route(function=function, annotation=annotation):
            async def handle(request: fastapi.Request):
                return await function(request.app.state.client)

            if annotation is not None:
                handle.__annotations__["return"] = annotation
            return handle

        app.get(path)(route())
    return app


async def first_call(client):
    return (await client.calls(SINCE, UNTIL).collect())[0]


async def first_page(client):
    page, *_ = [page async for page in client.calls(SINCE, UNTIL, page_size=3).pages()]
    return page


async def first_call_sessions(client):
    return await client.sessions(await first_call(client)).collect()


async def first_call_series(client):
    return await client.metrics(await first_call(client)).collect()


async def no_rows(client):
    return Rows(
        records=(), meta=(META,), kind=Point, skipped=(SkippedRecord(path="$", key=None, reason="no"),)
    )


RESULTS: dict[str, tuple[Any, Any]] = {
    "call": (first_call, Call),
    "calls": (lambda client: client.calls(SINCE, UNTIL).collect(), list[Call]),
    "records": (lambda client: client.calls(SINCE, UNTIL).collect(), Records[Call] | None),
    "sessions": (first_call_sessions, list[Session]),
    "series": (first_call_series, list[Series]),
    "page": (first_page, Page[Call]),
    "quota": (lambda client: client.quota(), list[Quota]),
    "rows": (lambda client: client.insights.usage("userCount", "3d"), Rows[Point]),
    "no rows": (no_rows, Rows[Point]),
}


def as_json(result):
    return [each.to_dict() for each in result] if isinstance(result, list) else result.to_dict()


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize("name", RESULTS)
def test_result_of_a_route_is_its_dict(name, annotated):
    function, annotation = RESULTS[name]
    harness = make_harness()
    app = app_of([("/", function, annotation if annotated else None)], harness)
    (returned,) = harness.run(ask(app, "/"))
    expected = make_harness().run(function)
    if name not in {"page", "rows"}:  # these have the duration of a request
        assert returned == as_json(expected)
    assert _without_meta(returned) == _without_meta(as_json(expected))
    assert returned


def _without_meta(value):
    return (
        {name: each for name, each in value.items() if name != "meta"} if isinstance(value, dict) else value
    )


def test_null_and_large_integers_reach_the_browser_exactly():
    call = Call(
        call_id="c", cname="教室", created_ts=1, destroyed_ts=2, finished=False,
        call_audio_freeze_rate=float("nan"), extra={"id": 2**63 + 1, "when": None},
    )  # fmt: skip

    async def route(_):
        return call

    harness = make_harness()
    app = app_of([("/typed", route, Call), ("/plain", route, None)], harness)
    typed, plain = harness.run(ask(app, "/typed", "/plain"))
    assert typed == plain == call.to_dict()
    assert typed["extra"]["id"] == 2**63 + 1
    assert typed["call_audio_freeze_rate"] is None


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ({"response_model_include": {"call_id"}}, {"call_id"}),
        ({"response_model_exclude": {"extra", "call_id"}}, set(Call.__annotations__) - {"extra", "call_id"}),
        (
            {"response_model_exclude_none": True},
            {"call_id", "cname", "created_ts", "destroyed_ts", "finished", "extra"},
        ),
    ],
)
def test_options_of_a_route_select_attributes(option, names):
    from starlette.testclient import TestClient

    app = fastapi.FastAPI()
    call = Call(call_id="c", cname="", created_ts=1, destroyed_ts=2, finished=True)
    app.get("/call", response_model=Call, **option)(lambda: call)
    assert set(TestClient(app).get("/call").json()) == names


def test_model_with_a_record_selects_nested_attributes():
    from pydantic import create_model

    page = Page(records=[Call(call_id="c", cname="", created_ts=1, destroyed_ts=2, finished=True)], meta=META)
    model = create_model("Model", page=(Page[Call], ...))(page=page)
    text = model.model_dump_json(include={"page": {"records": {0: {"call_id", "call_pcu"}}}})
    assert text == '{"page":{"records":[{"call_id":"c","call_pcu":null}]}}'


def test_openapi_describes_the_attributes():
    harness = make_harness()
    routes = [(f"/{i}", function, annotation) for i, (function, annotation) in enumerate(RESULTS.values())]
    app = app_of([*routes, ("/causes", no_rows, list[Diagnosis]), ("/any", no_rows, None)], harness)
    (schema,) = harness.run(ask(app, "/openapi.json"))
    parts = schema["components"]["schemas"]
    assert {"Call", "Session", "Quota", "Meta", "Window", "Point", "Diagnosis", "CauseTag"} <= set(parts)
    assert set(parts["Call"]["properties"]) == set(Call.__annotations__)
    assert parts["Call"]["properties"]["created_ts"]["type"] == "integer"
    assert parts["Call"]["description"].startswith("One call")
    assert parts["Quota"]["properties"]["left"]["type"] == "integer"
    assert parts["Page_Call_"]["properties"]["records"]["items"] == {"$ref": "#/components/schemas/Call"}


def test_record_is_not_accepted_as_a_request():
    from pydantic import TypeAdapter, ValidationError

    call = Call(call_id="c", cname="", created_ts=1, destroyed_ts=2, finished=True)
    with pytest.raises(ValidationError, match="Call"):
        TypeAdapter(Call).validate_python(call.to_dict())
    with pytest.raises(ValidationError, match="Call is a result of this library, and is not read from JSON"):
        TypeAdapter(Call).validate_json(call.to_json())


def test_returned_listing_is_an_error_that_names_collect():
    """Its attributes are not the answer."""

    async def listing(client):
        return client.calls(SINCE, UNTIL)

    harness = make_harness()
    with pytest.raises(ValueError, match=r"await listing\.collect\(\)"):
        harness.run(ask(app_of([("/calls", listing, None)], harness), "/calls"))
