"""How fast and how small samples are stored, beside the usual ways to keep rows.

    python -m benchmarks.store_write [--rows 1334000] [--units 1500] [--repeats 5] [--json]

Every peer writes the same rows, and they are read back and compared before anything is printed. Rows a second are by
CPU time (all threads of this process), medians and quartiles of interleaved runs; `x csv.writer` compares them run by
run.

The rows are synthetic: 20 sessions a call, 36 series a session, whole numbers below 100 as values. In `even` rows a
series has a sample every 2 s, as in the study behind the encodings; in `uneven` rows every 2 to 6 s, each series for
itself, which is the worst that the API's documentation allows. The peers that go row by row get ready-made tuples.
"""

import argparse
import csv
import gc
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from agora_analytics.schemas import METRICS
from agora_analytics.store import open_store
from benchmarks.measure import Spread, print_table

APP, DAY = "0123456789abcdef0123456789abcdef", "2026-11-20"
CREATED = 1_795_161_600
SESSIONS, SERIES = 20, 36
ROWS_BY_ROW = 500_000

Fingerprint = tuple[int, int, float, int]


def one_call(number: int, rows: int, *, even: bool = True) -> pa.Table:
    """One call's samples, dictionary-encoded as a decoder gives them."""
    random = np.random.default_rng(number)
    points = max(1, rows // (SESSIONS * SERIES))
    shape = (SESSIONS, SERIES, points)
    steps = np.full(shape, 2) if even else random.integers(2, 7, shape)
    ts = CREATED + 86 * (number % 1000) + np.cumsum(steps, axis=2)
    value = random.integers(0, 100, shape)
    series = np.broadcast_to(np.arange(SERIES)[None, :, None], shape).ravel()
    peers = np.where(series < 28, 0, series - 27).astype(np.int32)
    sid = np.repeat(np.arange(SESSIONS, dtype=np.int32), SERIES * points)
    sids = [f"{number:016X}{i:016X}" for i in range(SESSIONS)]

    def text(codes: np.ndarray, values: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))

    return pa.table(
        {
            "call_id": text(np.zeros(ts.size, np.int32), [f"{number:032x}"]),
            "sid": text(sid, sids),
            "mid": pa.array(20001 + series % 28, pa.int32()),
            "peer_uid": text(peers, ["0", *(str(2**31 + 7 * i) for i in range(1, 9))]),
            "ts": pa.array(ts.ravel(), pa.int64()).cast(pa.timestamp("s", "UTC")),
            "value": pa.array(value.ravel(), pa.float64()),
        }
    )


def fingerprint(rows: pa.Table) -> Fingerprint:
    seconds = rows.column("ts").cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    mixed = pc.multiply(pc.bit_wise_and(seconds, 0xFFF), pc.cast(rows.column("mid"), pa.int64()))
    keys = rows.select(["call_id", "sid", "peer_uid"]).cast(
        pa.schema([METRICS.field(n) for n in ("call_id", "sid", "peer_uid")])
    )
    distinct = keys.group_by(["call_id", "sid", "peer_uid"]).aggregate([]).num_rows
    return rows.num_rows, pc.sum(mixed).as_py(), pc.sum(rows.column("value")).as_py(), distinct


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# ---- the peers: each writes the calls into a folder, and tells how to read them back


def put_in_store(folder: Path, calls: list[pa.Table]) -> Callable[[], pa.Table]:
    store = open_store(folder / "store", create=True)
    with store.writer.writing(APP):
        for number, rows in enumerate(calls):
            store.writer.put("metrics", f"{number:032x}.00000", rows, app_id=APP, day=DAY, pending=False)
            row = pa.table({"call_id": pa.array([f"{number:032x}"]), "finished": pa.array([True])})
            store.writer.put("calls", f"{number:032x}", row, app_id=APP, day=DAY, pending=False)
    return lambda: store.table("metrics").select(METRICS.names)


def put_and_compact(folder: Path, calls: list[pa.Table]) -> Callable[[], pa.Table]:
    read = put_in_store(folder, calls)
    report = open_store(folder / "store").writer.compact(closed_before="2027-01-01")
    assert report.skipped == (), report
    return read


def parquet_defaults(folder: Path, calls: list[pa.Table]) -> Callable[[], pa.Table]:
    for number, rows in enumerate(calls):
        pq.write_table(rows, folder / f"{number}.parquet")
    return lambda: pa.concat_tables(pq.read_table(path).cast(METRICS) for path in sorted(folder.iterdir()))


def duckdb_insert(folder: Path, calls: list[pa.Table]) -> Callable[[], pa.Table]:
    with duckdb.connect(str(folder / "db")) as connection:
        for number, rows in enumerate(calls):
            connection.register("rows", rows)
            connection.execute(
                "create table metrics as from rows" if not number else "insert into metrics from rows"
            )

    def read() -> pa.Table:
        with duckdb.connect(str(folder / "db")) as connection:
            return connection.sql("from metrics").to_arrow_table()

    return read


def arrow_csv(folder: Path, calls: list[pa.Table]) -> Callable[[], pa.Table]:
    for number, rows in enumerate(calls):
        pyarrow.csv.write_csv(rows.cast(METRICS), folder / f"{number}.csv")
    types = pyarrow.csv.ConvertOptions(column_types=METRICS)
    return lambda: pa.concat_tables(
        pyarrow.csv.read_csv(path, convert_options=types) for path in sorted(folder.iterdir())
    )


