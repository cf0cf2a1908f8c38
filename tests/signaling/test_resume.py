"""Resume tokens of both histories: another question is refused before a request."""

import json

import pytest

from agora_analytics.errors import InvalidRequest
from tests.conftest import response
from tests.signaling.harness import scripted

MESSAGES = [{"message": f"m{i}", "publisher": "ann", "timestamp": i} for i in range(50)]
HISTORY = json.dumps({"errorCode": 200, "data": {"messageList": MESSAGES, "newStart": 51}}).encode()
QUERY = b'{"result":"success","location":"~/rtm/message/history/query/MjI="}'
ROW = {"src": "ann", "dst": "room", "message_type": "group_message", "ms": 5, "payload": "hi"}
FULL = json.dumps({"result": "success", "code": "ok", "messages": [ROW] * 50}).encode()

HISTORIES = {
    "history": (
        (HISTORY,),
        lambda c, **more: c.history(**{"user_id": "ann", "channel": "room", "page_size": 50} | more),
        [
            {"user_id": "bob"},
            {"channel": "other"},
            {"channel_type": "user"},
            {"start": 5},
            {"end": 99},
            {"page_size": 49},
        ],
    ),
    "legacy_history": (
        (QUERY, FULL),
        lambda c, **more: c.legacy_history(**{"since": "2h", "source": "ann", "page_size": 50} | more),
        [
            {"since": "1h"},
            {"until": "5m"},
            {"source": "bob"},
            {"destination": "room"},
            {"order": "desc"},
            {"page_size": 20},
        ],
    ),
}


async def first_token(listing):
    async for page in listing.pages():
        return page.resume_token
    return ""


@pytest.mark.parametrize("name", HISTORIES)
def test_token_of_another_question_takes_no_request(name):
    script, ask, others = HISTORIES[name]
    harness = scripted(*script)

    async def job(client):
        token = await first_token(ask(client))
        for other in others:
            with pytest.raises(InvalidRequest, match=r"another listing|page_size=50, not"):
                await ask(client, resume=token, **other).collect()
        for changed in (token[:-1], f"{token}x", token.swapcase(), "51", "50"):
            with pytest.raises(InvalidRequest, match="not a resume token"):
                await ask(client, resume=changed).collect()
        return token

    token = harness.run(job)
    assert len(harness.transport.requests) == len(script)

    async def other_app(client):
        with pytest.raises(InvalidRequest, match="another listing"):
            await ask(client, resume=token).collect()

    harness.run(other_app, app_id="other")


def test_archive_resumes_in_the_range_of_its_token():
    """An hour later, `2h` has fewer messages, and the offset of the next page would skip some."""
    respond = [lambda request: response(QUERY if request.method == "POST" else FULL)] * 9
    harness = scripted(*respond)

    async def job(client):
        ask = HISTORIES["legacy_history"][1]
        token = await first_token(ask(client))
        harness.clock.step(3600)
        harness.transport.requests.append(None)
        await first_token(ask(client, resume=token))

    harness.run(job)
    sent = harness.transport.requests
    before, after = sent[: sent.index(None)], sent[sent.index(None) + 1 :]
    first, then = json.loads(before[0].body), json.loads(after[0].body)
    assert then["filter"] == first["filter"]
    assert (first["offset"], then["offset"]) == (0, 50)
