"""The SQL that aggregates samples: for each series and hour, and as a histogram for each metric and hour.

The same SQL fills the files of the roll-ups and replaces them where there are none, so both have the same rows. Each
aggregate is an integer, a decimal, a minimum or a maximum. So it does not depend on the order of the rows, and adding
parts gives what adding all samples gives. Sums of floating-point numbers do not have this property.
"""

import math
from collections.abc import Iterator, Mapping

from attrs import frozen

from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.scoring.profiles import Threshold
from agora_analytics.scoring.samples import SAMPLE_INTERVALS, seconds_sql
from agora_analytics.store.quality import FREEZE_RATES, METRIC, UNIT, agora_mapping, lookup, map_metric
from agora_analytics.store.rollups.thresholds import COLUMNS, THRESHOLDS

RELATIVE_ERROR = 0.02
"""The largest relative error of a quantile from the histogram."""
SMALLEST = 1e-6
"""Values are rounded to multiples of it for sums. The histogram counts a value nearer to zero as zero."""
LARGEST = 1e12
"""A value of this size or beyond, or one that is not a number, is counted as a sample without a value."""

SESSION = ("network", "platform", "sdk_version", "device_type")
"""The columns of `sessions` in the roll-ups, in addition to the channel and the user."""
METRIC_KEYS = ("metric", "unit", "source_metric")
SERIES_KEYS = ("channel", "call_id", "session_id", "user_id", "peer_id")
HOURS_COLUMNS = (
    "app_id", "day", "vendor", *SERIES_KEYS, *SESSION, *METRIC_KEYS, "hour", "samples", "unmeasured", "sum_units",
    "sum_rest", "value_min", "value_max", "ms", *COLUMNS,
)  # fmt: skip
"""The columns of `hours_sql`. `sum_rest` is in units of 10^-8, `ms` and the columns of `COLUMNS` in milliseconds."""
HISTOGRAM_COLUMNS = ("app_id", "day", "vendor", *METRIC_KEYS, "hour", "bucket", "samples")
"""The columns of `histogram_sql`."""

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)


@frozen(kw_only=True, eq=False)
class SampleSource:
    """A table with samples, as the roll-ups read it.

    Attributes:
        tables: the tables whose rows determine the aggregates; the first has the samples.
        keys: the columns that identify a series.
        metric: the one of them that selects the limits.
        vendor: the SQL of the vendor of a row.
        factors: the factor from the stored value to the one in `quality`, by metric, unless it is 1.
        columns: the SQL of the columns of `quality`, over `keys` as `k` and the session as `s`.
    """

    tables: tuple[str, ...]
    keys: tuple[str, ...]
    metric: str
    vendor: str
    factors: Mapping[int, float]
    columns: Mapping[str, str]

    def limits(self) -> Iterator[tuple[str, float, tuple[Threshold, ...]]]:
        """Yield a metric as a SQL literal, the factor to its common unit, and its limits."""
        if self.tables[0] == "points":
            yield from ((f"'{metric}'", 1.0, limits) for metric, limits in THRESHOLDS.items())
            return
        for mid in METRIC_IDS:
            mapping = agora_mapping(mid)
            if limits := THRESHOLDS.get(mapping.metric):
                yield str(mid), mapping.factor, limits


METRICS = SampleSource(
    tables=("metrics", "sessions"),
    keys=("call_id", "sid", "mid", "peer_uid"),
    metric="mid",
    vendor="'agora'",
    factors={mid: mapping.factor for mid in METRIC_IDS if (mapping := agora_mapping(mid)).factor != 1},
    columns={
        "vendor": "'agora'", "channel": "s.cname", "session_id": "k.sid", "user_id": "s.uid",
        "peer_id": "nullif(k.peer_uid, '0')", "metric": METRIC, "unit": UNIT, "source_metric": "mid::VARCHAR",
        **{name: f"s.{name}" for name in SESSION},
    },
)  # fmt: skip
POINTS = SampleSource(
    tables=("points",),
    keys=("vendor", *SERIES_KEYS, *METRIC_KEYS),
    metric="metric",
    vendor="vendor",
    factors={},
    columns=dict.fromkeys(SESSION, "NULL::VARCHAR"),
)


