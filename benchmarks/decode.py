"""How fast a metrics answer becomes columns: this library's readers beside the usual ways.

    python -m benchmarks.decode [--json] [--quick]

The bodies are synthetic: 20 sessions of 36 series, 16 bytes of JSON a point. `mixed` has 1 % nulls, floats in two of
seven metrics, and text as the user id in half of the remote series. Every way ends with one int64 column of
timestamps and one float64 column of values, and all are compared first. Figures are CPU time.
"""

# ruff: noqa: UP031  a JSON text has braces of its own

import argparse
import gc
import json
import random
import sys
import tempfile
from functools import partial
from itertools import chain
from pathlib import Path

import attrs
import msgspec
import numpy as np
import orjson

from agora_analytics.decode import available, decode_with
from benchmarks.measure import Spread, faster, interleaved, peak_memory, print_table

SESSIONS, LOCAL_SERIES, REMOTE_SERIES = 20, 28, 8
BYTES_A_POINT = 16.1
BODIES = {"100 KB": 100_000, "2 MB": 2_000_000, "20 MB": 20_000_000, "20 MB mixed": 20_000_000}


def make_body(size: int, *, mixed: bool = False, seed: int = 7) -> bytes:
    """Make an answer of about `size` bytes."""
    chance = random.Random(seed)
    points = max(1, round(size / BYTES_A_POINT / (SESSIONS * (LOCAL_SERIES + REMOTE_SERIES))))
    sessions = []
    for _ in range(SESSIONS):
        series = []
        for number in range(LOCAL_SERIES + REMOTE_SERIES):
            remote = number >= LOCAL_SERIES
            uid = chance.getrandbits(32) if remote else 0
            series.append(
                '{"mid":%d,"kvs":[%s],"peer_uid":%s}'
                % (
                    20009 if remote else 20001 + number,
                    ",".join(_points(chance, points, mixed=mixed, floats=mixed and number % 7 < 2)),
                    f'"{uid}"' if mixed and remote and number % 2 else uid,
                )
            )
        sessions.append('{"sid":"%032X","data":[%s]}' % (chance.getrandbits(128), ",".join(series)))
    return ('{"code":200,"message":"","requestId":"0","metrics":[%s]}' % ",".join(sessions)).encode()


def _points(chance: random.Random, points: int, *, mixed: bool, floats: bool):
    ts = 1763600000 + chance.randrange(9)
    for _ in range(points):
        if mixed and chance.random() < 0.01:
            value = "null"
        elif floats:
            value = f"{chance.uniform(0, 100):.2f}"
        else:
            value = str(chance.randrange(10 ** chance.randrange(1, 4)))
        yield f"[{ts},{value}]"
        ts += chance.choice((2, 2, 4, 6))


def _columns(series):
    """Make columns of lists of pairs, the usual fast way: one flat array for each series."""
    flat = []
    for kvs in series:
        try:
            flat.append(np.fromiter(chain.from_iterable(kvs), "f8", 2 * len(kvs)))
        except TypeError:
            flat.append(np.array(kvs, "f8").ravel())
    both = np.concatenate(flat) if flat else np.empty(0)
    return both[::2].astype("i8"), both[1::2].copy()


class MsgspecSeries(msgspec.Struct):
    mid: int
    kvs: list[tuple[int, float | None]]
    peer_uid: int | str | None = None


class MsgspecSession(msgspec.Struct):
    sid: str
    data: list[MsgspecSeries]


class MsgspecAnswer(msgspec.Struct):
    metrics: list[MsgspecSession]


@attrs.define
class AttrsSeries:
    mid: int
    kvs: list[tuple[int, float | None]]
    peer_uid: int | str


@attrs.define
class AttrsSession:
    sid: str
    data: list[AttrsSeries]


@attrs.define
class AttrsAnswer:
    metrics: list[AttrsSession]


def _of_models(answer):
    return _columns(series.kvs for session in answer.metrics for series in session.data)


