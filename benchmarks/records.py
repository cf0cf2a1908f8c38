"""How fast a page of 100 calls or sessions becomes records, and a table: beside `orjson.loads` of the same page.

    python -m benchmarks.records [--json]

Pages are compact JSON with every field that the reference names. All ways are compared first: the records of the
lenient reader (cattrs) are what the others must equal. `to a table` is of 20 pages, as a listing collects them.
"""

import argparse
import json
import random
import sys
from functools import partial

import attrs
import msgspec
import orjson
import pydantic

from agora_analytics import Call, Session
from agora_analytics.agora.arrow import calls_table, sessions_table
from agora_analytics.agora.record_pages import open_leniently, open_page
from agora_analytics.core.lenient_reader import LenientReader
from benchmarks.measure import Spread, faster, interleaved, print_table

PAGES = 20


def call(chance: random.Random) -> dict:
    start = 1_763_600_000 + chance.randrange(9999)
    return {
        "call_id": f"{chance.getrandbits(128):032X}",
        "cname": f"room-{chance.randrange(9999)}",
        "created_ts": start,
        "destroyed_ts": start + chance.randrange(9999),
        "finished": True,
        "call_pcu": chance.randrange(20),
        "call_acu": chance.randrange(40),
        "call_audio_freeze_rate": round(chance.random() / 10, 4),
        "call_video_freeze_rate": round(chance.random() / 10, 4),
    }


def session(chance: random.Random) -> dict:
    start = 1_763_600_000 + chance.randrange(9999)
    return {
        "sid": f"{chance.getrandbits(128):032X}",
        "cname": "room-1",
        "uid": chance.getrandbits(32),
        "account": "",
        "network": "Wi-Fi",
        "platform": "Android",
        "speaker": True,
        "roles": ["host"],
        "sdk_version": "4.5.0",
        "device_type": "SM-G991B",
        "join_ts": start,
        "leave_ts": start + chance.randrange(9999),
        "finished": True,
        "user_audio_freeze_rate": round(chance.random() / 10, 4),
        "user_video_freeze_rate": round(chance.random() / 10, 4),
    }


def page(items: str, make) -> bytes:
    chance = random.Random(3)
    rows = [make(chance) for _ in range(100)]
    envelope = {"code": 200, "message": "", "requestId": "r", "has_more": True}
    return orjson.dumps(envelope | {"page_no": 1, "page_size": 100, "total_size": 2000, items: rows})


KINDS = {
    "calls": (Call, "call_lists", call, calls_table),
    "sessions": (Session, "call_info", session, partial(sessions_table, call_id="c")),
}


def models(kind: type, items: str):
    """Return the same page as a pydantic model."""
    fields = {
        field.name: (field.type, ... if field.default is attrs.NOTHING else field.default)
        for field in attrs.fields(kind)
        if field.name != "extra"
    }
    if "uid" in fields:
        fields["uid"] = (int | str, ...)
    row = pydantic.create_model(kind.__name__, **fields)
    return pydantic.create_model("Page", **{items: (list[row], ...)})


def read_page(kind, items, body):
    return open_page(body, record=kind, items=items).decode(LenientReader())


def read_rows(kind, items, body):
    return open_page(body, record=kind, items=items, as_rows=True).decode(LenientReader())


def read_leniently(kind, items, body):
    return open_leniently(body, record=kind, items=items).decode(LenientReader())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    report = {}
    for name, (kind, items, make, table) in KINDS.items():
        body = page(items, make)
        lenient = read_leniently(kind, items, body).records
        records = read_page(kind, items, body).records
        if records != lenient or len(records) != 100:
            sys.exit("the fast reader and the lenient one do not agree")
        rows = getattr(models(kind, items).model_validate_json(body), items)
        if [row.model_dump(include={"finished", "cname"}) for row in rows] != [
            {"cname": record.cname, "finished": record.finished} for record in lenient
        ]:
            sys.exit("pydantic and cattrs do not agree")
        model = models(kind, items)
        untyped = msgspec.json.Decoder()

        def to_table(read, kind=kind, items=items, table=table, body=body):
            return table([read(kind, items, body).records for _ in range(PAGES)])

        if not to_table(read_rows).equals(to_table(read_leniently)):
            sys.exit("the table of the rows is not the one of the records")
        once = interleaved(
            {
                "orjson.loads alone": partial(orjson.loads, body),
                "records (this library)": partial(read_page, kind, items, body),
                "msgspec, untyped": partial(untyped.decode, body),
                "pydantic models": partial(model.model_validate_json, body),
                "cattrs (the lenient reader)": partial(read_leniently, kind, items, body),
            },
            repeats=options.repeats,
            loops=100,
        )
        pages = interleaved(
            {
                "orjson": lambda body=body: [orjson.loads(body) for _ in range(PAGES)],
                "table": partial(to_table, read_rows),
                "table of records": partial(to_table, read_page),
            },
            repeats=options.repeats,
            loops=10,
        )
        times = {way: faster(seconds, once["orjson.loads alone"]) for way, seconds in once.items()}
        times["to a table (this library)"] = faster(pages["table"], pages["orjson"])
        times["to a table by way of records"] = faster(pages["table of records"], pages["orjson"])
        report[name] = {
            "bytes": len(body),
            "microseconds of orjson": Spread.of([s * 1e6 for s in once["orjson.loads alone"]]),
            "times orjson.loads": times,
        }
        if not options.json:
            print_table(
                f"a page of 100 {name} ({len(body):,} bytes): times `orjson.loads`, median (quartiles)",
                ["", "x orjson.loads"],
                [[way, str(spread)] for way, spread in times.items()],
            )
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))


if __name__ == "__main__":
    main()