def hours_sql(source: SampleSource, rows: Mapping[str, str], *, days_apart: bool = False) -> str:
    """Return the query for the aggregates of each series and hour.

    The hour is that of each sample's time, and the seconds of a sample are counted in its hour.

    Args:
        source: the table.
        rows: for each of the source's tables a query with its rows, with `app_id` and `day`.
        days_apart: number the series of each day separately, so that a condition on `day` of the result reaches the
            rows of the tables. Without it, the query of one day is faster.
    """
    samples, *sessions = (rows[table] for table in source.tables)
    keys = ("app_id", "day", *source.keys)
    same = " AND ".join(f"r.{key} IS NOT DISTINCT FROM k.{key}" for key in keys)
    series, materialized, number = "series", "MATERIALIZED", ""
    if days_apart:
        series, materialized = "day, series", "NOT MATERIALIZED"
        # in an order, because the query that numbers them is run twice
        number = f"PARTITION BY day ORDER BY {', '.join(key for key in keys if key != 'day')}"
        same += " AND r.day = k.day"
    kept = dict.fromkeys(
        (
            *(["day"] if days_apart else []),
            source.metric,
            *([] if source.vendor.startswith("'") else [source.vendor]),
        )
    )
    joined = " ".join(f"LEFT JOIN ({each}) s USING (app_id, day, call_id, sid)" for each in sessions)
    beyond = ", ".join(
        f"sum(ms) FILTER ({condition})::INTEGER AS {name}" for name, condition in _conditions(source)
    )
    # The window sorts numbers instead of long texts, which takes half of the time and a fifth of the memory.
    return f"""
    WITH keys AS {materialized} (
        SELECT *, row_number() OVER ({number}) AS series FROM (SELECT DISTINCT {", ".join(keys)} FROM ({samples}))
    ), timed AS (
        SELECT {", ".join(kept)}, series, {_hour("ts")} AS hour, {_usable("value")} AS value,
            {seconds_sql(series, vendor=source.vendor)} AS seconds, {milliseconds_sql("seconds")} AS ms
        FROM (
            SELECT {", ".join(f"r.{name}" for name in kept)}, k.series, r.ts, r.value
            FROM ({samples}) r JOIN keys k ON {same}
        )
    ), hours AS (
        SELECT {series}, hour, count(*)::INTEGER AS samples, (count(*) - count(value))::INTEGER AS unmeasured,
            sum(value::DECIMAL(18, 6)) AS total, min(value) AS value_min, max(value) AS value_max,
            sum(ms)::INTEGER AS ms, {beyond}
        FROM timed GROUP BY {series}, hour
    )
    SELECT {_hours_columns(source)} FROM hours JOIN keys k USING ({series}) {joined}
    """


def freeze_rate_hours_sql() -> str:
    """Return `hours_sql` for Agora's freeze rates of sessions, over the view `sessions`.

    Each is the only sample of its series, so the query is simpler, which halves the time to plan a short query.
    """
    return " UNION ALL ".join(map(_freeze_rate_hours, FREEZE_RATES))


def _freeze_rate_hours(column: str) -> str:
    mapping = map_metric("agora", column)
    ms = round(1000 * SAMPLE_INTERVALS["agora"].nominal)
    beyond = dict(zip(COLUMNS, THRESHOLDS.get(mapping.metric, ()), strict=False))
    value = f"({_usable(column)})"
    total = f"coalesce({value}::DECIMAL(18, 6), 0)"
    sql = {
        "vendor": "'agora'", "channel": "cname", "session_id": "sid", "user_id": "uid", "peer_id": "NULL::VARCHAR",
        "metric": f"'{mapping.metric}'", "unit": f"'{mapping.unit}'", "source_metric": f"'{column}'",
        "hour": _hour("join_ts"), "samples": "1", "unmeasured": f"({value} IS NULL)::INTEGER",
        "sum_units": f"floor({total})::BIGINT", "sum_rest": f"(({total} - floor({total})) * 100000000)::INTEGER",
        "value_min": value, "value_max": value, "ms": f"{ms}",
        **{
            name: f"CASE WHEN {beyond[name].exceeded_sql(value)} THEN {ms} ELSE 0 END" if name in beyond else "NULL::INTEGER"
            for name in COLUMNS
        },
    }  # fmt: skip
    columns = ", ".join(f"{sql.get(name, name)} AS {name}" for name in HOURS_COLUMNS)
    return f"SELECT {columns} FROM sessions WHERE {column} IS NOT NULL"


