"""`docs/agora-api.md` names everything that the code knows of the API, and nothing that it does not."""

import inspect
import re
from enum import StrEnum
from pathlib import Path

import pytest

from agora_analytics import errors
from agora_analytics.agora import enums
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.enums import TAKES
from agora_analytics.agora.insights import Insights
from agora_analytics.agora.judge import judge
from agora_analytics.agora.metric_ids import METRIC_IDS, metric_name
from agora_analytics.agora.operations import OPERATIONS
from agora_analytics.agora.plans import PLANS
from agora_analytics.agora.realtime import Realtime
from agora_analytics.core.verdicts import Done
from tests.conftest import NOW, response

PAGE = (Path(__file__).parents[2] / "docs" / "agora-api.md").read_text()
PARTS = {"insights": Insights, "realtime": Realtime}
METRICS = (
    enums.FreezeMetric,
    enums.TimeMetric,
    enums.UsageMetric,
    enums.QualityMetric,
    enums.RealtimeMetric,
)


def table(title):
    """Return the rows of a section's table as lists of cells, without the backticks."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("`", "").split("|")] for line in lines[2:]]


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


def test_every_parameter_is_there_and_is_a_parameter_here():
    rows = table("Parameters")
    assert [(name, parameter) for name, parameter, _ in rows] == [
        (name, parameter) for name, endpoint in OPERATIONS.items() for parameter in endpoint.params
    ]
    here = {name: called for _, name, _, called, _ in table("Endpoints")}
    for name, _, keyword in rows:
        if not keyword.startswith("(client)"):
            assert keyword in inspect.signature(method(here[name])).parameters


def test_every_metric_is_there_and_who_tells_it():
    rows = table("Metrics")
    assert [(metric, here) for metric, here, _, _ in rows] == [
        (metric.value, f"{family.__name__}.{metric.name}") for family in METRICS for metric in family
    ]
    told = {(metric, name) for metric, _, _, names in rows for name in names.split(", ")}
    assert told == {(str(metric), name) for name, metrics in TAKES.items() for metric in metrics}
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
        verdict = judge(OPERATIONS["call/lists"], answer, NOW)
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
    assert metric_name(20099) == "20099"


def test_every_endpoint_has_its_limits_with_a_source():
    assert set(PLANS["enterprise"].limits) == set(PLANS["premium"].limits) == set(OPERATIONS)
    assert set(PLANS["standard"].limits) == {name for name in OPERATIONS if name.startswith("call/")}
    for plan in PLANS.values():
        for name, limits in plan.limits.items():
            assert name in limits.source
            assert plan.name in limits.source
            assert limits.period == (1 if name.startswith("call/") else 60)
