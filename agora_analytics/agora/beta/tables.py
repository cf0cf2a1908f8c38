"""The records of the 2021 beta API as Arrow tables. Needs the extra `[arrow]`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agora_analytics.agora.beta.records import CallDetails, Diagnosis
from agora_analytics.engine.pages import Page

if TYPE_CHECKING:
    import pyarrow as pa


def details_table(pages: Sequence[Page[CallDetails]]) -> "pa.Table":
    """Return the samples of a call as one long table, with the schema `agora_analytics.schemas.METRICS`."""
    import pyarrow as pa

    from agora_analytics.decode.arrow_table import columns_table
    from agora_analytics.schemas import METRICS

    parts = [details for page in pages for details in page.records]
    tables = [columns_table(part.columns, call_id=part.call_id) for part in parts if len(part.columns)]
    return pa.concat_tables(tables, unify_dictionaries=True) if tables else METRICS.empty_table()


def diagnoses_table(pages: Sequence[Page[Diagnosis]]) -> "pa.Table":
    """Return diagnoses as a table, one row for each cause; a diagnosis without a cause has one row."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("ts", pa.timestamp("s", "UTC")),
            ("user", pa.string()),
            ("exp_id", pa.int64()),
            ("experience", pa.string()),
            ("cname", pa.string()),
            ("factor_id", pa.int64()),
            ("factor", pa.string()),
            ("host_user", pa.string()),
            ("extra", pa.string()),
        ]
    )
    rows = [
        {
            "ts": diagnosis.ts,
            "user": diagnosis.user,
            "exp_id": diagnosis.exp_id,
            "experience": diagnosis.experience,
            "cname": diagnosis.cname,
            "factor_id": cause and cause.factor_id,
            "factor": cause and cause.factor,
            "host_user": cause and cause.host_user,
            "extra": json.dumps(diagnosis.extra, sort_keys=True) if diagnosis.extra else None,
        }
        for page in pages
        for diagnosis in page.records
        for cause in diagnosis.cause_tags or (None,)
    ]
    return pa.Table.from_pylist(rows, schema=schema)
