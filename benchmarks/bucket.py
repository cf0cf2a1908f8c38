"""A store in a bucket compared with a folder and with one commit for each unit: writing, compaction and its memory.

    python -m benchmarks.bucket [--calls 100] [--rows 4000000] [--repeats 3] [--json]

All write to the local disk, the bucket as well, so the figures show the cost of the formats and not of a network. Each
peer writes units of 2,000 samples, four to a call, and they are read back and compared before anything is printed.
`write_deltalake` commits each unit; it writes fewer calls, because it takes much longer. Units a second are by CPU time
(all threads of this process), medians and quartiles of interleaved runs.

Compactions run in processes of their own. They merge one day with `--rows` samples, in units of 100,000. Their memory is
the peak resident size above that after the imports.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from agora_analytics.schemas import CALLS, METRICS, SESSIONS
from agora_analytics.store import open_store
from agora_analytics.store.bucket.bucket_store import BucketStore, open_bucket
from agora_analytics.store.bucket.location import BucketLocation
from agora_analytics.store.parquet_store import ParquetStore
from benchmarks.measure import Spread, peak_memory, print_table
from benchmarks.store_write import APP, CREATED, DAY, SERIES, fingerprint, one_call
from benchmarks.store_write import SESSIONS as SIDS

Call = Sequence[pa.Table]
"""The units of a call."""

UNITS, SAMPLES, SAMPLES_OF_LARGE = 4, 2_000, 100_000
ONE_BY_ONE = 20
"""Calls of the peer that commits each unit."""
PLACE: dict[str, Any] = {"app_id": APP, "day": DAY}


def open_folder(path: Path) -> ParquetStore:
    return open_store(path / "folder", create=True)


def open_delta(path: Path) -> BucketStore:
    """Return a folder with the semantics of a bucket."""
    return open_bucket(BucketLocation("file", "", (path / "bucket").as_posix().strip("/")), create=True)


STORES: dict[str, Callable[[Path], ParquetStore | BucketStore]] = {
    "folder": open_folder,
    "bucket": open_delta,
}


def one_call_in_units(number: int, samples: int) -> Call:
    rows = one_call(number, samples * UNITS + SIDS * SERIES)
    return [rows.slice(start * samples, samples) for start in range(UNITS)]


def put_call(store: ParquetStore | BucketStore, number: int, units: Call) -> None:
    """Store a call as a harvest does."""
    call_id = f"{number:032x}"
    names = [f"{call_id}.{60 * i}-{60 * i + 59}.{i:016x}" for i in range(len(units))]
    for name, rows in zip(names, units, strict=True):
        store.writer.put("metrics", name, rows, **PLACE, pending=True)
    row = {"call_id": call_id, "created_ts": CREATED, "destroyed_ts": CREATED + 3600, "finished": True}
    sessions = pa.Table.from_pylist([{"call_id": call_id, "sid": call_id, "uid": "1"}], schema=SESSIONS)
    store.writer.put("sessions", call_id, sessions, **PLACE, pending=True)
    store.writer.publish(
        **PLACE,
        metrics=names,
        sessions=sessions,
        call=call_id,
        row=pa.Table.from_pylist([row], schema=CALLS),
    )


def write_store(kind: str, path: Path, calls: Sequence[Call]) -> Callable[[], pa.Table]:
    store = STORES[kind](path)
    for number, units in enumerate(calls):
        put_call(store, number, units)
    store.writer.commit()
    return lambda: store.table("metrics").select(METRICS.names)


def write_units(path: Path, calls: Sequence[Call]) -> Callable[[], pa.Table]:
    for units in calls:
        for rows in units:
            write_deltalake(path / "delta", rows.cast(METRICS), mode="append")
    return lambda: DeltaTable(path / "delta").to_pyarrow_dataset().to_table().cast(METRICS)


def compare_writing(calls: Sequence[Call], repeats: int) -> dict[str, list[float]]:
    """Return the units a CPU second of each peer, by repeat."""
    peers = {
        "folder": (lambda path, given: write_store("folder", path, given), calls),
        "bucket": (lambda path, given: write_store("bucket", path, given), calls),
        "write_deltalake": (write_units, calls[:ONE_BY_ONE]),
    }
    rates: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(repeats):
        for name, (write, given) in peers.items():
            with tempfile.TemporaryDirectory() as scratch:
                gc.collect()
                cpu = time.process_time()
                read = write(Path(scratch), given)
                rates[name].append(len(given) * UNITS / (time.process_time() - cpu))
                expected = fingerprint(pa.concat_tables(rows for units in given for rows in units))
                if (found := fingerprint(read())) != expected:
                    raise SystemExit(f"{name} returned other rows: {found}, not {expected}")
    return rates


COMPACTION = """
import time
from pathlib import Path
from benchmarks.bucket import STORES
store = STORES[sys.argv[1]](Path(sys.argv[2]))
before, cpu = peak(), time.process_time()
report = store.writer.compact(closed_before="2027-01-01")
assert report.compacted and not report.skipped, report
Path(sys.argv[2], "cpu").write_text(str(time.process_time() - cpu))
print(before, peak())
"""


def compact(kind: str, rows: int) -> dict[str, float]:
    """Return the CPU seconds, the memory and the bytes a row of a compaction."""
    with tempfile.TemporaryDirectory() as scratch:
        store = STORES[kind](Path(scratch))
        for number in range(max(1, rows // (UNITS * SAMPLES_OF_LARGE))):
            put_call(store, number, one_call_in_units(number, SAMPLES_OF_LARGE))
        store.writer.commit()
        stored = store.counts()["metrics"]
        memory = peak_memory(COMPACTION, kind, scratch)
        if store.counts()["metrics"] != stored:
            raise SystemExit(f"{kind} has other rows after the compaction")
        size = sum(Path(file).stat().st_size for file in store.files("metrics"))
        cpu = float(Path(scratch, "cpu").read_text())
        return {"rows": stored, "cpu_s": cpu, "memory": memory, "bytes_per_row": size / stored}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    chosen = parser.parse_args()
    calls = [one_call_in_units(number, SAMPLES) for number in range(chosen.calls)]
    rates = compare_writing(calls, chosen.repeats)
    ratios = {
        name: Spread.of([a / b for a, b in zip(found, rates["folder"], strict=True)])
        for name, found in rates.items()
    }
    compactions = {kind: compact(kind, chosen.rows) for kind in STORES}
    if chosen.json:
        print(json.dumps({"write": ratios, "compact": compactions}, default=attrs.asdict, indent=1))
        return
    print_table(
        "writing: median (quartiles)",
        ["", "units / CPU s", "x folder"],
        [[name, f"{Spread.of(rates[name]).median:.0f}", str(ratio)] for name, ratio in ratios.items()],
    )
    print_table(
        "one compaction of a day",
        ["", "M rows", "CPU s", "peak memory", "bytes a row"],
        [
            [
                kind,
                f"{found['rows'] / 1e6:.1f}",
                f"{found['cpu_s']:.1f}",
                f"{found['memory'] / 1e6:.0f} MB",
                f"{found['bytes_per_row']:.2f}",
            ]
            for kind, found in compactions.items()
        ],
    )


if __name__ == "__main__":
    main()
