"""Every public error, record, page, report and event can be pickled and copied, with all its attributes."""

import collections.abc
import concurrent.futures
import copy
import functools
import inspect
import math
import multiprocessing
import pickle
import pkgutil
import subprocess
import sys
import types
import typing
from array import array
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

import agora_analytics
from agora_analytics import errors
from agora_analytics.core.record_list import Records, records_of
from agora_analytics.decode import decode_metrics
from agora_analytics.engine.request_loop import RetryPolicy
from agora_analytics.messages import SECRET_HEADERS, FailureKind, TransportFailure
from tests.conftest import slow
from tests.secret_watch import shows_a_secret

NOT_CARRIED = ("agora_analytics.cli", "agora_analytics.simulator", "agora_analytics.testing")
MACHINERY = {
    # functions that read, build or fetch
    "ApiRequest", "BetaMetricsOperation", "ListingOperation", "ListingPlan", "Opened", "Operation", "PlannedRequest",
    "PointsUnit", "QueryOperation", "Unit", "UserCallPaginator",
    # a client, an engine or a store
    "AppAccess", "AppState", "Archive", "BucketWriter", "CallCosts", "CallFetcher", "CallQueue", "EngineOptions",
    "FencedTable", "FifoQueue", "Objects", "Recovery", "RollupDay", "SharedResources", "Snapshot", "UnreadableLog",
    "WorkPlan",
    # links to objects of their own class
    "Field", "Grant",
    # tables of Arrow, which has its own pickling
    "CallListing", "FetchedPoints", "ReadyCall",
    # charts that are drawn at once
    "PageChart", "UserCharts",
    # arrays of numpy, which has its own pickling
    "Attribution", "BitrateSignals", "BootstrapT", "CallBootstrap", "CallSums", "CallTimeline", "DeviceSignals",
    "Explanation", "GroupSums", "MetricSums", "NetworkSignals", "PeriodSums", "Symptoms",
    # parts of a response that is being decoded
    "PageInfo", "QueryContext", "ResponseText", "SeriesText", "SessionText",
}  # fmt: skip
"""Data classes that never leave the library. Every other public data class is tested, so a new one is, too."""

VALIDATED = {
    "AlertRule": {
        "name": "freezes",
        "metric": "video_freeze_rate",
        "above": 0.05,
        "below": None,
        "by": "country",
    },
    "Silence": {"since": 0.0, "until": 1.0},
    "Webhook": {"url": "https://hooks.example.com/a", "secret": "a secret of more than 16 bytes"},
    "Application": {"application_id": "78d335fa-323d-0114-9c3d-d6f0d48968cf", "private_key": "key"},
    "ProjectKey": {"api_key": "45000001", "secret": "project-secret"},
    "Settings": {"base_url": "https://api.example.com"},
}
"""Arguments that a class checks."""

PLAIN = {
    int: 2**60,
    float: 0.25,
    str: "text",
    bool: True,
    bytes: b"bytes",
    object: "object",
    memoryview: memoryview(array("q", [1, 2])),
    datetime: datetime(2026, 11, 20, tzinfo=UTC),
    date: date(2026, 11, 20),
    Path: Path("folder"),
    errors.AgoraAnalyticsError: errors.NotFound("no such call", status=404),
}


@cache
def public_classes() -> list[type]:
    found = []
    for module in pkgutil.walk_packages(agora_analytics.__path__, "agora_analytics."):
        if module.name.startswith(NOT_CARRIED) or module.name.endswith("__main__"):
            continue
        try:
            members = vars(import_module(module.name))
        except ImportError:  # an extra is not installed
            continue
        found += [
            each
            for name, each in members.items()
            if inspect.isclass(each) and each.__module__ == module.name and not name.startswith("_")
        ]
    return found


DATA = [
    kind for kind in public_classes() if attrs.has(kind) or issubclass(kind, msgspec.Struct | Enum)
]  # fmt: skip
ERRORS = [kind for kind in public_classes() if issubclass(kind, Exception)]


def _optional(arguments: tuple[Any, ...]) -> Any:
    return example(next(each for each in arguments if each is not type(None)))


