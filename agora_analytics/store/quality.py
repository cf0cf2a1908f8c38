"""One view over vendors: the table `quality`, its metrics, and how each vendor's own metrics become them.

Agora's rows are made of `metrics` and `sessions` when they are asked for, so nothing is stored twice; the rows of
other vendors lie in `points`. A metric that has no common name keeps its own, and its own unit.
"""

from collections.abc import Mapping

from attrs import frozen

from agora_analytics.agora.metric_ids import METRIC_IDS

COMMON: Mapping[str, tuple[str, str]] = {
    "audio_bitrate_sent": ("kbit/s", "Audio that a user sends."),
    "audio_bitrate_received": ("kbit/s", "Audio that a user receives."),
    "video_bitrate_sent": ("kbit/s", "Video that a user sends."),
    "video_bitrate_received": ("kbit/s", "Video that a user receives."),
    "audio_packet_loss_sent": ("ratio", "Share of the audio packets lost between the sender and the server."),
    "audio_packet_loss_received": ("ratio", "Share of the audio packets that a receiver misses."),
    "video_packet_loss_sent": ("ratio", "Share of the video packets lost between the sender and the server."),
    "video_packet_loss_received": ("ratio", "Share of the video packets that a receiver misses."),
    "audio_latency_sent": ("ms", "Delay of the audio between the sender and the server."),
    "audio_latency_received": ("ms", "Delay of the audio at a receiver."),
    "video_latency_sent": ("ms", "Delay of the video between the sender and the server."),
    "video_latency_received": ("ms", "Delay of the video at a receiver."),
    "round_trip_time": ("ms", "The way from a user to the next server and back."),
    "audio_freeze_time": ("ms", "How long the audio stood still since the sample before."),
    "video_freeze_time": ("ms", "How long the video stood still since the sample before."),
    "audio_freeze_rate": ("ratio", "Share of the time that the audio stood still."),
    "video_freeze_rate": ("ratio", "Share of the time that the video stood still."),
    "join_success_rate": ("ratio", "Share of the attempts to join that succeeded."),
    "join_success_in_5s_rate": (
        "ratio",
        "Share of the attempts to join that succeeded within five seconds.",
    ),
    "network_delay_rate": ("ratio", "Share of the time that the network was late."),
    "first_frame_time": ("ms", "From joining to the first picture."),
}
"""The common metrics: name -> (unit, meaning)."""


@frozen
class Common:
    """What a vendor's metric becomes in `quality`.

    `value` there is the vendor's value times `factor`. `unit` is "" where no document of the vendor names it.
    """

    metric: str
    unit: str
    factor: float = 1.0


def _common(metric: str, factor: float = 1.0, unit: str | None = None) -> Common:
    return Common(metric, COMMON[metric][0] if unit is None else unit, factor)


AGORA: Mapping[str, Common] = {
    "20003": _common("audio_bitrate_sent"),
    "20004": _common("audio_bitrate_received"),
    "20005": _common("audio_freeze_time"),
    "20009": _common("video_bitrate_received"),
    "20011": _common("video_freeze_time"),
    "20015": _common("audio_packet_loss_sent", 0.01),
    "20016": _common("audio_packet_loss_received", 0.01),
    "20017": _common("video_packet_loss_sent", 0.01),
    "20018": _common("video_packet_loss_received", 0.01),
    "20022": _common("round_trip_time"),
    "20024": _common("video_bitrate_sent"),
    "joinSuccessRate": _common("join_success_rate"),
    "joinSuccessIn5sRate": _common("join_success_in_5s_rate"),
    "networkDelay": _common("network_delay_rate"),
    "audioFreezeRate": _common("audio_freeze_rate"),
    "videoFreezeRate": _common("video_freeze_rate"),
    "user_audio_freeze_rate": _common("audio_freeze_rate"),
    "user_video_freeze_rate": _common("video_freeze_rate"),
}
"""Agora's: metric ids, metrics of Data Insights, and columns of `sessions`.

Its loss of what is received is counted from sender to receiver.
"""

