"""What every vendor's listings return: the same table from a listing, its pages and its records, and JSON."""

import json
import pickle
from functools import partial
from importlib import import_module

import pytest

from tests.core.test_record import RECORDS, is_json

pa = pytest.importorskip("pyarrow")
for module in ("starlette", "numpy"):
    pytest.importorskip(module)

LISTINGS = {
    "agora": {
        "calls": lambda client, h: client.calls(h.SINCE, h.UNTIL, page_size=7),
    },
    "beta": {
        "calls": lambda client, h: client.calls(h.SINCE, h.UNTIL),
        "live_diagnosis": lambda client, h: client.live_diagnosis(
            h.UNTIL + 9 * 3600 - 3000, h.UNTIL + 9 * 3600 - 600
        ),
    },
    "opentok": {
        "summaries": lambda client, _: client.session_summaries("14d"),
        "samples": lambda client, h: client.stream_stats(h.IDS[:1]),
        "connections": lambda client, h: client.connections(h.IDS[:1]),
        "project": lambda client, _: client.project_data("30d"),
    },
    "apsaravideo": {"metrics": lambda client, _: client.all_metrics("1d")},
}


@pytest.mark.parametrize(
    ("vendor", "name"), [(vendor, name) for vendor, listings in LISTINGS.items() for name in listings]
)
def test_listing_pages_and_records_are_the_same_table_and_json(vendor, name):
    for module in ("ariadne", "jwt") if vendor == "opentok" else ():
        pytest.importorskip(module)
    harness = import_module(f"tests.{vendor}.harness")

    async def job(client):
        listing = LISTINGS[vendor][name](client, harness)
        pages = [page async for page in listing.pages()]
        return repr(listing), await listing.to_arrow(), await listing.collect(), pages

    shown, table, records, pages = harness.make_harness().run(job)
    assert len(records) > 0
    assert records.to_arrow().equals(table)
    assert pickle.loads(pickle.dumps(records)).to_arrow().equals(table)
    assert pa.concat_tables(page.to_arrow() for page in pages).equals(table)
    assert pa.table(pages[0]).equals(pages[0].to_arrow())
    assert json.loads(records.to_json()) == records.to_dicts() == [record.to_dict() for record in records]
    assert is_json([page.to_dict() for page in pages])
    assert f"{len(records):,} x {type(records[0]).__name__}" in repr(records)
    assert shown.startswith("<Pages of ")
    assert "(" in shown.partition(":")[0]  # the call, such as calls(...)
    assert "nothing requested yet" in shown


def test_signaling_history_is_a_table():
    from agora_analytics.core.record_list import Records
    from agora_analytics.core.record_table import pages_table
    from agora_analytics.signaling.records import HistoryMessage

    message = HistoryMessage(publisher="ann", message="hi", timestamp=2**53 + 1)
    messages = Records([message], table=partial(pages_table, kind=HistoryMessage))
    assert messages.to_arrow().to_pylist() == [message.to_dict() | {"extra": None}]


@pytest.mark.parametrize("kind", RECORDS)
def test_pydantic_describes_every_record(kind):
    pydantic = pytest.importorskip("pydantic")
    schema = pydantic.TypeAdapter(list[kind]).json_schema(mode="serialization")
    text = json.dumps(schema)
    assert f'"title": "{kind.__name__}"' in text
    assert "Expected" not in text