GENERIC = {
    typing.Union: _optional,
    types.UnionType: _optional,
    typing.Literal: lambda arguments: arguments[0],
    tuple: lambda arguments: tuple(example(each) for each in arguments if each is not ...),
    type: lambda _: dict,
    collections.abc.Callable: lambda _: len,
    list: lambda arguments: [example(arguments[0])],
    Records: lambda arguments: records_of(arguments[0], [example(arguments[0])]),
    collections.abc.Sequence: lambda arguments: [example(arguments[0])],
    frozenset: lambda arguments: frozenset([example(arguments[0])]),
    collections.abc.Mapping: lambda arguments: {example(arguments[0]): example(arguments[1])},
    dict: lambda arguments: {example(arguments[0]): example(arguments[1])},
}
"""Functions that return a value of a generic type, given its arguments."""


def example(hint: Any) -> Any:
    """Return a value of a type; of an optional one, never None."""
    if hint is Any:
        return {"any": [1, "value", None]}
    if isinstance(hint, typing.NewType | typing.TypeVar):
        return example(getattr(hint, "__supertype__", None) or getattr(hint, "__bound__", None) or int)
    kind, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in PLAIN:
        return PLAIN[kind]
    if arguments and kind in GENERIC:
        return GENERIC[kind](arguments)
    return example_of_class(kind)


def example_of_class(kind: type) -> Any:
    if issubclass(kind, Enum):
        return next(iter(kind))
    if issubclass(kind, Exception):
        return error_of(kind)
    if attrs.has(kind):
        names = {each.name: each.alias for each in attrs.fields(kind) if each.init}
    elif issubclass(kind, tuple):
        names = {name: name for name in kind._fields}
    else:
        names = {name: name for name in kind.__struct_fields__}
    hints, checked = typing.get_type_hints(kind), VALIDATED.get(kind.__name__, {})
    values = {
        alias: checked[name] if name in checked else example(hints[name]) for name, alias in names.items()
    }
    return kind(**values)


