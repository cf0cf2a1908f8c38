"""The views `interval_scores` and `stream_scores`: the scores of all vendors that send the inputs of one.

Agora's samples are read from `metrics`, so that a condition on the metric id skips row groups. OpenTok's are in `points`.
ApsaraVideo sends totals of all users only, which have no score.
"""

from collections.abc import Mapping

from agora_analytics.scoring.intervals import INTERVAL_COLUMNS, audio_sql, streams_sql, video_sql

VIEWS = ("interval_scores", "stream_scores")
"""The names of the views."""
VENDORS = ("agora", "opentok")
"""The vendors that send the inputs of a score."""

_VIEWS_OF_TABLES = {table: table for table in ("metrics", "sessions", "points")}


def interval_scores_sql(where: str = "true", tables: Mapping[str, str] = _VIEWS_OF_TABLES) -> str:
    """Return the query of the view `interval_scores` over the tables `metrics`, `sessions` and `points`.

    Args:
        where: a condition on the samples that are read: on `vendor`, `app_id`, `day`, `channel` and `call_id` only,
            because an interval needs the samples of other users of its call.
        tables: the SQL of each table, a name or a query in parentheses. Without `points`, the intervals are those of
            Agora; without `metrics`, those of OpenTok.
    """
    columns = ", ".join(INTERVAL_COLUMNS)
    audio = [_agora_audio(tables)] if "metrics" in tables else []
    audio += [_opentok_audio(tables)] if "points" in tables else []
    parts = [audio_sql(f"SELECT * FROM ({' UNION ALL '.join(audio)}) WHERE {where}")]
    if "metrics" in tables:
        parts.append(video_sql(f"SELECT * FROM ({_agora_video(tables)}) WHERE {where}"))
    return " UNION ALL ".join(f"SELECT {columns} FROM ({part})" for part in parts)


def stream_scores_sql(intervals: str = "FROM interval_scores") -> str:
    """Return the query of the view `stream_scores`, over the rows of another query with the columns of intervals."""
    return streams_sql(intervals)


def _agora(tables: Mapping[str, str], values: str, interval: int, mids: str) -> str:
    return f"""
    SELECT 'agora' AS vendor, m.app_id, m.day, s.cname AS channel, m.call_id, m.sid AS session_id, s.uid AS user_id,
        nullif(m.peer_uid, '0') AS peer_id, m.ts, m.mid = {interval} AS is_interval, {values}
    FROM {tables["metrics"]} m LEFT JOIN {tables["sessions"]} s USING (app_id, day, call_id, sid)
    WHERE m.mid IN ({mids})
    """


def _agora_audio(tables: Mapping[str, str]) -> str:
    """Agora sends the loss from end to end, and the round trip between each user and the server."""
    values = """
        CASE WHEN m.mid = 20016 THEN m.value * 0.01 END AS loss,
        CASE WHEN m.mid = 20022 THEN m.value / 2 END AS own_delay,
        CASE WHEN m.mid = 20022 THEN m.value / 2 END AS sender_delay,
        NULL::DOUBLE AS sender_loss
    """
    return _agora(tables, values, 20016, "20016, 20022")


def _opentok_audio(tables: Mapping[str, str]) -> str:
    """OpenTok sends the loss and the latency of each half of the path: publisher to server, server to subscriber."""
    return f"""
    SELECT vendor, app_id, day, channel, call_id, session_id, user_id, peer_id, ts::TIMESTAMPTZ AS ts,
        metric = 'audio_packet_loss_received' AS is_interval,
        CASE WHEN metric = 'audio_packet_loss_received' THEN value END AS loss,
        CASE WHEN metric = 'audio_latency_received' THEN value END AS own_delay,
        CASE WHEN metric = 'audio_latency_sent' THEN value END AS sender_delay,
        CASE WHEN metric = 'audio_packet_loss_sent' THEN value END AS sender_loss
    FROM {tables["points"]}
    WHERE vendor = 'opentok' AND metric IN
        ('audio_packet_loss_received', 'audio_latency_received', 'audio_latency_sent', 'audio_packet_loss_sent')
    """


def _agora_video(tables: Mapping[str, str]) -> str:
    values = """
        CASE WHEN m.mid = 20011 THEN m.value END AS frozen,
        CASE WHEN m.mid IN (20010, 20031) THEN m.value END AS frame_rate,
        CASE WHEN m.mid IN (20019, 20032) THEN m.value END AS width,
        CASE WHEN m.mid IN (20020, 20033) THEN m.value END AS height
    """
    return _agora(tables, values, 20011, "20010, 20011, 20019, 20020, 20031, 20032, 20033")
