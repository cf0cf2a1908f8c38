"""Resume tokens of Agora: another question is refused before a request, and the same one continues without a loss."""

from contextlib import aclosing

import pytest
from attrs import evolve

from agora_analytics.agora.records import Call, Session
from agora_analytics.errors import InvalidRequest
from tests.agora.harness import HOUR, SINCE, UNTIL, scripted
from tests.conftest import NOW, ok, response

CALL = Call(call_id="c", cname="r", created_ts=SINCE, destroyed_ts=UNTIL, finished=True)
IDS = [f"S{i}" for i in range(60)]


def numbered(items, rows):
    """Return a response for each request: the page of `rows` that it asks for."""

    def respond(request):
        query = dict(request.query)
        size, page = int(query["page_size"]), int(query["page_no"])
        return ok(
            **{items: rows[(page - 1) * size : page * size]},
            total_size=len(rows),
            page_no=page,
            page_size=size,
            has_more=page * size < len(rows),
        )

    return respond


def call(i):
    return {
        "call_id": f"c{i}",
        "cname": "r",
        "created_ts": UNTIL - 600 - i,
        "destroyed_ts": UNTIL - 300 - i,
        "finished": True,
    }


def session(i, **more):
    return {
        "sid": f"S{i}",
        "cname": "r",
        "uid": i,
        "network": "4G",
        "platform": "iOS",
        "speaker": True,
        "sdk_version": "4",
        "device_type": "x",
        "join_ts": SINCE + i,
        "leave_ts": SINCE + 900 + i,
        "finished": True,
    } | more


def no_metrics(request):
    return ok(metrics=[{"sid": sid, "data": []} for sid in dict(request.query)["sids"].split(",")])


LISTINGS = {
    "calls": (
        numbered("call_lists", [call(i) for i in range(250)]),
        lambda c, **more: c.calls(**{"since": SINCE, "until": UNTIL, "page_size": 20} | more),
        [
            {"since": SINCE + 1},
            {"since": "6h"},
            {"until": UNTIL - 1},
            {"cname": "r"},
            {"page_size": 100},
            {"page_size": 19},
        ],
    ),
    "sessions": (
        numbered("call_info", [session(i) for i in range(50)]),
        lambda c, **more: c.sessions(**{"call": CALL, "page_size": 20} | more),
        [
            {"call": Call(call_id="d", cname="r", created_ts=SINCE, destroyed_ts=UNTIL, finished=True)},
            {"call": "c", "since": SINCE, "until": UNTIL},
            {"uids": [7]},
            {"exclude_server_user": False},
            {"page_size": 100},
        ],
    ),
    "metrics": (
        no_metrics,
        lambda c, **more: c.metrics(**{"call": CALL, "sids": IDS} | more),
        [
            {"call": Call(call_id="d", cname="r", created_ts=SINCE, destroyed_ts=UNTIL, finished=True)},
            {"call": "c", "since": SINCE, "until": UNTIL},
            {"sids": IDS[1:]},
            {"sids": [*IDS, "S60"]},
        ],
    ),
}


async def first_page(listing):
    async for page in listing.pages():
        return page
    return None


@pytest.mark.parametrize("name", LISTINGS)
def test_token_of_another_question_takes_no_request(name):
    respond, ask, others = LISTINGS[name]
    harness = scripted(respond)

    async def job(client):
        token = (await first_page(ask(client))).resume_token
        sent = len(harness.transport.requests)
        for other in others:
            with pytest.raises(InvalidRequest, match=r"another listing|page_size=20, not"):
                await ask(client, resume=token, **other).collect()
        for other in {"calls", "sessions", "metrics"} - {name}:
            with pytest.raises(InvalidRequest, match="another listing"):
                await LISTINGS[other][1](client, resume=token).collect()
        for changed in (token[:-1], token[1:], f"{token}x", token.swapcase(), "x"):
            with pytest.raises(InvalidRequest, match="not a resume token"):
                await ask(client, resume=changed).collect()
        assert len(harness.transport.requests) == sent

    harness.run(job, prefetch=1)


def test_token_of_another_app_is_refused():
    respond, ask, _ = LISTINGS["calls"]
    harness = scripted(respond)

    async def job(client):
        return (await first_page(ask(client))).resume_token

    token = harness.run(job, prefetch=1)

    async def other(client):
        with pytest.raises(InvalidRequest, match="another listing"):
            await ask(client, resume=token).collect()

    harness.run(other, app_id="other")


@pytest.mark.parametrize(("first", "then"), [(20, 100), (100, 20)])
def test_another_page_size_is_refused_and_the_same_one_lists_every_call(first, then):
    harness = scripted(LISTINGS["calls"][0])

    async def job(client):
        got = []
        async for page in client.calls(SINCE, UNTIL, page_size=first).pages():
            got += page.records
            if len(got) >= 60:
                break
        with pytest.raises(InvalidRequest, match=f"pass page_size={first}"):
            await client.calls(SINCE, UNTIL, page_size=then, resume=page.resume_token).collect()
        got += await client.calls(SINCE, UNTIL, page_size=first, resume=page.resume_token).collect()
        return [each.call_id for each in got]

    assert harness.run(job) == [f"c{i}" for i in range(250)]


