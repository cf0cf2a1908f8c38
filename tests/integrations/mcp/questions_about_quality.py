"""Questions about scores, reports, comparisons, tables and SQL."""

from collections import Counter, defaultdict
from itertools import chain
from statistics import fmean

import pytest

from agora_analytics.scoring.audio_score import audio_score
from tests.insight.stored_calls import AFTER, FREEZE, PERIODS, ROUND_TRIP
from tests.insight.test_compare import VERSIONS, WORSE

from .question import ask, refused, utc
from .stored_world import BEGIN, DAY, SUPPORT_APP

OPENTOK = {"vendor": "opentok", "media": "audio"}


def opentok_scores(world):
    """Return the scores of the intervals of each meeting, from the values of both halves of the path."""
    sent = {
        (row["call_id"], row["ts"]): row["value"]
        for row in world.points_of("opentok", "audio_packet_loss_sent")
    }
    latency = {
        (row["call_id"], row["ts"]): row["value"]
        for row in world.points_of("opentok", "audio_latency_received")
    }
    found = defaultdict(list)
    for row in world.points_of("opentok", "audio_packet_loss_received"):
        key = (row["call_id"], row["ts"])
        found[row["call_id"]].append(
            audio_score(1 - (1 - sent[key]) * (1 - row["value"]), 20.0 + latency[key])
        )
    return found


def samples(world, mid, *, after, version=None):
    """Return the samples of a metric id in one of the two weeks."""
    return [
        value
        for call in world.compared
        if (call.start >= AFTER) == after
        for user in call.users
        if version in (None, user.sdk_version)
        for value in user.values[mid]
    ]


def frozen(world, **more):
    """Return the share of frozen time; each sample covers 4 s."""
    values = samples(world, FREEZE, **more)
    return sum(min(value / 1000, 4) for value in values) / (4 * len(values))


SCORES = (
    ask(
        "Which OpenTok meeting had the worse audio, and what was its score?",
        ("score", {"by": "call", **OPENTOK}),
        answer=lambda results: [(row["call_id"], row["score"]) for row in results[0]["rows"]],
        expected=lambda world: [
            (meeting, pytest.approx(fmean(scores), abs=1e-3))
            for meeting, scores in sorted(opentok_scores(world).items(), key=lambda each: fmean(each[1]))
        ],
    ),
    ask(
        "Who heard the worst 30 seconds of meet-b, and who sent them?",
        ("score", {"by": "call", "call_id": "meet-b", **OPENTOK}),
        answer=lambda results: [
            (row["worst_user_id"], row["worst_peer_id"], row["worst_window"]) for row in results[0]["rows"]
        ],
        expected=lambda world: [
            (row["user_id"], row["peer_id"], pytest.approx(min(opentok_scores(world)["meet-b"]), abs=1e-3))
            for row in world.points_of("opentok", "audio_packet_loss_received", call_id="meet-b")[:1]
        ],
    ),
    ask(
        "How good was the audio of the OpenTok session over both meetings, and for how long is it known?",
        ("score", {"by": "channel", **OPENTOK}),
        answer=lambda results: [(row["channel"], row["score"], row["seconds"]) for row in results[0]["rows"]],
        expected=lambda world: [
            ("1_MX4", pytest.approx(fmean(every := [*chain(*opentok_scores(world).values())]), abs=1e-3), 30 * len(every))
        ],
    ),
    refused("How good was ApsaraVideo?", ("score", {"vendor": "apsaravideo"}), "ApsaraVideo", "no score"),
    refused("Scores by country?", ("score", {"by": "country"}), "by", "'channel'"),
)  # fmt: skip

