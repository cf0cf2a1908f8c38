"""Resume tokens of the beta: another question is refused before a request."""

import pytest

from agora_analytics.agora.records import Call
from agora_analytics.errors import InvalidRequest
from tests.beta.harness import SINCE, UNTIL, scripted
from tests.conftest import response

CALL = Call(call_id="c", cname="r", created_ts=SINCE, destroyed_ts=UNTIL, finished=True)


def respond(request):
    """Return a full list of calls or diagnoses, or the details of a call."""
    query = dict(request.query)
    end = int(query["end_ts"])
    calls = [
        {"call_id": f"c{end - i}", "cname": "r", "created_ts": end - i, "destroyed_ts": end, "finished": True}
        for i in range(10)
    ]
    data = [{"user": str(i), "exp_id": 4, "cname": "r", "cause_tags": [], "ts": end - i} for i in range(10)]
    body = {"code": 200, "message": "", "has_more": True, "call_lists": calls, "data": data}
    return response(body | {"call_id": "c", "call_info": [], "metrics": []})


LISTINGS = {
    "calls": (
        lambda c, **more: c.calls(**{"since": SINCE, "until": UNTIL} | more),
        [{"since": SINCE + 1}, {"since": "1d"}, {"until": UNTIL - 1}, {"cname": "r"}],
    ),
    "details": (
        lambda c, **more: c.details(**{"call": CALL} | more),
        [{"call": "c", "since": SINCE, "until": UNTIL}, {"metrics": False}, {"exclude_server_user": False}],
    ),
    "live_diagnosis": (
        lambda c, **more: c.live_diagnosis(**{"since": "30m"} | more),
        [{"since": "20m"}, {"until": "5m"}],
    ),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_token_of_another_question_takes_no_request(name):
    ask, others = LISTINGS[name]
    harness = scripted(*[respond] * 9)

    async def job(client):
        async for page in ask(client).pages():
            token = page.resume_token
            break
        sent = len(harness.transport.requests)
        for other in others:
            with pytest.raises(InvalidRequest, match="another listing"):
                await ask(client, resume=token, **other).collect()
        for other in LISTINGS.keys() - {name}:
            with pytest.raises(InvalidRequest, match="another listing"):
                await LISTINGS[other][0](client, resume=token).collect()
        for changed in (token[:-1], f"{token}x", token.swapcase()):
            with pytest.raises(InvalidRequest, match="not a resume token"):
                await ask(client, resume=changed).collect()
        assert len(harness.transport.requests) == sent

    harness.run(job, prefetch=1)
