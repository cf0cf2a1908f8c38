"""Records and responses that cannot be read: they cost nothing else, and are reported by one run."""

import json

import pytest
from attrs import define, evolve

from agora_analytics.agora.records import Call
from agora_analytics.harvest import Unreadable
from agora_analytics.schemas import POINTS
from agora_analytics.simulator import DEMO_APP_ID, SampleTiming, World
from agora_analytics.store import open_store
from tests.conftest import slow
from tests.harvest.harness import SINCE, UNTIL, contents, make_call, make_harness, truth

HOUR = 3600
BAD = "call-2"
WORLD = World(
    [make_call(f"call-{n}", SINCE + n * HOUR, SINCE + (n + 1) * HOUR, users=3) for n in range(5)],
    timing=SampleTiming(interval=600, gap_share=0, null_share=0, max_series=2),
)


@define
class Changed:
    """A transport that changes the responses of another one: edit(request, JSON body) may return another body."""

    inner: object
    edit: object
    requests: int = 0

    reports_sent = True

    async def send(self, request):
        self.requests += 1
        answer = await self.inner.send(request)
        body = json.loads(answer.body)
        changed = self.edit(request, body)
        return evolve(answer, body=changed if isinstance(changed, bytes) else json.dumps(body).encode())

    async def aclose(self):
        pass


def unchanged(request, body):
    pass


def run(store, edit=unchanged, world=WORLD, **settings):
    harness = make_harness(world, store)
    harness.transport = Changed(harness.transport, edit)
    report = harness.harvest(**settings)
    return report, harness


def calls_of(harness):
    return set(harness.tables.writer.calls(DEMO_APP_ID)["call_id"].to_pylist())


def named(report):
    return [(record.unit, record.record) for record in report.unreadable]


def listed(**fields):
    """Change a call in the lists of calls."""

    def edit(request, body):
        for record in body.get("call_lists", []) if "call/lists" in request.path else []:
            if record["call_id"] == BAD:
                record.update(fields)

    return edit


OTHERS = {"call-0", "call-1", "call-3", "call-4"}


@pytest.mark.parametrize(
    "fields",
    [
        {"created_ts": (SINCE + 2 * HOUR) * 1000},
        slow({"destroyed_ts": (SINCE + 3 * HOUR) * 1000}),
        slow({"created_ts": -5, "destroyed_ts": 10**17}),
        {"created_ts": 2**62, "destroyed_ts": 2**62},
        slow({"call_id": ""}),
        slow({"call_id": "a b"}),
        {"call_id": "a\0b"},
        {"created_ts": 4_102_444_801, "destroyed_ts": 4_102_444_802},
    ],
)
def test_call_that_cannot_be_stored_costs_one_call_and_one_run(tmp_path, fields):
    first, harness = run(tmp_path / "store", listed(**fields))
    assert calls_of(harness) == OTHERS
    assert (len(first.unreadable), first.unreadable_before, first.skipped) == (1, 0, ())
    second, _ = run(tmp_path / "store", listed(**fields))
    assert (second.unreadable, second.unreadable_before, second.complete) == ((), 1, True)
    assert second.requests == {"call/lists": 1}
    _, harness = run(tmp_path / "store")  # the server is healthy again
    assert contents(harness.tables) == truth(WORLD, UNTIL + HOUR)
    fourth, _ = run(tmp_path / "store")
    assert (fourth.unreadable_before, fourth.requests) == (0, {})


@pytest.mark.parametrize("endpoint", ["call/sessions", "call/metrics"])
def test_response_that_cannot_be_read_costs_one_call(tmp_path, endpoint):
    def edit(request, body):
        if endpoint in request.path and BAD in dict(request.query).values():
            body.update(call_info={"not": "a list"}, metrics=7)

    first, harness = run(tmp_path / "store", edit)
    assert calls_of(harness) == OTHERS
    assert (named(first), first.complete) == ([(BAD, BAD)], True)
    second, _ = run(tmp_path / "store", edit)
    assert (second.unreadable, second.unreadable_before) == ((), 1)
    assert second.requests[endpoint] <= 2
    _, harness = run(tmp_path / "store")
    assert contents(harness.tables) == truth(WORLD, UNTIL + HOUR)
    assert run(tmp_path / "store")[0].unreadable_before == 0


@pytest.mark.parametrize("fields", [{"sid": ""}, {"join_ts": (SINCE + 2 * HOUR) * 1000}, {"leave_ts": -1}])
def test_session_that_cannot_be_stored_does_not_cost_its_call(tmp_path, fields):
    def edit(request, body):
        for record in body.get("call_info", []) if "call/sessions" in request.path else []:
            if record["sid"] == f"{BAD}-1":
                record.update(fields)

    first, harness = run(tmp_path / "store", edit)
    assert calls_of(harness) == {*OTHERS, BAD}
    assert harness.tables.counts()["sessions"] == 14
    assert [(record.unit, bool(record.record)) for record in first.unreadable] == [(BAD, True)]
    second, _ = run(tmp_path / "store", edit)
    assert (second.unreadable, second.unreadable_before, second.requests) == ((), 1, {})


