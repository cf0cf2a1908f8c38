"""The names of metrics in the documentation are those of the table."""

import re
from pathlib import Path

from agora_analytics.agora.enums import RealtimeMetric
from agora_analytics.engine.events import WaitReason
from agora_analytics.integrations.live_values import exported_metric
from agora_analytics.integrations.metric_names import ALL_METRICS

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "observability.md").read_text()
_, EXPORTED, REST = PAGE.split("| OpenTelemetry | Prometheus | kind, unit | attributes |")


def rows(section):
    pattern = r"^\| `([\w.]+)` \| `(\w+)` \| (\w+), `(\S+)` \| (.+) \|$"
    return {row[0]: row[1:] for row in re.findall(pattern, section, re.MULTILINE)}


def test_page_has_every_metric():
    assert rows(PAGE) == {
        metric.name: (
            metric.prometheus,
            metric.kind.value,
            metric.unit,
            ", ".join(f"`{name}`" for name in metric.attributes),
        )
        for metric in ALL_METRICS
    }


def test_page_says_which_metrics_are_exported():
    exported = {exported_metric(metric).name for metric in RealtimeMetric}
    assert exported <= set(rows(EXPORTED))
    assert not exported & set(rows(REST))
    assert all(name.startswith("rtc.") for name in rows(REST))


def test_page_has_every_reason_of_a_wait():
    assert all(f"`{reason.value}`" in EXPORTED for reason in WaitReason)


def test_samples_on_the_page_have_names_of_the_table():
    names = set(re.findall(r"\b(?:rtc|agora_analytics)_\w+", PAGE)) - {"rtc_country"}
    suffixes = {f"{metric.prometheus}" for metric in ALL_METRICS}
    assert names <= suffixes
