"""Measures the panels of a report from roll-ups and from all samples, and checks that both are equal.

    python -m benchmarks.answers [--samples 100_000_000] [--days 7] [--keep FOLDER] [--json]

The samples are generated straight into a store, call by call, in the shape of the simulator's: sessions of about six
minutes (log-normal), one to eight users, 28 metrics at intervals of 4 s or a multiple, values that are whole numbers or
quarters. The days are compacted, which writes the roll-ups; each roll-up is written again to measure its CPU time. Then a
process of its own runs each panel from the roll-ups and as a full scan, and compares the rows. CPU seconds are of all
threads, so other processes do not count.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from agora_analytics.insight.quality_report.panels import MeasuredLimits, limits_sql, scores_sql
from agora_analytics.schemas import CALL_TABLES, METRICS
from agora_analytics.store import ParquetStore, duckdb_connection, open_store, query
from agora_analytics.store.rollups.files import ROLLUPS, rollup_days
from benchmarks.measure import print_table

APP = "0123456789abcdef0123456789abcdef"
FIRST_DAY = 1_794_873_600  # 2026-11-17
DAY = 86_400
SECONDS = pa.timestamp("s", "UTC")

OWN = ((20001, 18, 9, 0, 3), (20002, 35, 20, 0, 3), (20022, 60, 40, 400, 1), (20021, 3, 3, 80, 4), (20039, 9, 2, 0, 5),
       (20040, 55, 10, 0, 5), (20003, 48, 14, 0, 1), (20015, 1, 1, 25, 1), (20025, 60, 40, 0, 2), (20024, 800, 250, 0, 1),
       (20007, 15, 1, 0, 2), (20008, 15, 2, 0, 1), (20017, 1, 1, 30, 1), (20013, 27, 6, 0, 3))  # fmt: skip
OF_PEERS = ((20004, 48, 14, 0, 1), (20005, 0, 0, 900, 2), (20016, 1, 1, 30, 1), (20026, 60, 40, 0, 2),
            (20009, 800, 250, 0, 1), (20010, 15, 2, 0, 1), (20011, 0, 0, 2400, 1), (20018, 1, 1, 35, 1),
            (20019, 640, 0, 0, 8), (20020, 360, 0, 0, 8))  # fmt: skip
"""Metric, base, spread, the most that a bad report adds, and every how many reports it is sent."""

WHOLE = "day >= '2026-11-17'"
PANELS = {
    "report: time beyond limits": limits_sql(MeasuredLimits.of("agora"), WHOLE),
    "report: scores": scores_sql(WHOLE),
    "totals": "select metric, {measures} from quality_hours group by all",
    "by hour": "select metric, hour, {measures} from quality_hours group by all",
    "by network": "select metric, network, {measures} from quality_hours group by all",
    "by platform": "select metric, platform, {measures} from quality_hours group by all",
    "by SDK version": "select metric, sdk_version, {measures} from quality_hours group by all",
    "by channel": "select metric, channel, {measures} from quality_hours group by all",
    "worst calls": """
        select app_id, call_id, channel, sum(seconds_beyond) as beyond, sum(seconds) as seconds,
            count(distinct user_id) as users
        from quality_hours where seconds_beyond is not null group by all
        order by sum(seconds_beyond) / sum(seconds) desc, call_id limit 50
    """,
    "calls for an interval": """
        select metric, network, call_id, sum(value_sum) as value_sum, sum(measured) as measured,
            sum(seconds_beyond) as beyond, sum(seconds) as seconds
        from quality_hours where metric in ('round_trip_time', 'video_packet_loss_received') group by all
    """,
    "quantiles": """
        select metric, min(value) filter (upto >= 0.5 * total), min(value) filter (upto >= 0.95 * total)
        from (
            select metric, value, sum(samples) over (partition by metric order by value) as upto,
                sum(samples) over (partition by metric) as total
            from (select metric, value, sum(samples) as samples from quality_histogram group by all)
        ) group by all
    """,
    "scores": "select media, {scores} from score_hours group by all",
    "scores by hour": "select media, hour, {scores} from score_hours group by all",
    "scores by network": "select media, network, {scores} from score_hours group by all",
    "scores by SDK version": "select media, sdk_version, {scores} from score_hours group by all",
    "worst calls by score": """
        select app_id, call_id, channel, media, {scores},
            min({{'score': worst_window, 'ts': worst_window_ts, 'user_id': user_id, 'peer_id': peer_id}}) as worst
        from score_hours group by all order by worst_window, call_id, media limit 50
    """,
}
MEASURES = """
    sum(samples) as samples, sum(measured) as measured, sum(value_sum) as value_sum, min(value_min) as value_min,
    max(value_max) as value_max, sum(seconds) as seconds, sum(seconds_beyond) as beyond,
    count(distinct call_id) as calls, count(distinct user_id) as users
"""
SCORES = """
    sum(intervals) as intervals, sum(seconds) as seconds, sum(score_sum) as score_sum, min(worst_window) as worst_window,
    count(distinct call_id) as calls, count(distinct user_id) as users