def test_page_that_an_earlier_version_committed_unchecked_is_listed_again(tmp_path):
    """Its times are milliseconds, which no later step can use."""
    store = open_store(tmp_path / "store", create=True)
    path = store._layout.listing(DEMO_APP_ID, SINCE, UNTIL - 1, 0)
    call = Call(call_id="x", cname="x", created_ts=SINCE * 1000, destroyed_ts=SINCE * 1000, finished=True)
    write_unchecked(path, call)
    report, harness = run(tmp_path / "store")
    assert contents(harness.tables) == truth(WORLD, UNTIL + HOUR)
    assert [file.reason for file in report.damaged] == ["a value is out of range"]


def write_unchecked(path, call):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from agora_analytics.agora import arrow

    path.parent.mkdir(parents=True)
    rows = arrow.calls_table([[call]]).cast(
        pa.schema(
            [
                field.with_type(pa.timestamp("ms", "UTC")) if pa.types.is_timestamp(field.type) else field
                for field in arrow.calls_table([[call]]).schema
            ]
        )
    )
    pq.write_table(rows.replace_schema_metadata({"agora_analytics.resume": ""}), path, store_schema=False)


def test_note_that_a_crash_cut_still_counts(tmp_path):
    run(tmp_path / "store", listed(call_id=""))
    (note,) = (tmp_path / "store" / "_skipped").rglob("*.json")
    note.write_bytes(note.read_bytes()[:10])
    report, _ = run(tmp_path / "store", listed(call_id=""))
    assert (report.unreadable_before, report.skipped) == (1, ())


def test_point_out_of_range_is_refused_by_its_unit(tmp_path):
    from agora_analytics.errors import RowsRefused
    from agora_analytics.harvest.points import points_table

    store = open_store(tmp_path / "store", create=True)
    point = {"source": "publisher.videoPacketLoss", "value": 1.0}
    with pytest.raises(RowsRefused, match="cannot be stored"):
        points_table("opentok", [point | {"ts": 10**19}])
    rows = points_table("opentok", [point | {"ts": 10**15}])
    with pytest.raises(RowsRefused, match="ts has a time before 1970 or after 2100"):
        store.writer.put("points", "m", rows, app_id="a", day="2026-11-20", pending=False)
    assert store.counts()["points"] == 0
    assert (
        store.writer.put("points", "m", POINTS.empty_table(), app_id="a", day="2026-11-20", pending=False)
        == 0
    )
    assert store.writer.unreadable("a") == {}
    record = Unreadable(unit="m" * 300, record="r", reason="x")
    store.writer.put_unreadable("a", record.unit, [record])
    assert list(store.writer.unreadable("a").values()) == [(record,)]


def test_page_of_a_listing_that_cannot_be_read_does_not_stop_the_rest(tmp_path):
    """Two windows are listed; the page of the earlier one is broken."""

    def edit(request, body):
        if "call/lists" in request.path and dict(request.query)["start_ts"] == str(SINCE):
            body.update(call_lists="none")

    world = World(
        [make_call("a", SINCE + HOUR, SINCE + 2 * HOUR), make_call("b", UNTIL + HOUR, UNTIL + 2 * HOUR)],
        timing=SampleTiming(interval=600),
    )
    settings = {"since": SINCE, "until": UNTIL + 3 * HOUR}
    store = tmp_path / "store"

    def harvested(edit):
        harness = make_harness(world, store, now=UNTIL + 4 * HOUR)
        harness.transport = Changed(harness.transport, edit)
        return harness.harvest(**settings), calls_of(harness)

    for _ in range(2):  # no run counts as complete while a window is not listed
        report, calls = harvested(edit)
        assert (calls, report.complete, report.unreadable) == ({"b"}, False, ())
        assert [skipped.call_id for skipped in report.skipped] == [f"listing {SINCE}-{UNTIL - 1}"]
    report, calls = harvested(unchanged)
    assert (calls, report.complete) == ({"a", "b"}, True)


@pytest.mark.parametrize("endpoint", ["call/sessions", "call/metrics"])
def test_window_that_was_cut_when_it_was_sent_does_not_count_as_fetched(tmp_path, endpoint, monkeypatch):
    """The client sends less than the plan of the harvest, as after a step of the clock."""
    from agora_analytics.kit.operation import Operation

    original = Operation.request

    def cut(self, *args, **options):
        request = original(self, *args, **options)
        if self.name != endpoint or BAD not in str(args):
            return request

        def build(now):
            payload = request.build(now)
            window = payload.window
            return evolve(payload, window=evolve(window, end=window.end - 60))

        return evolve(request, build=build)

    with monkeypatch.context() as patch:
        patch.setattr(Operation, "request", cut)
        first, harness = run(tmp_path / "store")
    assert calls_of(harness) == OTHERS
    (skipped,) = first.skipped
    assert "ended 60 s before the end of its window" in skipped.reason
    second, harness = run(tmp_path / "store")
    assert contents(harness.tables) == truth(WORLD, UNTIL + HOUR)
    assert second.complete
