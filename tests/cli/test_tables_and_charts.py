import io
import math
import re

import pyarrow as pa
import pytest
from rich.console import Console

from agora_analytics.agora.arrow import calls_table
from agora_analytics.agora.records import Call, Session
from agora_analytics.cli import terminal
from agora_analytics.cli.call_report import chart_width, show_call
from agora_analytics.cli.commands.calls import CALL_ROWS
from agora_analytics.cli.commands.costs import COST_ROWS
from agora_analytics.cli.output.table import TableWriter
from agora_analytics.cli.sparkline import sparkline
from agora_analytics.core.columns import Series
from agora_analytics.insight.call_charts import CallCharts, Measure

START = 1_795_000_000
CALL = Call(call_id="c1", cname="room", created_ts=START, destroyed_ts=START + 599, finished=True)


def fake_terminal(width):
    return Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, theme=terminal._THEME
    )


def session(uid, sid=None, join=0, leave=599, **more):
    ends = {"join_ts": START + join, "leave_ts": START + leave, "finished": True}
    return Session(sid=sid or f"S{uid}", uid=uid, network="Wi-Fi", platform="iOS", **ends, **more)


def series(sid, mid, values, *, peer="0", every=2, first=0):
    ts = memoryview(bytearray(8 * len(values))).cast("q")
    value = memoryview(bytearray(8 * len(values))).cast("d")
    for place, each in enumerate(values):
        ts[place], value[place] = START + first + every * place, each
    return Series(sid=sid, mid=mid, peer_uid=peer, ts=ts, value=value)


def test_sparkline_draws_values_gaps_and_colors():
    values = [0, 1, 5, 10, 50, math.nan, math.nan]
    present = [True] * 6 + [False]
    assert sparkline(values, present, top=10).plain == "▁▂▅██· "
    assert sparkline(values, present, top=10, plain=True).plain == "_.=##. "
    assert sparkline([0, 0], [True, True], top=0).plain == "▁▁"
    styles = {str(span.style) for span in sparkline([1, 4, 12], [True] * 3, top=10, warn=3, bad=10).spans}
    assert styles == {"cyan", "yellow", "red"}


def test_charts_average_the_samples_of_a_user():
    charts = CallCharts(CALL, [session("1"), session("2")], bins=10)
    charts.add(
        [
            series("S1", 20015, [10.0] * 300),
            series("S1", 20017, [30.0] * 300),
            series("S1", 20011, [500.0] * 300, peer="2"),  # 500 ms of each 2 s
            series("S1", 20004, [40.0] * 300, peer="2"),
            series("S1", 20009, [800.0] * 150, peer="2"),
            series("S1", 20009, [math.nan] * 9, peer="3"),
            series("S2", 20001, [99.0] * 300),  # is not drawn
            series("gone", 20015, [100.0] * 300),
        ]
    )
    worst, other = charts.worst_first()
    assert (worst.uid, other.uid) == ("1", "2")
    assert worst.mean(Measure.LOSS_UP) == pytest.approx(0.2)
    assert worst.mean(Measure.FREEZE) == pytest.approx(0.25, rel=0.01)
    assert worst.values(Measure.RECEIVED).tolist() == [840] * 5 + [40] * 5
    assert worst.mean(Measure.SENT) is None
    assert other.mean(Measure.LOSS_UP) is None
    assert other.trouble == (0, 0)


def test_parts_of_one_stream_in_an_interval_are_not_added():
    charts = CallCharts(CALL, [session("1")], bins=1)
    charts.add([series("S1", 20003, [50.0] * 10), series("S1", 20003, [50.0] * 10, first=300)])
    (user,) = charts.worst_first()
    assert user.values(Measure.SENT).tolist() == [50]


def test_user_who_rejoins_has_a_gap_in_the_chart():
    stays = [session("1", "A", leave=199), session("1", "B", join=400)]
    charts = CallCharts(CALL, stays, bins=6)
    charts.add([series("A", 20015, [0.0] * 100), series("B", 20015, [50.0] * 100, first=400)])
    (user,) = charts.worst_first()
    assert user.present == [True, True, False, False, True, True]
    assert sparkline(user.loss.tolist(), user.present, top=0.5).plain == "▁▁  ██"


def test_intervals_shorter_than_the_sample_period_leave_no_gaps():
    charts = CallCharts(CALL, [session("1")], bins=600)
    charts.add([series("S1", 20015, [1.0] * 50, every=6)])
    (user,) = charts.worst_first()
    known = [not math.isnan(value) for value in user.loss]
    assert sum(known) == 49 * 6 + 1


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("users", [1, 8, 300])
def test_call_report_fits_the_terminal(width, users):
    console = fake_terminal(width)
    everybody = [session(str(number), roles=("host", "audience")) for number in range(users)]
    charts = CallCharts(CALL, everybody, bins=chart_width(width))
    charts.add([series(f"S{number}", 20015, [100.0, 3.5] * 150) for number in range(users)])
    show_call(console, charts, charts.worst_first()[:8])
    lines = console.file.getvalue().splitlines()
    charted = [line for line in lines if "█" in line]
    assert len([line for line in charted if " loss " in line]) == min(users, 8)
    assert max(len(line.rstrip()) for line in lines if "A full block" not in line) <= width
    assert len(lines) < 65
    assert any(re.search(r"\d\d:\d\d:\d\dZ +\d\d:\d\d:\d\dZ", line) for line in lines)
    assert (users == 300) == any("292 more users" in line for line in lines)


def test_table_omits_empty_columns_and_names_those_that_do_not_fit(monkeypatch):
    call = Call(
        call_id="c" * 24,
        cname="a-very-long-channel-name",
        created_ts=START,
        destroyed_ts=START + 3723,
        finished=False,
        call_acu=1234,
        call_video_freeze_rate=0.0123,
    )
    shown = {}
    for width in (80, 160):
        console = fake_terminal(width)
        monkeypatch.setattr(terminal, "out", lambda _file, console=console: console)
        table = TableWriter(CALL_ROWS)
        table.add(calls_table([[call]]))
        table.finish()
        shown[width] = console.file.getvalue()
        assert max(map(len, shown[width].splitlines())) <= width
        assert "c" * 24 in shown[width]
    assert "1,234" in shown[160]
    assert "1.2 %" in shown[160]
    assert "1:02:03+" in shown[160]
    assert "at once" not in shown[160]
    assert "A wider terminal shows: users\n" in shown[80]
    assert "a-very-long-c…" in shown[80]


@pytest.mark.parametrize("width", [80, 160])
def test_cost_table_fits_the_terminal(width, monkeypatch):
    console = fake_terminal(width)
    monkeypatch.setattr(terminal, "out", lambda _file: console)
    table = TableWriter(COST_ROWS)
    counts = {"requests": 12, "left": 11, "per_day": 1440, "enough": False, "opens_at": START}
    row = {"endpoint": "realtime/quality/by_time_20sec", **counts}
    table.add(pa.Table.from_pylist([row], schema=COST_ROWS.schema()))
    table.finish()
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    (row,) = (line for line in lines if line.startswith("realtime/"))
    assert row.split()[:5] == ["realtime/quality/by_time_20sec", "12", "11", "1,440", "no"]
    assert ("A wider terminal shows: next day begins" in lines) == (width == 80)
