"""Runs every query of the dashboard `store` on a views file of harvested calls, with DuckDB alone."""

import re

import duckdb
import pytest

from agora_analytics.harvest import harvest
from agora_analytics.integrations.grafana import DASHBOARDS
from agora_analytics.simulator import OpenTokWorld, World
from agora_analytics.store import ParquetStore, open_store
from tests.harvest.harness import SINCE, UNTIL
from tests.harvest.harness import make_harness as agora_harness
from tests.opentok.harness import make_harness as opentok_harness

from .grafana import panels, sql_of

DASHBOARD = DASHBOARDS["store"]
PANELS = {panel["title"]: panel for panel in panels(DASHBOARD)}
TYPES = {"VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "TIMESTAMP", "DATE"}
"""The types that the plugin shows. It has no conversion of HUGEINT, and DECIMAL depends on its version."""
NULL_FOR_SOME = {"freezes", "delay", "loss", "channel"}
"""Columns that are null for a vendor without the metric, or for a group without samples."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ParquetStore:
    """A day of calls of Agora and OpenTok, compacted, with one ongoing call."""
    folder = tmp_path_factory.mktemp("grafana") / "calls.store"
    world = World.generate(seed=3, since=SINCE, until=UNTIL, calls=8, interval=20, ongoing_share=0.1)
    agora_harness(world, folder).harvest()
    rooms = OpenTokWorld.generate(
        seed=7, since=SINCE, until=UNTIL - 7200, sessions=2, ongoing_share=0, peers=2
    )
    store = open_store(folder)
    opentok_harness(rooms, now=UNTIL + 3600).run(
        lambda client: harvest(client, since=SINCE - 3600, until=UNTIL, store=store)
    )
    return store


@pytest.fixture(scope="module")
def grafana(store, tmp_path_factory):
    """Run a query as the plugin does: read-only, with the time zone of another place."""
    file = tmp_path_factory.mktemp("views") / "calls.duckdb"
    store.write_views(file)
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'Asia/Kathmandu'")
        variables = {
            variable["name"]: [value for (value,) in connection.execute(variable["query"]).fetchall()]
            for variable in DASHBOARD["templating"]["list"]
            if variable["type"] == "query"
        }

        def run(text: str, interval: float = 3600, **chosen: list[str]):
            sql = sql_of(text, since=SINCE, until=UNTIL, interval=interval, variables=variables | chosen)
            rows = connection.execute(sql)
            names = [(name, str(kind)) for name, kind, *_ in rows.description]
            return names, rows.fetchall()

        run.variables = variables
        yield run


def test_variables_have_the_values_of_the_store(grafana):
    assert grafana.variables["vendor"] == ["agora", "opentok"]
    assert len(grafana.variables["app_id"]) == 2


@pytest.mark.parametrize("title", PANELS)
def test_query_returns_values_that_the_panel_can_show(grafana, title):
    panel = PANELS[title]
    for target in panel["targets"]:
        columns, rows = grafana(target["rawSql"])
        assert rows
        assert {kind for _, kind in columns} <= TYPES, columns
        for place, (name, _) in enumerate(columns):
            if name not in NULL_FOR_SOME:
                assert all(row[place] is not None for row in rows), name
            assert any(row[place] is not None for row in rows), name
        check_shape(panel, columns, rows)
        check_values(panel, columns, rows)


def check_shape(panel, columns, rows):
    names = [name for name, _ in columns]
    match panel["type"]:
        case "stat":
            assert (len(rows), len(columns)) == (1, 1)
        case "timeseries":
            assert columns[0] == ("time", "TIMESTAMP")
            assert panel["targets"][0]["format"] == 0
            assert [row[0] for row in rows] == sorted(row[0] for row in rows)
            labels = [name for name, kind in columns if kind == "VARCHAR"]
            shown = panel["fieldConfig"]["defaults"].get("displayName")
            assert shown == (f"${{__field.labels.{labels[0]}}}" if labels else None)
            keys = [tuple(row[: 1 + len(labels)]) for row in rows]
            assert len(set(keys)) == len(keys)
            assert len({row[0] for row in rows}) >= 1
        case "barchart":
            assert columns[0][1] == "VARCHAR"
            assert {kind for _, kind in columns[1:]} == {"DOUBLE"}
        case "table":
            units = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
            assert units <= set(names)


def check_values(panel, columns, rows):
    numbers = [
        value
        for row in rows
        for value, (_, kind) in zip(row, columns, strict=True)
        if kind == "DOUBLE" and value is not None
    ]
    if panel["fieldConfig"]["defaults"]["unit"] == "percentunit":
        assert all(0 <= number <= 1 for number in numbers), numbers
        assert any(number > 0 for number in numbers)
    if "score" in panel["title"].lower() or panel["title"] == "Worst calls":
        assert all(1 <= number <= 4.5 for number in numbers), numbers


def test_numbers_are_those_of_the_store(grafana, store):
    def value(title, **chosen):
        _, rows = grafana(PANELS[title]["targets"][0]["rawSql"], **chosen)
        return rows[0][0]

    def sql(text):
        return store.sql(text).fetchall()[0][0]

    meetings = sql("select count(distinct call_id) from points")
    assert value("Calls", vendor=["agora"]) == store.counts()["calls"]
    assert value("Calls", vendor=["opentok"]) == meetings
    assert value("Calls") == store.counts()["calls"] + meetings
    for media in ("audio", "video"):
        mean = sql(
            "select sum(score * seconds) / sum(seconds) from interval_scores where score is not null and "
            f"media = '{media}' and ts between to_timestamp({SINCE}) and to_timestamp({UNTIL})"
        )
        assert value(f"{media.capitalize()} score") == pytest.approx(mean)
    [(worst, *_), *_] = grafana(PANELS["Worst calls"]["targets"][0]["rawSql"])[1]
    assert worst == pytest.approx(sql("select min(worst_window) from stream_scores"))


def test_every_query_selects_files_by_the_day():
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            sources = re.findall(r"\bFROM\s+\w+", target["rawSql"])
            assert target["rawSql"].count("day BETWEEN") == len(sources), title
