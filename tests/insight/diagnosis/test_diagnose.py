"""`diagnose` and `diagnose_live`: what they say of planted calls, with which evidence and requests."""

import asyncio
import shutil
from pathlib import Path

import pytest
from attrs import evolve

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight import diagnose, diagnose_live
from agora_analytics.simulator import planted_call
from agora_analytics.store import open_store
from tests.insight.diagnosis.conftest import SEEDS, client_of

KEYS = ["side", "cause", "party", "confidence", "from", "to", "evidence", "requests"]


@pytest.mark.parametrize("name", SEEDS)
def test_a_store_has_the_answer(store, planted, name):
    call = planted[name]
    diagnosis = diagnose(store, call.call.call_id, call.uid)
    assert (diagnosis.side, diagnosis.cause, diagnosis.party) == call.answer
    assert diagnosis.requests == 0
    assert list(diagnosis.to_dict()) == KEYS
    assert diagnosis.evidence


@pytest.mark.parametrize("name", ["server_loss", "cpu", "low_bitrate", "silent_microphone", "reconnects"])
def test_a_cause_is_named_with_its_time_and_its_numbers(store, planted, name):
    call = planted[name]
    (cause,) = call.causes
    diagnosis = diagnose(store, call.call.call_id, call.uid)
    assert cause.since - 20 <= diagnosis.since < diagnosis.until <= cause.until + 20
    if name != "reconnects":  # which has some outages in this time
        assert diagnosis.until - diagnosis.since > 0.4 * (cause.until - cause.since)
    assert 0.4 < diagnosis.confidence <= 1
    text = diagnosis.evidence[0].text
    assert diagnosis.party is None or diagnosis.party in text
    numbers = [each for each in diagnosis.evidence if each.speaks == "for" and each.metric]
    assert numbers, "no metric shows the cause"
    for each in numbers:
        assert each.user
        assert 2 <= len(each.chart) <= 60
        known = [value for value in each.chart if value is not None]
        assert min(known) <= each.during <= max(known) or each.during == pytest.approx(max(known), rel=0.5)


def test_the_time_of_a_complaint_selects_what_counts(store, planted):
    call = planted["cpu"]
    (cause,) = call.causes
    whole = diagnose(store, call.call.call_id, call.uid)
    during = diagnose(store, call.call.call_id, call.uid, at=(cause.since + cause.until) / 2)
    assert (during.cause, during.since, during.until) == ("cpu", whole.since, whole.until)
    mean = {each.metric: each.otherwise for each in whole.evidence}
    assert all(each.otherwise == mean[each.metric] for each in during.evidence if each.metric)


def test_a_time_without_a_cause_has_none(store, planted):
    call = planted["low_bitrate"]
    (cause,) = call.causes
    assert cause.since - 62 > call.call.created_ts
    diagnosis = diagnose(store, call.call.call_id, call.uid, at=cause.since - 62)
    assert (diagnosis.side, diagnosis.since) == ("none", None)


def test_another_user_of_the_call_has_another_answer(store, planted):
    call = planted["cpu"]
    others = {session.uid for session in call.call.sessions} - {call.uid}
    for uid in others:
        diagnosis = diagnose(store, call.call.call_id, uid)
        assert diagnosis.party in (None, call.uid), "only the user with the busy processor is at fault"
        assert diagnosis.side in ("sender", "none")


def test_wrong_arguments_are_refused_with_a_remedy(store, planted):
    call = planted["cpu"]
    with pytest.raises(InvalidRequest, match="has no Agora call nope; harvest its day"):
        diagnose(store, "nope", call.uid)
    with pytest.raises(InvalidRequest, match=f"did you mean '{call.uid}'"):
        diagnose(store, call.call.call_id, call.uid[:-1])
    with pytest.raises(InvalidRequest, match="no threshold profile 'teams'"):
        diagnose(store, call.call.call_id, call.uid, profile="teams")
    with pytest.raises(InvalidRequest, match="is not within the call"):
        diagnose(store, call.call.call_id, call.uid, at="2020-01-01")


def test_only_the_files_of_the_call_are_read(store, planted, tmp_path):
    call = planted["cpu"]
    folder = shutil.copytree(store.path, tmp_path / "calls.store")
    damaged = 0
    for file in Path(folder).glob("metrics/**/*.parquet"):
        if call.call.call_id not in file.name:
            content = file.read_bytes()
            middle = len(content) // 2
            file.write_bytes(
                content[:4] + b"\xff" * (middle - 4) + content[middle:]
            )  # the footer stays readable
            damaged += 1
    assert damaged >= len(SEEDS) - 2
    diagnosis = diagnose(open_store(folder), call.call.call_id, call.uid)
    assert diagnosis.cause == "cpu"


@pytest.mark.parametrize("name", ["cpu", "server_loss", "unknown"])
def test_the_api_has_the_same_answer_with_at_most_six_requests(store, planted, name):
    call = planted[name]

    async def ask():
        async with client_of([call]) as client:
            found = await client.find_call(call.call.call_id, call.call.created_ts)
            return await diagnose_live(client, found, call.uid), sum(client.sent.values())

    live, requests = asyncio.run(ask())
    assert live.requests == requests <= 6
    stored = diagnose(store, call.call.call_id, call.uid)
    assert (live.side, live.cause, live.party) == (stored.side, stored.cause, stored.party)
    assert [each.text for each in live.evidence] == [each.text for each in stored.evidence]


def test_a_large_call_takes_six_requests_and_says_what_it_left_out():
    call = planted_call(84)  # 24 sessions

    async def ask(**options):
        async with client_of([call], **options) as client:
            found = await client.find_call(call.call.call_id, call.call.created_ts)
            before = sum(client.sent.values())
            for _ in range(4 - before):  # as if it had been harder to find
                await client.calls(call.call.created_ts, call.call.destroyed_ts).collect()
            return await diagnose_live(client, found, call.uid)

    diagnosis = asyncio.run(ask())
    assert diagnosis.requests == 6
    assert any(
        "sessions were not read" in each.text for each in diagnosis.evidence if each.speaks == "against"
    )


def test_a_call_of_many_windows_needs_a_time():
    call = planted_call(77, begin=1_795_000_000)

    async def ask(at=None):
        async with client_of([call], plan="standard") as client:
            found = await client.find_call(call.call.call_id, call.call.created_ts)
            # As if it had lasted a day, in windows of an hour.
            long = evolve(found, created_ts=found.created_ts - 43_200)
            return await diagnose_live(client, long, call.uid, at=at)

    with pytest.raises(InvalidRequest, match="takes more than 6 requests; name a time"):
        asyncio.run(ask())
    (cause,) = call.causes
    diagnosis = asyncio.run(ask((cause.since + cause.until) / 2))
    assert diagnosis.cause == "cpu"
    assert diagnosis.requests <= 6
    assert diagnosis.since >= cause.since - 20


def test_of_a_large_call_only_the_nearest_sessions_are_read(store, planted, monkeypatch):
    call = planted["cpu"]
    of_user = sum(each.leave_ts - each.join_ts for each in call.call.sessions if each.uid == call.uid)
    monkeypatch.setattr("agora_analytics.insight.diagnosis.diagnose._MOST_SECONDS", of_user + 1)
    diagnosis = diagnose(store, call.call.call_id, call.uid)
    left_out = len(call.call.sessions) - sum(each.uid == call.uid for each in call.call.sessions)
    assert diagnosis.evidence[-1].text == f"the samples of {left_out} sessions were not read"
