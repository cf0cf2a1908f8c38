import time

import pytest
from attrs import frozen
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agora_analytics.integrations.otel import OpenTelemetryObserver
from agora_analytics.simulator import World


@frozen
class Telemetry:
    """An observer, and what it has exported."""

    observer: OpenTelemetryObserver
    tracers: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self):
        """The spans that have ended, in that order."""
        return self.exporter.get_finished_spans()

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def children(self, parent):
        """The children of a span, in the order of their start."""
        found = [span for span in self.spans if span.parent and span.parent.span_id == parent.context.span_id]
        return sorted(found, key=lambda span: span.start_time)

    def points(self):
        """The data points of each metric, by its name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: (metric, list(metric.data.data_points))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def make_telemetry(**options):
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    observer = OpenTelemetryObserver(tracer_provider=tracers, meter_provider=meters, **options)
    return Telemetry(observer, tracers, exporter, reader)


@pytest.fixture
def telemetry():
    return make_telemetry()


@pytest.fixture(scope="module")
def world():
    now = int(time.time())
    return World.generate(since=now - 10_800, until=now - 3600, calls=12, simple=True)