"""
MEMORY_LIMIT = "500MB"
"""The memory of DuckDB's buffers. The rest of a full scan is on the disk meanwhile."""
PLAIN = "select metric, count(*), count(value), sum(value), min(value), max(value) from quality group by all"
"""What a query without seconds costs over the view of the samples, to compare the full scan with."""


def one_call(number: int, random: np.random.Generator, since: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the row of a call, its sessions and its samples, which are sorted by session and series."""
    call_id, users = f"{number:08x}{random.bytes(12).hex()}", int(1 + 7 * random.random() ** 2)
    lasts = np.clip(random.lognormal(np.log(360), 0.9, users), 20, 6 * 3600).astype(int)
    joins = since + random.integers(0, 30, users)
    sids = [random.bytes(16).hex().upper() for _ in range(users)]
    uids = [str(number % 20_000 * 10 + i) for i in range(users)]
    columns: list[list[Any]] = [[], [], [], [], []]
    for i in range(users):
        times = joins[i] + np.cumsum(np.full(lasts[i] // 4 + 1, 4))
        bad = random.random(len(times)) < (0.02 if number % 9 else 0.3)
        peers = [("0", OWN), *((uids[j], OF_PEERS) for j in range(users) if j != i)][:3]
        for peer, metrics in peers:
            for mid, base, spread, burst, every in metrics:
                at = times[::every]
                values = (
                    base
                    + spread * random.uniform(-1, 1, len(at))
                    + burst * bad[::every] * random.random(len(at))
                )
                values = np.round(values * 4) / 4 if spread == 1 else np.round(values)
                for column, part in zip(columns, (i, mid, peer, at, np.maximum(values, 0)), strict=True):
                    column.append(part)
    sizes = [len(part) for part in columns[3]]
    texts = pa.array(columns[2]).dictionary_encode()
    return (
        pa.table(
            {
                "call_id": [call_id], "cname": [f"room{number % 300}"],
                "created_ts": pa.array([since], SECONDS),
                "destroyed_ts": pa.array([int((joins + lasts).max())], SECONDS), "finished": [True],
            }
        ),
        pa.table(
            {
                "call_id": [call_id] * users, "sid": sids, "cname": [f"room{number % 300}"] * users, "uid": uids,
                "network": random.choice(["WiFi", "4G", "5G", "LAN"], users).tolist(),
                "platform": random.choice(["Android", "iOS", "Windows", "Web"], users).tolist(),
                "sdk_version": random.choice(["4.1.0", "4.2.6", "4.3.0"], users).tolist(),
                "join_ts": pa.array(joins, SECONDS), "leave_ts": pa.array(joins + lasts, SECONDS),
                "finished": [True] * users, "user_video_freeze_rate": random.random(users) / 20,
            }
        ),
        pa.table(
            [
                pa.DictionaryArray.from_arrays(pa.array(np.zeros(sum(sizes), np.int32)), pa.array([call_id])),
                pa.DictionaryArray.from_arrays(pa.array(np.repeat(columns[0], sizes).astype(np.int32)), pa.array(sids)),
                pa.array(np.repeat(columns[1], sizes), pa.int32()),
                pa.DictionaryArray.from_arrays(
                    pa.array(np.repeat(texts.indices.to_numpy(), sizes)), texts.dictionary
                ),
                pa.array(np.concatenate(columns[3])).cast(SECONDS),
                pa.array(np.concatenate(columns[4])),
            ],
            names=METRICS.names,
        ),
    )  # fmt: skip


def generate(folder: Path, samples: int, days: int) -> ParquetStore:
    """Write calls with about so many samples into a new store. A unit has many calls, as the files are merged anyway."""
    store = open_store(folder, create=True, durable=False)
    with store.writer.writing(APP):
        for day in range(days):
            since = FIRST_DAY + day * DAY
            random, written, number = np.random.default_rng(day), 0, day << 20
            name = time.strftime("%Y-%m-%d", time.gmtime(since))
            while written < samples // days:
                parts: list[tuple[pa.Table, pa.Table, pa.Table]] = []
                while sum(part[2].num_rows for part in parts) < 500_000 and written < samples // days:
                    parts.append(one_call(number, random, since + int(DAY * random.random())))
                    number, written = number + 1, written + parts[-1][2].num_rows
                for table, rows in zip(CALL_TABLES, zip(*parts, strict=True), strict=True):
                    store.writer.put(table, f"{number:08x}", rows, app_id=APP, day=name, pending=False)
    return store


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def run_panels(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the figures of each panel. Runs in a process of its own, so that the peak memory is that of the queries."""
    layout = open_store(folder)._layout
    connect = duckdb_connection.connect

    def limited() -> duckdb.DuckDBPyConnection:
        connection = connect()
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        return connection

    duckdb_connection.connect = limited

    def timed(text: str, *, use_rollups: bool) -> tuple[pa.Table, float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        rows = query.fetch(layout, text, lambda made: made.to_arrow_table(), use_rollups=use_rollups)
        return rows, time.process_time() - cpu, time.perf_counter() - wall

    texts = {name: text.format(measures=MEASURES, scores=SCORES) for name, text in PANELS.items()}
    fast = {name: timed(text, use_rollups=True) for name, text in texts.items()}
    again = {name: timed(text, use_rollups=True)[1:] for name, text in texts.items()}
    print(json.dumps({"peak_of_rollups": peak()}), flush=True)
    for name, text in texts.items():
        scanned = timed(text, use_rollups=False)
        yield {
            "panel": name,
            "rows": scanned[0].num_rows,
            "equal": in_order(scanned[0]).equals(in_order(fast[name][0])),
            "first_wall": fast[name][2],
            "peak": peak(),
            "cpu": again[name][0],
            "wall": again[name][1],
            "scan_cpu": scanned[1],
            "scan_wall": scanned[2],
        }
    _, cpu, wall = timed(PLAIN, use_rollups=False)
    yield {"panel": "plain group by metric over quality", "scan_cpu": cpu, "scan_wall": wall}


def in_order(rows: pa.Table) -> pa.Table:
    plain = [name for name in rows.column_names if not pa.types.is_nested(rows.schema.field(name).type)]
    return rows.sort_by([(name, "ascending") for name in plain]).combine_chunks()


def rollup_seconds(folder: Path) -> dict[str, float]:
    """Write each roll-up again; return the CPU seconds of each kind."""
    layout, seconds = open_store(folder)._layout, dict[str, float]()
    for rollup in ROLLUPS:
        for day in rollup_days(layout, rollup):
            begun = time.process_time()
            day.build()
            seconds[rollup.name] = seconds.get(rollup.name, 0) + time.process_time() - begun
    return seconds


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(samples: int, days: int, keep: str | None) -> dict[str, Any]:
    folder = Path(keep or tempfile.mkdtemp(prefix="answers-"))
    try:
        if not (folder / "store").exists():
            begun = time.perf_counter()
            store = generate(folder / "store", samples, days)
            generated = time.perf_counter()
            report = store.writer.compact(closed_before="2027-01-01")
            assert report.skipped == (), report
            shutil.rmtree(folder / "store/_replaced", ignore_errors=True)
            print(
                f"generated in {generated - begun:.0f} s, compacted in {time.perf_counter() - generated:.0f} s",
                flush=True,
            )
        store = open_store(folder / "store")
        figures: dict[str, Any] = {
            "samples": store.counts()["metrics"],
            "bytes": sum(size(folder / "store" / table) for table in CALL_TABLES),
            "rollup_bytes": size(folder / "store/_rollups"),
            "rollup_sizes": {path.name: size(path) for path in (folder / "store/_rollups").iterdir()},
            "rollup_cpu": rollup_seconds(folder / "store"),
            "panels": [],
        }
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.answers", "--panels", str(folder / "store")],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                found = json.loads(line)
                if "panel" in found:
                    figures["panels"].append(found)
                    print(found, file=sys.stderr, flush=True)
                else:
                    figures |= found
        return figures
    finally:
        if keep is None:
            shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--keep", metavar="FOLDER", help="generate here, or use what is here, and keep it")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--panels", metavar="STORE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.panels:
        for found in run_panels(Path(options.panels)):
            print(json.dumps(found), flush=True)
        print(json.dumps({"peak": peak()}), flush=True)
        return
    figures = measured(options.samples, options.days, options.keep)
    if options.json:
        print(json.dumps(figures))
        return
    share = figures["rollup_bytes"] / figures["bytes"]
    print(
        f"{figures['samples']:,} samples, {figures['bytes'] / 1e6:,.0f} MB, roll-ups {figures['rollup_bytes'] / 1e6:,.1f} MB "
        f"({share:.1%}); peak memory {figures['peak_of_rollups'] / 1e6:,.0f} MB from roll-ups, {figures['peak'] / 1e6:,.0f} MB "
        "with full scans"
    )
    million = figures["samples"] / 1e6
    kinds = [
        [
            name,
            f"{size / 1e6:,.2f}",
            f"{size / figures['bytes']:.1%}",
            f"{figures['rollup_cpu'][name] / million * 10:.1f}",
        ]
        for name, size in figures["rollup_sizes"].items()
    ]
    print_table("Roll-ups", ["roll-up", "MB", "of the data", "CPU s for 10 M samples"], kinds)
    *panels, plain = figures["panels"]
    rows = [
        [
            each["panel"],
            str(each["rows"]),
            "yes" if each["equal"] else "NO",
            *(f"{each[name]:.2f}" for name in ("wall", "cpu", "scan_wall", "scan_cpu")),
            f"{each['scan_wall'] / each['wall']:.0f}",
            f"{each['scan_cpu'] / each['cpu']:.0f}",
        ]
        for each in panels
    ]
    rows.append(
        [plain["panel"], "", "", "", "", f"{plain['scan_wall']:.2f}", f"{plain['scan_cpu']:.2f}", "", ""]
    )
    header = ["panel", "rows", "equal", "s", "CPU s", "scan s", "scan CPU s", "ratio", "CPU ratio"]
    print_table("Panels from roll-ups and as a full scan", header, rows)


if __name__ == "__main__":
    main()