COMPARISONS = (
    ask(
        "Did video freezes get worse in the second week, and with which SDK version?",
        ("compare", {"metric": "video_freeze_rate", "by": "sdk_version", **PERIODS}),
        answer=lambda results: {group["group"]: group["verdict"] for group in results[0]["groups"]},
        expected=lambda _: {version: "worse" if version == WORSE else "none" for version in VERSIONS},
    ),
    ask(
        "By how much did they get worse with SDK 4.6.0?",
        ("compare", {"metric": "video_freeze_rate", "by": "sdk_version", **PERIODS}),
        answer=lambda results: [
            (group["before"], group["after"]) for group in results[0]["groups"] if group["group"] == WORSE
        ],
        expected=lambda world: [
            tuple(pytest.approx(frozen(world, after=after, version=WORSE), abs=1e-6) for after in (False, True))
        ],
    ),
    ask(
        "Did the round trip change?",
        ("compare", {"metric": "round_trip_time", **PERIODS}),
        answer=lambda results: (
            results[0]["unit"],
            results[0]["total"]["verdict"],
            results[0]["total"]["after"],
        ),
        expected=lambda world: ("ms", "none", pytest.approx(fmean(samples(world, ROUND_TRIP, after=True)))),
    ),
    ask(
        "For what share of the time was the round trip above 90 ms in each week?",
        ("compare", {"metric": "round_trip_time", "above": 90, **PERIODS}),
        answer=lambda results: [results[0]["total"][name] for name in ("before", "after")],
        expected=lambda world: [
            pytest.approx(fmean(value > 90 for value in samples(world, ROUND_TRIP, after=after)), abs=1e-6)
            for after in (False, True)
        ],
    ),
    refused(
        "Did the round trips change? (misspelt)",
        ("compare", {"metric": "round_trip_tme", **PERIODS}),
        "did you mean",
        "round_trip_time",
    ),
    refused(
        "Compare the week with itself.",
        ("compare", {"metric": "round_trip_time", "before": "2026-11-01..2026-11-09", "after": "2026-11-08..2026-11-15"}),
        "overlap",
    ),
)  # fmt: skip

REPORTS = (
    ask(
        "How was the support team's morning?",
        ("report", {"since": "2026-11-20T08:00Z", "until": "2026-11-20T10:00Z"}),
        server="support",
        answer=lambda results: (results[0]["summary"][0].partition(",")[0], calls_by_network(results[0])),
        expected=lambda world: (
            "{} calls with {} users".format(
                len(
                    morning := [
                        call["call_id"] for call in world.support.calls if call["created_ts"] < BEGIN + 7200
                    ]
                ),
                len({row["uid"] for row in world.support.sessions if row["call_id"] in morning}),
            ),
            {
                network: len(
                    {
                        row["call_id"]
                        for row in world.support.sessions
                        if row["call_id"] in morning and row["network"] == network
                    }
                )
                for network in ("WiFi", "4G")
            },
        ),
    ),
)


def calls_by_network(result):
    (panel,) = [each for each in result["panels"] if each["by"] == "network"]
    return {group["group"]: group["calls"] for group in panel["groups"]}


SCHEMAS = (
    ask(
        "In which unit is the round trip, and how many samples of it are stored?",
        ("schema", {"table": "quality"}),
        answer=lambda results: [
            (each["unit"], each["rows"], each["vendors"])
            for each in results[0]["metrics"]
            if each["name"] == "round_trip_time"
        ],
        expected=lambda world: [("ms", world.samples.count(ROUND_TRIP), ["agora"])],
    ),
    ask(
        "Which tables and views can I query, and which column of sessions is the name of the user?",
        ("schema", {}),
        ("schema", {"table": "sessions"}),
        answer=lambda results: (
            {each["name"]: each["columns"] for each in results[0]["tables"]},
            [each["name"] for each in results[1]["tables"][0]["columns"] if "user's name" in each["about"]],
        ),
        expected=lambda world: ({name: each.names for name, each in world.store.tables.items()}, ["account"]),
    ),
    refused("What has session?", ("schema", {"table": "session"}), "no such table", "'sessions'"),
)


def query(text, **more):
    return "sql", {"query": text, **more}