def error_of(kind: type[Exception]) -> Exception:
    """Return an error with every argument of its constructors, a note, and partial rows."""
    if not issubclass(kind, errors.AgoraAnalyticsError):
        return TransportFailure(FailureKind.TLS, "expired") if kind is TransportFailure else kind("a reason")
    arguments = {
        name: example(typing.get_type_hints(base.__init__)[name])
        for base in kind.__mro__
        if issubclass(base, errors.AgoraAnalyticsError)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if kind is errors.WindowOutOfReach:
        arguments = {"legal": (1_795_000_000, 1_795_046_400), "endpoint": "call/lists"}
    elif "retry_at" in arguments:
        arguments["retry_at"] = 1_795_046_400.5
    error = kind("the message", **arguments)
    error.partial = [example(errors.Attempt)]
    error.add_note("a note")
    return error


def plain(value: Any) -> Any:
    """Return a value as builtins that compare by content: NaN equals NaN, a view equals its copy."""
    if isinstance(value, memoryview):
        return ("view", value.itemsize, value.tobytes())
    if isinstance(value, BaseException):
        return (type(value), str(value), plain(value.args), plain(vars(value)))
    if attrs.has(type(value)):
        fields = {each.name: getattr(value, each.name) for each in attrs.fields(type(value))}
        return (type(value), plain(fields))
    if isinstance(value, collections.abc.Mapping):
        return (type(value), {key: plain(each) for key, each in value.items()})
    if isinstance(value, functools.partial):
        return (value.func, plain(value.args), plain(value.keywords))
    if isinstance(value, list | tuple):
        return (type(value), [plain(each) for each in value])
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def copies(value: Any) -> list[Any]:
    dumps = [pickle.dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    return [*map(pickle.loads, dumps), copy.copy(value), copy.deepcopy(value)]


def check_copies(value: Any) -> None:
    for each in copies(value):
        assert plain(each) == plain(value)


@pytest.mark.parametrize("kind", [kind for kind in DATA if kind.__name__ not in MACHINERY])
def test_data_can_be_pickled_and_copied(kind):
    check_copies(example(kind))


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_can_be_pickled_and_copied(kind):
    error = error_of(kind)
    check_copies(error)
    check_copies([error, error.with_traceback(None)])


def test_machinery_is_not_out_of_date():
    modules = {kind.__module__.removeprefix("agora_analytics.") for kind in DATA}
    if {"harvest.report", "store.bucket.bucket_writer"} <= modules:  # with all extras
        assert {kind.__name__ for kind in DATA} >= MACHINERY


def test_all_kinds_of_objects_are_covered():
    names = {kind.__name__ for kind in DATA} - MACHINERY
    assert names >= {
        "Call",
        "Series",
        "MetricColumns",
        "Page",
        "MetricsPage",
        "MetricPage",
        "InsightsPage",
        "Rows",
    }
    assert names >= {
        "Waited",
        "RecordsSkipped",
        "EventBatch",
        "CallDetails",
        "QueryResult",
        "LiveWindow",
        "Meta",
    }
    assert {kind.__name__ for kind in ERRORS} >= {"RateLimited", "EventsUnreadable", "TransportFailure"}


def test_copy_of_columns_has_the_points_and_nulls_of_the_response():
    columns = decode_metrics(
        b'{"metrics": [{"sid": "A", "data": [{"mid": 20001, "kvs": [[7, 4], [8, null]], "peer_uid": 0}]}]}'
    )
    (series,) = columns
    for each in copies(columns):
        assert [series.sid for series in each] == ["A"]
        assert (each.ts.tolist(), each.value[0], math.isnan(each.value[1])) == ([7, 8], 4.0, True)
        assert (each.ts.format, each.value.format) == ("q", "d")
    for each in copies(series):
        assert (each.sid, each.mid, each.peer_uid, each.ts.tolist()) == ("A", 20001, "0", [7, 8])


def test_pickle_of_a_series_has_only_its_own_points():
    kvs = ", ".join(f"[{ts}, 1]" for ts in range(10_000))
    data = ", ".join(f'{{"mid": {mid}, "kvs": [{kvs if mid == 1 else "[1, 2]"}]}}' for mid in (1, 2))
    small = list(decode_metrics(f'{{"metrics": [{{"sid": "A", "data": [{data}]}}]}}'.encode()))[1]
    assert len(pickle.dumps(small)) < 1000


QUESTIONS = {
    "agora": lambda client: client.calls("2h", "1h").collect(),
    "beta": lambda client: client.calls("2h", "1h").collect(),
    "signaling": lambda client: client.peer_message("ann", "bob", "hello"),
    "opentok": lambda client: client.sessions(["1_MX4"]).collect(),
    "apsaravideo": lambda client: client.interaction_metrics("VideoStuckRate", "2h", "1h").collect(),
}


@pytest.mark.parametrize(
    "answer", [(401, b"{}"), (503, b"<html>"), (200, b"{"), FailureKind.RESET, FailureKind.DNS]
)
@pytest.mark.parametrize("vendor", QUESTIONS)
def test_pickled_error_of_a_request_has_its_trail_and_no_secret(vendor, answer):
    pytest.importorskip("starlette")
    if vendor == "opentok":
        pytest.importorskip("jwt")
        pytest.importorskip("ariadne")
    harness = import_module(f"tests.{vendor}.harness").scripted(*[answer] * 20)
    with pytest.raises(errors.AgoraAnalyticsError) as caught:
        harness.run(QUESTIONS[vendor], retry=RetryPolicy(attempts=2, backoff=(0.1,)))
    error, requests = caught.value, harness.transport.requests
    secrets = [
        value for request in requests for name, value in request.headers.items() if name in SECRET_HEADERS
    ]
    assert secrets
    assert error.trail
    check_copies(error)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        dump = pickle.dumps(error, protocol)
        assert not shows_a_secret(dump)
        assert not any(secret.encode() in dump for secret in secrets)


def test_pages_of_agora_can_be_pickled():
    pytest.importorskip("starlette")
    from tests.agora.harness import SINCE, UNTIL, make_harness

    harness = make_harness()

    async def job(client: Any) -> list[Any]:
        calls = await client.calls(SINCE, UNTIL).collect()
        usage = await client.insights.usage("userCount", "3d")
        listings = [
            client.calls(SINCE, UNTIL, page_size=5),
            client.sessions(calls[0]),
            client.metrics(calls[0]),
        ]
        return [usage, *await client.quota(), *[page for each in listings async for page in each.pages()]]

    check_objects(harness.run(job), harness.events)


def test_pages_of_the_beta_can_be_pickled():
    pytest.importorskip("starlette")
    from tests.beta.harness import SINCE, UNTIL, make_harness

    async def job(client: Any) -> list[Any]:
        calls = [page async for page in client.calls(SINCE, UNTIL).pages()]
        details = [page async for page in client.details(calls[0].records[0]).pages()]
        return [*calls, *details, await client.usage(SINCE, UNTIL)]

    harness = make_harness()
    check_objects(harness.run(job), harness.events)


@pytest.mark.slow
def test_pages_of_opentok_can_be_pickled():
    for module in ("ariadne", "jwt", "starlette"):
        pytest.importorskip(module)
    from tests.opentok.harness import IDS, make_harness

    async def job(client: Any) -> list[Any]:
        listings = [client.session_summaries("14d"), client.stream_stats(IDS[:1]), client.project_data("30d")]
        query = await client.query(
            "{ project(projectId: 45000001) { projectData(start: 0) { resources { intervalStart } } } }"
        )
        return [query, *[page for each in listings async for page in each.pages()]]

    harness = make_harness()
    check_objects(harness.run(job), harness.events)


def test_pages_of_apsaravideo_can_be_pickled():
    pytest.importorskip("starlette")
    from tests.apsaravideo.harness import make_harness

    async def job(client: Any) -> list[Any]:
        return [page async for page in client.interaction_metrics("VideoStuckRate", "2d").pages()]

    harness = make_harness()
    check_objects(harness.run(job), harness.events)


def test_pages_of_signaling_can_be_pickled():
    pytest.importorskip("starlette")
    from tests.signaling.harness import log_in, make_harness

    harness = make_harness()
    log_in(harness, 3)

    async def job(client: Any) -> list[Any]:
        return [await anext(client.user_events()), await client.peer_message("ann", "bob", "hello")]

    check_objects(harness.run(job), harness.events)


def test_report_and_estimate_can_be_pickled(tmp_path):
    for module in ("duckdb", "portalocker", "pyarrow", "starlette"):
        pytest.importorskip(module)
    from tests.agora.harness import SINCE, UNTIL, make_harness, small_world

    harness = make_harness(small_world(calls=3))
    events: list[Any] = []

    async def job(client: Any) -> list[Any]:
        cost = await agora_analytics.estimate(client, since=SINCE, until=UNTIL)
        store = tmp_path / "store"
        return [
            cost,
            await agora_analytics.harvest(
                client, since=SINCE, until=UNTIL, store=store, observer=events.append
            ),
        ]

    check_objects(harness.run(job), harness.events + events)


def check_objects(objects: list[Any], events: list[Any]) -> None:
    assert objects
    assert events
    for each in (*objects, *events):
        check_copies(each)


# --- between processes


def fail(number: int) -> None:
    raise error_of(ERRORS[number])


def raise_in_workers(method: str) -> None:
    """Raise every error in a pool of processes, and compare what the parent receives."""
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool, concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        for number, kind in enumerate(ERRORS):
            expected = plain(error_of(kind))
            for received in (pool.apply_async(fail, [number]).get, executor.submit(fail, number).result):
                with pytest.raises(kind) as caught:
                    received(60)
                assert plain(caught.value) == expected
    print("all errors arrived")


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("fork", marks=pytest.mark.skipif(sys.platform == "win32", reason="no fork there")),
        slow("spawn"),
    ],
)
@pytest.mark.slow
def test_errors_of_worker_processes_reach_the_parent(method):
    program = f"from tests.test_pickling import raise_in_workers; raise_in_workers({method!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert (done.returncode, done.stdout) == (0, "all errors arrived\n"), done.stderr[-2000:]
