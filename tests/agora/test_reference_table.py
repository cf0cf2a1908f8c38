"""`docs/agora-api.md` names everything that the code knows of the API, and nothing that it does not."""

import inspect
import json
import re
from enum import StrEnum

import pytest

from agora_analytics import errors
from agora_analytics.agora import enums
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.insights import Insights
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.metric_ids import METRIC_IDS, metric_name
from agora_analytics.agora.operations import OPERATIONS, QueryOperation
from agora_analytics.agora.plans import PLANS
from agora_analytics.agora.realtime import Realtime
from agora_analytics.core.verdicts import Done
from tests.agora.cases import LIVE, RANGE, T
from tests.agora.harness import scripted
from tests.agora.reference import parameters_of, table
from tests.conftest import NOW, ok, response
from tests.harness import exchange

PARTS = {"insights": Insights, "realtime": Realtime}
METRICS = (
    enums.FreezeMetric,
    enums.TimeMetric,
    enums.UsageMetric,
    enums.QualityMetric,
    enums.RealtimeMetric,
)


def method(name):
    """Return what `client.insights.usage` names."""
    *part, last = name.removeprefix("client.").split(".")
    return getattr(PARTS[part[0]] if part else AsyncAgora, last)


def test_every_endpoint_is_there_with_its_method_and_its_path():
    rows = table("Endpoints")
    assert [(int(number), name, path) for number, name, path, _, _ in rows] == [
        (number, name, f"{endpoint.method} {endpoint.path}")
        for number, (name, endpoint) in enumerate(OPERATIONS.items(), 1)
    ]
    assert len(rows) == 14
    for _, name, _, here, record in rows:
        assert callable(method(here))
        assert re.search(rf"\b{record}\b", str(inspect.signature(method(here)).return_annotation))
        assert f"endpoint {list(OPERATIONS).index(name) + 1}" in method(here).__doc__


CALL = {"since": T - 7200, "until": T - 3600}
GROUPED = {"by": "os", "values": ["iOS"]}
WITH_EVERY_PARAMETER = {
    "call/lists": lambda c: c.calls(**CALL, cname="r").collect(),
    "call/sessions": lambda c: c.sessions("c", **CALL, uids=["7"]).collect(),
    "call/metrics": lambda c: c.metrics("c", **CALL, sids=["s"]).collect(),
    "call/statistics": lambda c: c.statistics("c", **CALL),
    "call/freeze/bucket": lambda c: c.freeze_distribution("c", **CALL),
    "call/statistics/time": lambda c: c.statistics_over_time("c", **CALL),
    "insight/usage/by_time": lambda c: c.insights.usage("userCount", *RANGE),
    "insight/quality/by_time": lambda c: c.insights.quality("networkDelay", *RANGE),
    "insight/usage/aggregation": lambda c: c.insights.usage_totals(
        "userCount", *RANGE, by="region", values=["a"], country="India"
    ),
    "insight/quality/aggregation": lambda c: c.insights.quality_totals(
        "networkDelay", *RANGE, by="region", values=["a"], country="India"
    ),
    "realtime/usage/by_time_20sec": lambda c: c.realtime.usage("userCount", *LIVE, **GROUPED, cname="r"),
    "realtime/quality/by_time_20sec": lambda c: c.realtime.quality(
        "networkDelay", *LIVE, **GROUPED, cname="r", uids=["7"]
    ),
    "realtime/usage/dimension/top20": lambda c: c.realtime.top_usage("os"),
    "realtime/quality/dimension/top20": lambda c: c.realtime.top_quality("networkDelay", "os"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_documented_parameter_is_sent_and_no_other(name):
    empty = ok(data={"list": []} if "top20" in name else [], call_lists=[], call_info=[], metrics=[])
    harness = scripted(empty)
    harness.run(WITH_EVERY_PARAMETER[name])
    request = harness.transport.requests[0]
    assert request.path == OPERATIONS[name].path
    assert set(dict(request.query) | json.loads(request.body or b"{}")) == parameters_of(name)


def test_every_parameter_is_a_parameter_of_the_method():
    rows = table("Parameters")
    assert list(dict.fromkeys(name for name, _, _ in rows)) == list(OPERATIONS)
    here = {name: called for _, name, _, called, _ in table("Endpoints")}
    for name, _, keyword in rows:
        if not keyword.startswith("(client)"):
            assert keyword in inspect.signature(method(here[name])).parameters


def test_every_metric_is_there_with_its_endpoints():
    rows = table("Metrics")
    assert [(metric, here) for metric, here, _, _ in rows] == [
        (metric.value, f"{family.__name__}.{metric.name}") for family in METRICS for metric in family
    ]
    listed = {(metric, name) for metric, _, _, names in rows for name in names.split(", ")}
    queries = [each for each in OPERATIONS.values() if isinstance(each, QueryOperation)]
    assert listed == {(str(metric), query.name) for query in queries for metric in query.metrics}
    assert {unit for _, _, unit, _ in rows} == {"count", "minutes", "fraction of 1"}


def test_every_other_enum_is_there():
    others = [enums.Dimension, enums.Product, enums.Granularity]
    assert table("Dimensions, products, granularities") == [
        [member.value, f"{family.__name__}.{member.name}"] for family in others for member in family
    ]
    families = {each for each in vars(enums).values() if isinstance(each, type) and issubclass(each, StrEnum)}
    assert families - {StrEnum} == {*METRICS, *others}


@pytest.mark.parametrize(("code", "message", "error"), table("Status codes and messages"))
def test_every_code_and_message_is_the_error_that_the_page_says(code, message, error):
    for each in code.split(", "):
        if each.startswith("HTTP"):
            answer = response({"message": message}, int(each.removeprefix("HTTP ")))
        else:
            answer = response({"code": int(each), "message": f"Service package limit check error, {message}"})
        attempt = exchange(answer, OPERATIONS["call/lists"], now=NOW)
        verdict = read_response(attempt, open_body=open_fields)
        if error == "none":
            assert isinstance(verdict, Done)
        else:
            assert type(verdict.error) is getattr(errors, error)


def test_every_metric_id_is_there():
    assert table("Metric ids") == [
        [
            str(metric.mid),
            metric.name,
            metric.label,
            metric.unit or "-",
            metric.better.value if metric.better else "-",
        ]
        for metric in METRIC_IDS.values()
    ]
    assert len({metric.name for metric in METRIC_IDS.values()}) == len(METRIC_IDS) == 37
    assert metric_name(20005) == "audio_render_freeze"
    assert metric_name(20099) == "mid_20099"


def test_every_endpoint_has_its_limits_with_a_source():
    assert set(PLANS["enterprise"].limits) == set(PLANS["premium"].limits) == set(OPERATIONS)
    assert set(PLANS["standard"].limits) == {name for name in OPERATIONS if name.startswith("call/")}
    for plan in PLANS.values():
        for name, limits in plan.limits.items():
            assert name in limits.source
            assert plan.name in limits.source
            assert limits.period == (1 if name.startswith("call/") else 60)