def test_resumed_listing_of_a_relative_range_has_the_range_of_its_token():
    """The range of `6h` is another one later. The pages of a token are pages of the range that was sent."""
    harness = scripted(LISTINGS["calls"][0])

    async def job(client):
        page = await first_page(client.calls("6h", "1h", page_size=20))
        harness.clock.step(1800)
        return page, await first_page(client.calls("6h", "1h", page_size=20, resume=page.resume_token))

    first, then = harness.run(job, prefetch=1)
    assert first.meta.window == then.meta.window
    assert then.meta.window.start == int(NOW) - 6 * HOUR
    sent = [dict(request.query) for request in harness.transport.requests]
    assert {(query["start_ts"], query["end_ts"]) for query in sent} == {
        (str(int(NOW) - 6 * HOUR), str(int(NOW) - HOUR - 1))
    }
    assert sent[-1]["page_no"] == "2"


def test_page_and_token_have_the_window_that_was_sent():
    """The local clock is 10 minutes ahead, so the end of the range is cut when the server's time is known."""
    late = {"code": 300, "message": "query latency limit error"}
    date = "Thu, 19 Nov 2026 11:50:00 GMT"  # ten minutes before NOW
    respond = numbered("call_lists", [call(i) for i in range(60)])

    def dated(request):
        return evolve(respond(request), headers={"date": date})

    harness = scripted(response(late, date=date), dated)

    async def job(client):
        page = await first_page(client.calls("6h", page_size=20))
        return page, await first_page(client.calls("6h", page_size=20, resume=page.resume_token))

    page, then = harness.run(job, prefetch=1)
    sent = dict(harness.transport.requests[-1].query)
    assert page.meta.window.end == int(sent["end_ts"])
    assert page.meta.window.end < NOW - 600
    assert then.meta.window == page.meta.window


def test_metrics_resume_when_a_session_was_added_after_the_position():
    """Without `sids=` the sessions are listed again. A new one comes last, so what was fetched is the same."""
    joined = [session(i) for i in range(45)]
    requested = []

    def respond(request):
        if "sids" in dict(request.query):
            requested.append(dict(request.query)["sids"].split(","))
            return no_metrics(request)
        return numbered("call_info", joined)(request)

    harness = scripted(respond)

    async def job(client):
        page = await first_page(client.metrics(CALL))
        requested.clear()
        joined.append(session(99))
        await client.metrics(CALL, resume=page.resume_token).collect()
        rest = sorted(sid for sids in requested for sid in sids)
        assert rest == sorted(s["sid"] for s in joined[20:])
        requested.clear()
        joined.insert(0, session(100, join_ts=SINCE - 1))
        with pytest.raises(InvalidRequest, match="the sessions of the call"):
            await client.metrics(CALL, resume=page.resume_token).collect()
        assert requested == []

    harness.run(job, prefetch=1, cache_bytes=0)


def test_ongoing_call_resumes_in_the_range_of_its_token():
    """An ongoing call ends now, so it is longer when its metrics are resumed."""
    ongoing = Call(call_id="c", cname="r", created_ts=SINCE, destroyed_ts=SINCE, finished=False)
    harness = scripted(no_metrics)

    async def job(client):
        page = await first_page(client.metrics(ongoing, sids=IDS))
        harness.clock.step(1800)
        return page, [p async for p in client.metrics(ongoing, sids=IDS, resume=page.resume_token).pages()]

    first, rest = harness.run(job, prefetch=1)
    assert {page.meta.window for page in rest} == {first.meta.window}
    assert len(rest) == 2


def test_resuming_after_the_last_page_returns_nothing():
    harness = scripted(no_metrics)

    async def job(client):
        return [await ask(client, resume="").collect() for _, ask, _ in LISTINGS.values()]

    assert harness.run(job) == [[], [], []]
    assert harness.transport.requests == []


def test_sessions_may_be_objects_or_ids():
    harness = scripted(no_metrics)
    sessions = [
        Session(sid=sid, cname="r", uid="1", join_ts=SINCE, leave_ts=UNTIL, finished=True) for sid in IDS
    ]

    async def job(client):
        page = await first_page(client.metrics(CALL, sids=sessions))
        return [p async for p in client.metrics(CALL, sids=IDS, resume=page.resume_token).pages()]

    assert len(harness.run(job, prefetch=1)) == 2


@pytest.mark.parametrize("what", ["calls", "sessions"])
def test_end_of_a_window_stays_if_the_clock_is_set_back(what):
    """With an earlier end, a page would begin with another record than the one after the last page."""
    rows = [call(i) for i in range(5)] if what == "calls" else [session(i) for i in range(5)]
    harness = scripted(numbered("call_lists" if what == "calls" else "call_info", rows))
    until = NOW - 90

    def listing(client, **resume):
        if what == "calls":
            return client.calls(SINCE, until, page_size=2, **resume)
        return client.sessions("c", SINCE, until, page_size=2, **resume)

    async def first_page(client):
        async with aclosing(listing(client).pages()) as pages:
            return (await anext(pages)).resume_token

    async def rest(client):
        return await listing(client, resume=token).collect()

    token = harness.run(first_page)
    harness.clock.step(-300)
    assert len(harness.run(rest)) == 3
    assert len({dict(request.query)["end_ts"] for request in harness.transport.requests}) == 1
