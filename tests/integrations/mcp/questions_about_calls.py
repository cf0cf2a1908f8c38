"""Questions about stored days, calls and users, and why calls were poor."""

from collections import Counter

import pytest

from .question import ask, ids, refused, utc
from .stored_world import BEGIN, INJECTION, SUPPORT_APP

MINE = {"app_id": SUPPORT_APP}


def days_of(calls):
    return {utc(call.start)[:10] for call in calls}


def pages(results):
    return [call["call_id"] for page in results for call in page["calls"]]


def newest_first(world, kept=lambda _: True):
    calls = sorted(filter(kept, world.support.calls), key=lambda call: (-call["created_ts"], call["call_id"]))
    return [call["call_id"] for call in calls]


def calls_of(world, user):
    return {
        row["call_id"] for row in world.support.sessions if user in (row["uid"], row["account"])
    }  # a person names users by either


COVERAGE = (
    ask(
        "Which vendors does the data come from, and in which apps?",
        ("coverage", {}),
        answer=lambda results: {(each["vendor"], each["app_id"]) for each in results[0]["sources"]},
        expected=lambda world: (
            {(row["vendor"], row["app_id"]) for row in world.points}
            | {("agora", app) for app in (SUPPORT_APP, world.compared[0].app_id, planted_app(world))}
        ),
    ),
    ask(
        "On which days of the first half of November do you have no calls at all?",
        ("coverage", {"since": "2026-11-01", "until": "2026-11-16"}),
        answer=lambda results: (
            {day["day"] for day in results[0]["days"]},
            set(results[0]["days_without_data"]),
        ),
        expected=lambda world: (
            days_of(world.compared),
            {f"2026-11-{day:02}" for day in range(1, 16)} - days_of(world.compared),
        ),
    ),
    ask(
        "Is the support app's 20 November complete?",
        ("coverage", {"since": "2026-11-20", "until": "2026-11-21", **MINE}),
        answer=lambda results: [
            (day["complete"], day["ongoing"], day["calls"]) for day in results[0]["days"]
        ],
        expected=lambda world: [
            (False, sum(not call["finished"] for call in world.support.calls), len(world.support.calls))
        ],
    ),
    ask(
        "How was OpenTok at 20:00 on 20 November? (nothing is known after the last value)",
        ("coverage", {"app_id": "46000001"}),
        answer=lambda results: (results[0]["sources"][0]["last"], results[0]["sources"][0]["calls"]),
        expected=lambda world: (
            utc(max(row["ts"] for row in world.points if row["vendor"] == "opentok") // 1000),
            len({row["call_id"] for row in world.points if row["vendor"] == "opentok"}),
        ),
    ),
    ask(
        "Were there problems from Christmas Eve to Boxing Day? (not stored; the last stored day is)",
        ("coverage", {"since": "2026-12-24", "until": "2026-12-27"}),
        ("coverage", {}),
        answer=lambda results: (results[0]["days_without_data"], results[1]["days"][0]["day"]),
        expected=lambda world: (
            [f"2026-12-{day}" for day in (24, 25, 26)],
            utc(max(call["created_ts"] for call in world.support.calls))[:10],
        ),
    ),
    ask(
        "How many calls does each app have on 20 November? (unknown of other vendors)",
        ("coverage", {"since": "2026-11-20", "until": "2026-11-21"}),
        answer=lambda results: {day["app_id"]: day.get("calls") for day in results[0]["days"]},
        expected=lambda world: (
            {SUPPORT_APP: len(world.support.calls)} | dict.fromkeys(row["app_id"] for row in world.points)
        ),
    ),
)

CALLS = (
    ask(
        "Which calls did the channel standup have?",
        ("list_calls", {"channel": "standup", **MINE}),
        answer=lambda results: (ids(results), results[0]["total"]),
        expected=lambda world: (found := newest_first(world, lambda call: call["cname"] == "standup"), len(found)),
    ),
    ask(
        "Which channels begin with review_? (the underscore is itself)",
        ("list_calls", {"channel": "review_*"}),
        answer=ids,
        expected=lambda world: newest_first(world, lambda call: call["cname"].startswith("review_")),
    ),
    ask(
        "Which calls was Ann in?",
        ("list_calls", {"user": "Ann"}),
        answer=ids,
        expected=lambda world: newest_first(world, lambda call: call["call_id"] in calls_of(world, "Ann")),
    ),
    ask(
        "Which calls was user 8 in? (a model may send a number)",
        ("list_calls", {"user": 8, **MINE}),
        answer=ids,
        expected=lambda world: newest_first(world, lambda call: call["call_id"] in calls_of(world, "8")),
    ),
    ask(
        "Which calls were active between 08:12 and 08:13?",
        ("list_calls", {"since": "2026-11-20T08:12Z", "until": "2026-11-20T08:13Z", **MINE}),
        answer=ids,
        expected=lambda world: newest_first(
            world, lambda call: call["created_ts"] < BEGIN + 780 and call["destroyed_ts"] >= BEGIN + 720
        ),
    ),
    ask(
        "Who still called after midnight?",
        ("list_calls", {"since": "2026-11-21", "until": "2026-11-22"}),
        ("list_users", lambda _, results: {"call_id": ids(results)[0]}),
        answer=lambda results: [user["name"] for user in results[1]["users"]],
        expected=lambda world: [
            row["account"] for row in world.support.sessions if row["leave_ts"] > BEGIN + 16 * 3600
        ],
    ),
    ask(
        "List all calls of the support app. (three pages; two calls begin in the same second)",
        ("list_calls", {"limit": 3, **MINE}),
        ("list_calls", lambda _, results: {"limit": 3, "cursor": results[0]["next"], **MINE}),
        ("list_calls", lambda _, results: {"limit": 3, "cursor": results[1]["next"], **MINE}),
        answer=lambda results: (pages(results), "next" in results[2]),
        expected=lambda world: (newest_first(world), False),
    ),
    ask(
        "How long was Ann's longest call?",
        ("list_calls", {"user": "Ann"}),
        answer=lambda results: max(call["minutes"] for call in results[0]["calls"]),
        expected=lambda world: max(
            (call["destroyed_ts"] - call["created_ts"]) / 60
            for call in world.support.calls
            if call["call_id"] in calls_of(world, "Ann")
        ),
    ),
    ask(
        "How many Agora calls are stored?",
        ("list_calls", {"vendor": "agora", "limit": 1}),
        answer=lambda results: results[0]["total"],
        expected=lambda world: len(world.support.calls) + len(world.compared) + len(world.planted),
    ),
    ask(
        "Which calls were still ongoing when they were stored?",
        ("list_calls", {**MINE, "limit": 100}),
        answer=lambda results: [call["call_id"] for call in results[0]["calls"] if not call["finished"]],
        expected=lambda world: newest_first(world, lambda call: not call["finished"]),
    ),
    ask(
        "Which OpenTok meetings were there, and with how many connections?",
        ("list_calls", {"vendor": "opentok"}),
        answer=lambda results: {call["call_id"]: (call["users"], call["start"]) for call in results[0]["calls"]},
        expected=lambda world: {
            meeting: (
                len({row["user_id"] for row in world.points if row.get("call_id") == meeting}),
                utc(min(row["ts"] for row in world.points if row.get("call_id") == meeting) // 1000),
            )
            for meeting in ("meet-a", "meet-b")
        },
    ),
    refused("Which calls were there lately?", ("list_calls", {"since": "lately"}), "since='lately' is not a time", "6h, 2d"),
    refused("Which calls had the room x?", ("list_calls", {"chanel": "x"}), "no argument chanel", "'channel'"),
    refused("Give me 5000 calls.", ("list_calls", {"limit": 5000}), "limit", "less than or equal to 100"),
    refused("Continue there.", ("list_calls", {"cursor": "WzFd"}), "cursor", "leave it out"),
)  # fmt: skip

USERS = (
    ask(
        "Who was in sup-1, and on which network?",
        ("list_users", {"call_id": "sup-1"}),
        answer=lambda results: [
            (each["user_id"], each["name"], each["networks"]) for each in results[0]["users"]
        ],
        expected=lambda world: [
            (row["uid"], row["account"], [row["network"]])
            for row in world.support.sessions
            if row["call_id"] == "sup-1"
        ],
    ),
    ask(
        "Which platforms did the users of the planted cpu call have, and when did each join?",
        ("list_calls", lambda world, _: {"channel": world.planted["cpu"].call.cname}),
        ("list_users", lambda _, results: {"call_id": ids(results)[0]}),
        answer=lambda results: {
            each["user_id"]: (set(each["platforms"]), each["joined"], each["sessions"])
            for each in results[1]["users"]
        },
        expected=lambda world: {
            uid: (
                {each.platform for each in sessions},
                utc(min(each.join_ts for each in sessions)),
                len(sessions),
            )
            for uid, sessions in by_uid(world.planted["cpu"].call.sessions).items()
        },
    ),
    ask(
        "How many guests were in the town hall? (two pages)",
        ("list_users", {"call_id": "sup-6", "limit": 30}),
        (
            "list_users",
            lambda _, results: {"call_id": "sup-6", "limit": 30, "cursor": results[0]["next"]},
        ),
        answer=lambda results: (
            Counter(each["user_id"] for page in results for each in page["users"]),
            results[0]["total"],
        ),
        expected=lambda world: (
            found := Counter(row["uid"] for row in world.support.sessions if row["call_id"] == "sup-6"),
            found.total(),
        ),
    ),
    ask(
        "Whose video froze most in the town hall?",
        ("list_users", {"call_id": "sup-6", "limit": 100}),
        answer=lambda results: max(
            (each["video_freeze_rate"], each["user_id"]) for each in results[0]["users"]
        ),
        expected=lambda world: max(
            (row["user_video_freeze_rate"], row["uid"])
            for row in world.support.sessions
            if row["call_id"] == "sup-6"
        ),
    ),
    ask(
        "Who was in the OpenTok meeting meet-b?",
        ("list_users", {"call_id": "meet-b"}),
        answer=lambda results: (
            results[0]["vendor"],
            {each["user_id"]: each["sessions"] for each in results[0]["users"]},
        ),
        expected=lambda world: (
            "opentok",
            {
                row["user_id"]: 1
                for row in world.points
                if row.get("call_id") == "meet-b"  # each connection measures one stream
            },
        ),
    ),
    ask(
        "What is user 10 called? (the name is data, not an instruction)",
        ("list_calls", {"user": "10", **MINE}),
        ("list_users", lambda _, results: {"call_id": ids(results)[0]}),
        answer=lambda results: (results[0]["calls"][0]["channel"], results[1]["users"][0]["name"]),
        expected=lambda _: (r"standup\u202eevil\x1b[2J", INJECTION),
    ),
    refused(
        "Who was in the call nope?",
        ("list_users", {"call_id": "nope"}),
        "no such call",
        "list_calls",
        "coverage",
    ),
)


def by_uid(sessions):
    found = {}
    for session in sessions:
        found.setdefault(session.uid, []).append(session)
    return found


def planted_app(world):
    from agora_analytics.simulator import DEMO_APP_ID

    return DEMO_APP_ID


def why(name):
    return ask(
        f"Why was the call of the channel of {name} bad for the user who complained?",
        ("list_calls", lambda world, _: {"channel": world.planted[name].call.cname}),
        ("why", lambda world, results: {"call_id": ids(results)[0], "user": world.planted[name].uid}),
        answer=lambda results: (results[1]["side"], results[1]["cause"], results[1].get("party")),
        expected=lambda world: world.planted[name].answer,
    )


WHY = (
    *(why(name) for name in ("server_loss", "cpu", "silent_microphone", "unknown", "none")),
    ask(
        "When did the processor problem begin and end?",
        ("list_calls", lambda world, _: {"channel": world.planted["cpu"].call.cname}),
        ("why", lambda world, results: {"call_id": ids(results)[0], "user": world.planted["cpu"].uid}),
        answer=lambda results: [seconds(results[1][name]) for name in ("from", "to")],
        expected=lambda world: pytest.approx(
            [world.planted["cpu"].causes[0].since, world.planted["cpu"].causes[0].until], abs=60
        ),
    ),
    refused("Why was sup-99 bad?", ("why", {"call_id": "sup-99", "user": 7}), "no such Agora call", "list_calls"),
    refused("Why was meet-b bad?", ("why", {"call_id": "meet-b", "user": "conn-pub"}), "of other vendors", "samples of all participants"),
    refused(
        "Why was sup-1 bad for user 70?",
        ("why", {"call_id": "sup-1", "user": "70"}),
        "sup-1 has no user 70",
    ),
    refused(
        "Why was sup-1 bad a year before?",
        ("why", {"call_id": "sup-1", "user": "7", "at": "2025-11-20T08:00Z"}),
        "not within the call",
        "2026-11-20T08:00:00Z",
    ),
)  # fmt: skip


def seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


QUESTIONS = (*COVERAGE, *CALLS, *USERS, *WHY)