def plain_rows(rows: pa.Table) -> list[tuple[object, ...]]:
    seconds = rows.column("ts").cast(pa.int64())
    columns = [rows.column(name) for name in METRICS.names[:4]] + [seconds, rows.column("value")]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def from_plain(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    kinds = [*(METRICS.field(i).type for i in range(4)), pa.int64(), pa.float64()]
    return pa.table(
        [pa.array(c, kind) for c, kind in zip(columns, kinds, strict=True)], names=METRICS.names
    ).cast(METRICS)


def csv_writer(folder: Path, rows: list[tuple[object, ...]]) -> Callable[[], pa.Table]:
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(METRICS.names)
        writer.writerows(rows)

    def read() -> pa.Table:
        with (folder / "metrics.csv").open(newline="") as file:
            lines = csv.reader(file)
            next(lines)
            return from_plain([(a, b, int(c), d, int(e), float(f)) for a, b, c, d, e, f in lines])

    return read


def sqlite_rows(folder: Path, rows: list[tuple[object, ...]]) -> Callable[[], pa.Table]:
    with closing(sqlite3.connect(folder / "db")) as connection, connection:
        connection.execute(f"create table metrics ({', '.join(METRICS.names)})")
        connection.executemany("insert into metrics values (?, ?, ?, ?, ?, ?)", rows)

    def read() -> pa.Table:
        with closing(sqlite3.connect(folder / "db")) as connection:
            return from_plain(connection.execute("select * from metrics").fetchall())

    return read


Peer = Callable[[Path, Any], Callable[[], pa.Table]]

PEERS: dict[str, Peer] = {
    "store: put": put_in_store,
    "store: put and compact": put_and_compact,
    "pyarrow Parquet, defaults": parquet_defaults,
    "DuckDB insert from Arrow": duckdb_insert,
    "pyarrow CSV": arrow_csv,
}
ROW_BY_ROW: dict[str, Peer] = {"csv.writer": csv_writer, "sqlite3 executemany": sqlite_rows}
"""Of fewer rows: they take minutes otherwise."""


def measure(name: str, write: Peer, given: Any, expected: Fingerprint, *, check: bool) -> tuple[float, float]:
    """Write once; return rows a CPU second and bytes a row."""
    with tempfile.TemporaryDirectory() as scratch:
        gc.collect()
        cpu = time.process_time()
        read = write(Path(scratch), given)
        cpu = time.process_time() - cpu
        if check and (found := fingerprint(read())) != expected:
            raise SystemExit(f"{name} gave back other rows: {found}, not {expected}")
        return expected[0] / cpu, size(Path(scratch)) / expected[0]


def compare(calls: list[pa.Table], repeats: int) -> list[dict[str, Any]]:
    whole = pa.concat_tables(calls).unify_dictionaries()
    few = whole.slice(0, ROWS_BY_ROW)
    tuples = plain_rows(few)
    jobs = [(name, write, calls, fingerprint(whole)) for name, write in PEERS.items()]
    jobs += [(name, write, tuples, fingerprint(few)) for name, write in ROW_BY_ROW.items()]
    speeds: dict[str, list[float]] = {name: [] for name, *_ in jobs}
    sizes = {}
    for repeat in range(repeats):
        for name, write, given, expected in jobs:
            speed, sizes[name] = measure(name, write, given, expected, check=repeat == 0)
            speeds[name].append(speed)
    base = speeds["csv.writer"]
    return [
        {
            "name": name,
            "rows_per_cpu_s": Spread.of(speeds[name]),
            "bytes_per_row": sizes[name],
            "x_csv_writer": Spread.of([a / b for a, b in zip(speeds[name], base, strict=True)]),
        }
        for name, *_ in jobs
    ]


def small_units(count: int, *, durable: bool) -> float:
    """Units of small calls a second: a call is samples, sessions and its own row, aside and then shown."""
    text = pa.string()
    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(Path(scratch) / "store", create=True, durable=durable)
        began = time.perf_counter()
        with store.writer.writing(APP):
            for number in range(count // 3):
                call = f"{number:032x}"
                key = pa.array([call], text)
                samples = one_call(number, SESSIONS * SERIES).slice(0, 200)
                sessions = pa.table({"call_id": key, "sid": key, "uid": pa.array(["1"], text)})
                place = {"app_id": APP, "day": DAY}
                store.writer.put("metrics", call, samples, **place, pending=True)
                store.writer.put("sessions", call, sessions, **place, pending=True)
                row = pa.table({"call_id": key, "finished": pa.array([True])})
                store.writer.publish(**place, metrics=[call], sessions=sessions, call=call, row=row)
        seconds = time.perf_counter() - began
        assert store.counts() == {
            "calls": count // 3,
            "sessions": count // 3,
            "metrics": 200 * (count // 3),
            "points": 0,
        }
        return count // 3 * 3 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_334_000)
    parser.add_argument("--units", type=int, default=1_500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    chosen = parser.parse_args()
    in_a_call = min(667_000, chosen.rows)
    results = {}
    for even in (True, False):
        calls = [one_call(number, in_a_call, even=even) for number in range(max(1, chosen.rows // in_a_call))]
        results["even" if even else "uneven"] = compare(calls, chosen.repeats)
    units = {f"durable={durable}": small_units(chosen.units, durable=durable) for durable in (False, True)}
    if chosen.json:
        print(json.dumps({"write": results, "unit_writes_per_s": units}, default=attrs.asdict, indent=1))
        return
    for kind, peers in results.items():
        print_table(
            f"{kind} rows: median (quartiles)",
            ["", "M rows / CPU s", "bytes / row", "x csv.writer"],
            [
                [
                    str(peer["name"]),
                    f"{peer['rows_per_cpu_s'].median / 1e6:.2f}",
                    f"{peer['bytes_per_row']:.2f}",
                    str(peer["x_csv_writer"]),
                ]
                for peer in peers
            ],
        )
    for name, rate in units.items():
        print(f"small units a second, {name}: {rate:.0f}")


if __name__ == "__main__":
    main()
