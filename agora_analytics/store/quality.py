"""The view `quality`: the metrics of all vendors with common names and units.

Agora's rows are computed from `metrics` and `sessions` at query time, so nothing is stored twice. The rows of the other
vendors are in `points`. A metric without a common name keeps its own name and unit.
"""

from collections.abc import Mapping

from agora_analytics.agora.common_metrics import METRIC_MAPPINGS as AGORA
from agora_analytics.agora.metric_ids import METRIC_IDS
from agora_analytics.apsaravideo.spec import METRIC_MAPPINGS as APSARAVIDEO
from agora_analytics.core.common_metrics import MetricMapping
from agora_analytics.opentok.spec import METRIC_MAPPINGS as OPENTOK

MAPPINGS: Mapping[str, Mapping[str, MetricMapping]] = {
    "agora": AGORA,
    "apsaravideo": APSARAVIDEO,
    "opentok": OPENTOK,
}
"""The metrics with a common name: vendor -> the vendor's name of the metric -> its mapping."""


def map_metric(vendor: str, source: str, unit: str = "") -> MetricMapping:
    """Return the mapping of a vendor's metric. A metric without a common name keeps its name and gets `unit`.

    Example:
        >>> map_metric("agora", "20018")
        MetricMapping(metric='video_packet_loss_received', unit='ratio', factor=0.01)
        >>> map_metric("opentok", "hlsMinutes", "min").metric
        'hlsMinutes'
    """
    return MAPPINGS[vendor].get(source) or MetricMapping(source, unit)


FREEZE_RATES = tuple(name for name in AGORA if name.startswith("user_"))
"""The columns of `sessions` that are values of `quality`."""


def view_sql() -> str:
    """Return the query that defines `quality` over the views `points`, `metrics` and `sessions`."""
    return f"{_POINTS} UNION ALL {_agora_metrics()} UNION ALL {agora_freeze_rates()}"


def lookup(values: Mapping[int, str | float], otherwise: str) -> str:
    """Return the SQL that looks up the column `mid` in a constant map.

    It is part of the projection: a query that does not use the column does not compute it, and conditions on stored
    columns still skip files and row groups. A join with a table of names would prevent both.

    Example:
        >>> lookup({20018: 0.01}, "1.0")
        'coalesce(MAP {20018: 0.01}[mid], 1.0)'
    """
    pairs = ", ".join(f"{mid}: {value!r}" for mid, value in values.items())
    return f"coalesce(MAP {{{pairs}}}[mid], {otherwise})"


UNNAMED_METRIC = "'mid_' || mid"
"""The SQL of the name of a metric id without a name, such as `mid_20099`. As `metric_name` writes it."""

_POINTS = """
    SELECT vendor, app_id, channel, call_id, session_id, user_id, peer_id, metric, unit, ts::TIMESTAMPTZ AS ts, value,
        source_metric, day
    FROM points
"""


def _agora_metrics() -> str:
    return f"""
    SELECT 'agora', m.app_id, s.cname, m.call_id, m.sid, s.uid, nullif(m.peer_uid, '0'),
        {METRIC}, {UNIT}, m.ts, m.value * {FACTOR}::DOUBLE, m.mid::VARCHAR, m.day
    FROM metrics m LEFT JOIN sessions s USING (app_id, day, call_id, sid)
    """


def agora_freeze_rates() -> str:
    """Return the query for the freeze rates of whole sessions, in the columns of `quality` and of `points`."""
    return " UNION ALL ".join(
        f"""
        SELECT 'agora' AS vendor, app_id, cname AS channel, call_id, sid AS session_id, uid AS user_id, NULL AS peer_id,
            '{mapping.metric}' AS metric, '{mapping.unit}' AS unit, join_ts AS ts, {column} AS value,
            '{column}' AS source_metric, day
        FROM sessions WHERE {column} IS NOT NULL
        """
        for column in FREEZE_RATES
        for mapping in [AGORA[column]]
    )


def agora_mapping(mid: int) -> MetricMapping:
    """Return the mapping of a metric id that Agora documents.

    Example:
        >>> agora_mapping(20003).metric, agora_mapping(20001).metric
        ('audio_bitrate_sent', 'app_cpu')
    """
    documented = METRIC_IDS[mid]
    unit = "kbit/s" if documented.unit == "Kbps" else documented.unit
    return AGORA.get(str(mid)) or MetricMapping(documented.name, unit)


_MAPPINGS = {mid: agora_mapping(mid) for mid in METRIC_IDS}
METRIC = lookup({mid: mapping.metric for mid, mapping in _MAPPINGS.items()}, UNNAMED_METRIC)
"""The common name of a metric, as SQL over `mid`."""
UNIT = lookup({mid: mapping.unit for mid, mapping in _MAPPINGS.items()}, "''")
"""The unit of the value in `quality`, as SQL over `mid`."""
FACTOR = lookup({mid: mapping.factor for mid, mapping in _MAPPINGS.items() if mapping.factor != 1}, "1.0")
"""The factor from Agora's value to the one in `quality`, as SQL over `mid`."""