OPENTOK: Mapping[str, Common] = {
    "publisher.audioBitrateKbps": _common("audio_bitrate_sent"),
    "publisher.videoBitrateKbps": _common("video_bitrate_sent"),
    "publisher.audioPacketLoss": _common("audio_packet_loss_sent"),
    "publisher.videoPacketLoss": _common("video_packet_loss_sent"),
    "publisher.audioLatencyMs": _common("audio_latency_sent"),
    "publisher.videoLatencyMs": _common("video_latency_sent"),
    "subscriber.audioBitrateKbps": _common("audio_bitrate_received"),
    "subscriber.videoBitrateKbps": _common("video_bitrate_received"),
    "subscriber.audioPacketLoss": _common("audio_packet_loss_received"),
    "subscriber.videoPacketLoss": _common("video_packet_loss_received"),
    "subscriber.audioLatencyMs": _common("audio_latency_received"),
    "subscriber.videoLatencyMs": _common("video_latency_received"),
    "errors.connect": _common("join_success_rate"),
}
"""OpenTok's: stream statistics, every 30 seconds, and the day's connection errors of the project.

Its documents call packet loss a ratio and bitrates Kbps (`reference/opentok-insights.md`, section 6).
"""

APSARAVIDEO: Mapping[str, Common] = {
    "JoinChannelSucRate": _common("join_success_in_5s_rate", unit=""),
    "VideoStuckRate": _common("video_freeze_rate", unit=""),
    "AudioStuckRate": _common("audio_freeze_rate", unit=""),
    "FirstFrameCost": _common("first_frame_time", unit=""),
}
"""ApsaraVideo's, every five minutes over all users. No document names a unit, so the values are as they were sent.

Its join rate counts those that joined within five seconds (`reference/sources/003`).
"""

MAPPINGS: Mapping[str, Mapping[str, Common]] = {
    "agora": AGORA,
    "apsaravideo": APSARAVIDEO,
    "opentok": OPENTOK,
}
"""Which of a vendor's metrics have a common name, by the vendor's own name."""


def common(vendor: str, source: str, unit: str = "") -> Common:
    """Return what a vendor's metric becomes; one without a common name keeps its own and `unit`.

    Example:
        >>> common("agora", "20018")
        Common(metric='video_packet_loss_received', unit='ratio', factor=0.01)
        >>> common("opentok", "hlsMinutes", "min").metric
        'hlsMinutes'
    """
    return MAPPINGS[vendor].get(source) or Common(source, unit)


def view() -> str:
    """Return the query that `quality` is: over the views `points`, `metrics` and `sessions`."""
    return f"{_STORED} UNION ALL {_agora_metrics()} UNION ALL {_agora_freeze_rates()}"


_STORED = """
    SELECT vendor, app_id, channel, call_id, session_id, user_id, peer_id, metric, unit, ts::TIMESTAMPTZ AS ts, value,
        source_metric, day
    FROM points
"""


def _agora_metrics() -> str:
    named = {
        str(mid): common("agora", str(mid), _UNITS.get(known.unit, known.unit))
        for mid, known in METRIC_IDS.items()
    }
    rows = ", ".join(
        f"({mid}, '{METRIC_IDS[int(mid)].name if to.metric == mid else to.metric}', '{to.unit}', {to.factor!r})"
        for mid, to in named.items()
    )
    return f"""
    SELECT 'agora', m.app_id, s.cname, m.call_id, m.sid, s.uid, nullif(m.peer_uid, '0'),
        coalesce(n.metric, m.mid::VARCHAR), coalesce(n.unit, ''), m.ts, m.value * coalesce(n.factor, 1.0),
        m.mid::VARCHAR, m.day
    FROM metrics m LEFT JOIN sessions s USING (app_id, day, call_id, sid)
        LEFT JOIN (VALUES {rows}) n (mid, metric, unit, factor) USING (mid)
    """


_UNITS = {"Kbps": "kbit/s"}


def _agora_freeze_rates() -> str:
    return " UNION ALL ".join(
        f"""
        SELECT 'agora', app_id, cname, call_id, sid, uid, NULL, '{to.metric}', '{to.unit}', join_ts, {source},
            '{source}', day
        FROM sessions WHERE {source} IS NOT NULL
        """
        for source, to in AGORA.items()
        if source.startswith("user_")
    )