def histogram_sql(source: SampleSource, rows: Mapping[str, str]) -> str:
    """Return the query for the number of samples in each bucket of values, for each metric and hour."""
    keys = [key for key in source.keys if key in {"vendor", "mid", *METRIC_KEYS}]
    columns = ", ".join(f"{source.columns.get(name, name)} AS {name}" for name in HISTOGRAM_COLUMNS)
    return f"""
    SELECT {columns} FROM (
        SELECT app_id, day, {", ".join(keys)}, {_hour("ts")} AS hour, {_bucket(_common_value(source))} AS bucket,
            count(*)::INTEGER AS samples
        FROM ({rows[source.tables[0]]}) WHERE {_usable("value")} IS NOT NULL GROUP BY ALL
    )
    """


def bucket_value_sql(bucket: str) -> str:
    """Return the SQL of the value that stands for all values of a bucket, within `RELATIVE_ERROR`."""
    return f"sign({bucket}) * {SMALLEST * (1 - RELATIVE_ERROR)!r} * pow({_GROWTH!r}, abs({bucket}))"


def milliseconds_sql(seconds: str) -> str:
    """Return the SQL of a duration in whole milliseconds."""
    return f"round(1000 * {seconds})::BIGINT"


def _bucket(value: str) -> str:
    """Return the SQL of the bucket of a value: 0 for zero, else a signed number that grows with the value."""
    index = f"1 + floor(ln(abs({value}) / {SMALLEST!r}) / {math.log(_GROWTH)!r})"
    return f"CASE WHEN abs({value}) < {SMALLEST!r} THEN 0 ELSE sign({value}) * ({index}) END::SMALLINT"


def _hour(ts: str) -> str:
    return f"(epoch_ms({ts}) // 3600000)::INTEGER"


def _usable(value: str) -> str:
    return f"CASE WHEN abs({value}) < {LARGEST!r} THEN {value} END"


def _hours_columns(source: SampleSource) -> str:
    # A sum is stored as two integers: most sums are whole numbers, whose second column takes no space.
    factor = lookup(source.factors, "1.0") if source.factors else "1.0"
    total = f"coalesce(total, 0) * {factor}::DECIMAL(3, 2)"
    sql = {
        **source.columns,
        "sum_units": f"floor({total})::BIGINT",
        "sum_rest": f"(({total} - floor({total})) * 100000000)::INTEGER",
        "value_min": f"value_min * {factor}::DOUBLE",
        "value_max": f"value_max * {factor}::DOUBLE",
        **dict(_beyond(source)),
    }
    return ", ".join(f"{sql.get(name, name)} AS {name}" for name in HOURS_COLUMNS)


def _conditions(source: SampleSource) -> Iterator[tuple[str, str]]:
    """Yield each column of time beyond a limit, and the condition that counts a sample in it."""
    for position, name in enumerate(COLUMNS):
        cases = " ".join(
            f"WHEN {metric} THEN {limits[position].exceeded_sql(_scaled(factor))}"
            for metric, factor, limits in source.limits()
            if position < len(limits)
        )
        yield name, f"CASE {source.metric} {cases} END"


def _beyond(source: SampleSource) -> Iterator[tuple[str, str]]:
    """Yield each column of time beyond a limit: null for a metric without that limit, else 0 or more."""
    for position, name in enumerate(COLUMNS):
        limited = ", ".join(metric for metric, _, limits in source.limits() if position < len(limits))
        yield name, f"CASE WHEN {source.metric} IN ({limited}) THEN coalesce({name}, 0) END"


def _common_value(source: SampleSource) -> str:
    cases = " ".join(f"WHEN {mid} THEN {_scaled(factor)}" for mid, factor in source.factors.items())
    return f"CASE {source.metric} {cases} ELSE value END" if cases else "value"


def _scaled(factor: float) -> str:
    return "value" if factor == 1 else f"value * {factor!r}"