def usual_ways():
    """Return the usual ways from bytes to columns, by name, as far as their libraries are installed."""
    from cattrs.preconf.orjson import make_converter

    converter = make_converter()
    converter.register_structure_hook(int | str, lambda uid, _: uid)
    typed = msgspec.json.Decoder(MsgspecAnswer)
    ways = {
        "orjson + NumPy": lambda body: _columns(
            series["kvs"] for session in orjson.loads(body)["metrics"] for series in session["data"]
        ),
        "msgspec typed": lambda body: _of_models(typed.decode(body)),
        "cattrs": lambda body: _of_models(converter.loads(body, AttrsAnswer)),
    }
    try:
        import pydantic
    except ImportError:
        return ways
    series = pydantic.create_model(
        "Series", mid=(int, ...), kvs=(list[tuple[int, float | None]], ...), peer_uid=(int | str, ...)
    )
    session = pydantic.create_model("Session", sid=(str, ...), data=(list[series], ...))
    answer = pydantic.create_model("Answer", metrics=(list[session], ...))
    ways["pydantic"] = lambda body: _of_models(answer.model_validate_json(body))
    return ways


def our_way(reader: str):
    def decode(body: bytes):
        columns = decode_with(reader, body)
        return np.asarray(columns.ts), np.asarray(columns.value)

    return decode


def loads_alone(body: bytes) -> None:
    """Parse with orjson and make nothing of it, without garbage collection."""
    gc.disable()
    try:
        orjson.loads(body)
    finally:
        gc.enable()


def check_same(ways, body: bytes) -> None:
    """Stop if two ways do not give the same columns."""
    found = {name: way(body) for name, way in ways.items()}
    (first, (ts, value)), *others = found.items()
    for name, (other_ts, other_value) in others:
        if not (np.array_equal(ts, other_ts) and np.array_equal(value, other_value, equal_nan=True)):
            sys.exit(f"{name} and {first} do not give the same columns")


PEAK = """
from pathlib import Path
from agora_analytics.decode import decode_with
decode_with(sys.argv[1], b'{"metrics":[]}')
body = Path(sys.argv[2]).read_bytes()
before = peak()
columns = decode_with(sys.argv[1], body)
print(before, peak())
"""
PEAK_ORJSON = """
from pathlib import Path
from benchmarks_decode import usual_ways
way = usual_ways()["orjson + NumPy"]
body = Path(sys.argv[2]).read_bytes()
before = peak()
columns = way(body)
print(before, peak())
""".replace(
    "from benchmarks_decode",
    f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\nfrom benchmarks.decode",
)


def peaks(body: bytes) -> dict[str, float]:
    """Return the peak memory of each way, beside the body, in multiples of the body."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(body)
        found = {reader: peak_memory(PEAK, reader, file.name) / len(body) for reader in available()}
        found["orjson + NumPy"] = peak_memory(PEAK_ORJSON, "", file.name) / len(body)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="only the bodies of 100 KB and 2 MB")
    options = parser.parse_args()
    ours = {reader: our_way(reader) for reader in available()}
    usual = usual_ways()
    report = {}
    for name, size in BODIES.items():
        if options.quick and size > 2_000_000:
            continue
        body = make_body(size, mixed="mixed" in name)
        check_same(usual | ours, body)
        ways = usual | {"orjson.loads alone, GC off": loads_alone} | ours
        runs = {label: partial(way, body) for label, way in ways.items()}
        seconds = interleaved(runs, repeats=5 if size > 2_000_000 else 7, loops=max(1, 10_000_000 // size))
        megabytes = {label: Spread.of([len(body) / 1e6 / s for s in each]) for label, each in seconds.items()}
        ratios = {
            peer: {reader: faster(seconds[peer], seconds[reader]) for reader in ours}
            for peer in ways
            if peer not in ours
        }
        memory = {} if options.quick or "20" not in name else peaks(body)
        report[name] = {"bytes": len(body), "MB/s": megabytes, "faster than": ratios, "peak / body": memory}
        if not options.json:
            _print(name, len(body), megabytes, ratios, memory)
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))


def _print(name, size, megabytes, ratios, memory) -> None:
    readers = list(next(iter(ratios.values())))
    rows = [
        [f"x {peer}", *map(str, each.values()), f"{megabytes[peer].median:.0f}"]
        for peer, each in ratios.items()
    ]
    rows.append(["MB/s", *(f"{megabytes[reader].median:.0f}" for reader in readers), ""])
    if memory:
        rows.append(["peak memory / body", *(f"{memory[reader]:.1f}" for reader in readers), ""])
        rows.append(["  of orjson + NumPy", *(f"{memory['orjson + NumPy']:.1f}" for _ in readers), ""])
    print_table(
        f"{name} ({size:,} bytes): times faster, median (quartiles)", ["", *readers, "its MB/s"], rows
    )


if __name__ == "__main__":
    main()