MEAN_ROUND_TRIPS = f"""
    select network, avg(value) from quality q join sessions s on q.session_id = s.sid
    where metric = 'round_trip_time' and q.app_id = '{SUPPORT_APP}' group by network order by network
"""
WORST_HOUR = """
    select ts, value from points where vendor = 'apsaravideo' and metric = 'video_freeze_rate' order by value desc limit 1
"""


def mean_by_network(world):
    networks = {row["sid"]: row["network"] for row in world.support.sessions}
    values = defaultdict(list)
    for row in world.support.metrics:
        values[networks[row["sid"]]].append(row["value"])
    return [[network, pytest.approx(fmean(values[network]))] for network in sorted(values)]


QUERIES = (
    ask(
        "What is the mean round trip by network in the support app?",
        query(MEAN_ROUND_TRIPS),
        answer=lambda results: results[0]["rows"],
        expected=mean_by_network,
    ),
    ask(
        "In which hour did the video of ApsaraVideo freeze most?",
        query(WORST_HOUR),
        answer=lambda results: results[0]["rows"],
        expected=lambda world: [
            [utc(row["ts"] // 1000), row["value"]]
            for row in [max(world.points_of("apsaravideo", "video_freeze_rate"), key=lambda each: each["value"])]
        ],
    ),
    ask(
        "What was the mean join success rate of ApsaraVideo before noon?",
        query(
            "select avg(value), count(*) from quality where metric = 'join_success_rate' and vendor = 'apsaravideo' "
            f"and ts < '{DAY} 12:00'"
        ),
        answer=lambda results: results[0]["rows"][0],
        expected=lambda world: [
            pytest.approx(fmean(values := [
                row["value"] for row in world.points_of("apsaravideo", "join_success_rate") if row["ts"] < 1000 * (BEGIN + 4 * 3600)
            ])),
            len(values),
        ],
    ),
    ask(
        "How many values do I have of each vendor?",
        query("select vendor, count(*) from quality where source_metric not like 'user_%' group by vendor order by vendor"),
        answer=lambda results: dict(results[0]["rows"]),
        expected=lambda world: Counter(row["vendor"] for row in world.points) + Counter(agora=len(world.samples)),
    ),
    ask(
        "How many sessions were there on each platform in the planted calls?",
        query("select platform, count(*) from sessions where cname like 'planted-%' group by platform"),
        answer=lambda results: dict(results[0]["rows"]),
        expected=lambda world: Counter(
            session.platform for each in world.planted.values() for session in each.call.sessions
        ),
    ),
    ask(
        "Show me all samples. (more rows than the limit)",
        query("select ts from metrics", limit=7),
        answer=lambda results: (len(results[0]["rows"]), "More than 7 rows" in results[0]["cut"]),
        expected=lambda world: (7, len(world.samples) > 7),
    ),
    ask(
        "Show me all samples with all columns. (more bytes than the limit)",
        query("select * from quality", limit=1000),
        answer=lambda results: ("40,000 bytes" in results[0]["cut"], 100 < len(results[0]["rows"]) < 1000),
        expected=lambda world: (True, len(world.samples) > 1000),
    ),
    refused("Delete the calls of Ann.", query("delete from calls"), "cannot run DELETE", "reads"),
    refused("Add a call.", query("insert into calls select * from calls"), "cannot run INSERT"),
    refused("Read my files.", query("select * from read_text('/etc/passwd')"), "cannot read /etc/passwd", "only in the store"),
    refused("Load an extension.", query("install httpfs"), "cannot run"),
    refused("What is the loss? (no such column)", query("select los from quality"), "the query is wrong", "los"),
    refused(
        "Join everything with everything.",
        query("select count(*) from range(1000000) a, range(1000000) b where a.range + b.range < 0"),
        "stopped after 0.2 s",
        "fewer days",
        server="impatient",
    ),
)  # fmt: skip

QUESTIONS = (*SCORES, *COMPARISONS, *REPORTS, *SCHEMAS, *QUERIES)
