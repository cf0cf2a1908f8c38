"""The two histories of messages."""

import json

import pytest

from agora_analytics import errors
from agora_analytics.signaling import SIXTY_A_SECOND, HistoryMessage
from tests.signaling.harness import START, make_harness, scripted

GOLDEN = {
    "errorCode": 200,
    "error": False,
    "requestId": "r1",
    "operation": "getMessage",
    "reason": "",
    "timestamp": 1795046400000,
    "data": {
        "messageList": [
            {
                "messageType": "BINARY",
                "message": "aGk=",
                "customType": "note",
                "publisher": "ann",
                "timestamp": 17809876,
            },
            {"message": "hi", "publisher": "bob", "timestamp": 17809877, "new": 1},
        ],
        "count": 2,
        "newStart": 0,
    },
}


def test_golden_history_response():
    harness = scripted(json.dumps(GOLDEN).encode())

    async def job(client):
        return [page async for page in client.history("me?", "room", start=5, end=9).pages()]

    (page,) = harness.run(job)
    binary, text = page.records
    assert (binary.data, binary.custom_type, binary.message_type) == (b"hi", "note", "BINARY")
    assert text == HistoryMessage(publisher="bob", message="hi", timestamp=17809877, extra={"new": 1})
    assert text.data == b"hi"
    assert (page.meta.request_id, page.resume_token) == ("r1", "")
    assert harness.transport.requests[0].url == (
        "https://api.sd-rtn.com/rtm/v2/history/app/userId/me%3F/channelType/message/channel/room"
        "?start=5&end=9&messageCount=100"
    )


def send_messages(harness, number, *, spread=0.01, **more):
    async def job(client):
        import asyncio

        for i in range(number):
            await client.channel_message("ann", "room", f"message {i}", historical=True, **more)
            await asyncio.sleep(spread)

    harness.run(job)
    return [f"message {i}" for i in range(number)]


def test_every_message_once_over_pages():
    harness = make_harness()
    wanted = send_messages(harness, 205)

    async def job(client):
        pages = [page async for page in client.history("ann", "room", page_size=50).pages()]
        rest = await client.history("ann", "room", page_size=50, resume=pages[1].resume_token).collect()
        return pages, rest

    pages, rest = harness.run(job)
    assert [message.message for page in pages for message in page.records] == wanted
    assert rest[-1].message == wanted[-1]
    assert rest[0].message == wanted[98]  # where the second page ended: that one may come again


def test_history_as_arrow_table():
    pytest.importorskip("pyarrow")
    harness = make_harness()
    wanted = send_messages(harness, 105)
    table = harness.run(lambda c: c.history("ann", "room", page_size=50).to_arrow())
    assert table["message"].to_pylist() == wanted


def test_history_page_that_points_back_is_an_error():
    page = {"errorCode": 200, "data": {"messageList": GOLDEN["data"]["messageList"], "newStart": 7}}
    harness = scripted(*[json.dumps(page).encode()] * 2)
    with pytest.raises(errors.IncompleteListing, match="continues at 7"):
        harness.run(lambda c: c.history("ann", "room", page_size=2).collect())


def pages_of(*starts):
    messages = [{"message": f"m{i}", "publisher": "ann", "timestamp": i} for i in range(2 * len(starts))]
    return scripted(
        *(
            json.dumps(
                {"errorCode": 200, "data": {"messageList": messages[2 * i : 2 * i + 2], "newStart": start}}
            ).encode()
            for i, start in enumerate(starts)
        )
    )


@pytest.mark.parametrize("shape", [int, float, str])
def test_the_next_start_may_be_text_or_a_float(shape):
    harness = pages_of(shape(3), shape(5), shape(0))
    assert len(harness.run(lambda c: c.history("ann", "room", page_size=2).collect())) == 6


@pytest.mark.parametrize("start", ["", "soon", 3.5, [3], True])
def test_unreadable_next_start_after_a_full_page_is_an_error(start):
    with pytest.raises(errors.IncompleteListing, match="not a number"):
        pages_of(3, start).run(lambda c: c.history("ann", "room", page_size=2).collect())
    assert len(pages_of(3, start).run(lambda c: c.history("ann", "room", page_size=3).collect())) == 4


def test_binary_message_that_is_not_base64_is_a_decode_error():
    message = HistoryMessage(publisher="ann", message="a", message_type="BINARY", timestamp=START)
    with pytest.raises(errors.DecodeError, match="not base64"):
        _ = message.data


@pytest.mark.parametrize(
    "body", [b'{"errorCode":200,"data":null}', b'{"errorCode":200,"data":{"messageList":null}}']
)
def test_an_empty_history(body):
    assert scripted(body).run(lambda c: c.history("ann", "room").collect()) == []


def test_message_that_cannot_be_read_costs_no_other_message():
    rows = [{"message": "hi"}, None, {"publisher": "ann", "message": 5, "timestamp": "17809876"}]
    body = json.dumps({"errorCode": "200", "data": {"messageList": rows, "newStart": 0}}).encode()

    async def job(client):
        return [page async for page in client.history("ann", "room").pages()]

    (page,) = scripted(body).run(job)
    assert [(each.message, each.timestamp) for each in page.records] == [("5", 17809876)]
    assert [(each.path, each.key) for each in page.skipped] == [
        ("$.data.messageList[0]", "hi"),
        ("$.data.messageList[1]", None),
    ]


def test_full_page_without_a_readable_message_is_not_the_last_one():
    bad = json.dumps({"errorCode": 200, "data": {"messageList": [{}, {}], "newStart": 9}}).encode()
    last = json.dumps({"errorCode": 200, "data": {"messageList": None}}).encode()
    harness = scripted(bad, last)
    assert harness.run(lambda c: c.history("ann", "room", page_size=2).collect()) == []
    assert len(harness.transport.requests) == 2


@pytest.mark.parametrize("data", [[], "x", {"messageList": {}}])
def test_history_of_another_shape_is_a_decode_error(data):
    body = json.dumps({"errorCode": 200, "requestId": "r1", "data": data}).encode()
    with pytest.raises(errors.DecodeError, match=r"\$\.data") as caught:
        scripted(body).run(lambda c: c.history("ann", "room").collect())
    assert (caught.value.endpoint, caught.value.request_id) == ("signaling/history", "r1")


def test_an_error_code_may_be_text():
    body = b'{"errorCode":"403","error":true,"reason":"not enabled"}'
    with pytest.raises(errors.AccessDenied, match="not enabled"):
        scripted(body).run(lambda c: c.history("ann", "room").collect())


def test_history_that_is_not_enabled_is_denied():
    harness = make_harness(history=False)
    with pytest.raises(errors.AccessDenied, match="not enabled"):
        harness.run(lambda c: c.history("ann", "room").collect())


@pytest.mark.parametrize("fault", ["lost-answer", "500", "cut-off", "broken-json", "429", "hang"])
def test_history_request_is_retried(fault):
    harness = make_harness(None, None, None, fault)
    send_messages(harness, 3)
    assert len(harness.run(lambda c: c.history("ann", "room").collect())) == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"user_id": "a,b", "channel": "room"}, "contains ,"),
        ({"user_id": "ann", "channel": "it's"}, "contains '"),
        ({"user_id": "ann", "channel": "room", "channel_type": "group"}, "not one of message, user"),
        ({"user_id": "ann", "channel": "room", "channel_type": "mesage"}, "did you mean 'message'"),
        ({"user_id": "ann", "channel": "room", "page_size": 101}, "1 to 100"),
        ({"user_id": "ann", "channel": "room", "resume": "x"}, "not a resume token"),
    ],
)
def test_invalid_history_parameters_are_refused_before_a_request(settings, said):
    with pytest.raises(errors.InvalidRequest, match=said):
        scripted().run(lambda c: c.history(**settings).collect())


def test_resuming_after_the_last_page_returns_nothing():
    assert scripted().run(lambda c: c.history("ann", "room", resume="").collect()) == []
    assert scripted().run(lambda c: c.legacy_history("1h", source="ann", resume="").collect()) == []


def test_archive_query_is_created_and_polled():
    location = {"result": "success", "location": "~/rtm/message/history/query/MjI=a+b==", "request_id": "r1"}
    waits = {"result": "success", "code": "in progress", "messages": []}
    row = {
        "src": "ann",
        "dst": "room",
        "message_type": "group_message",
        "ms": 1_795_046_400_005,
        "payload": "hi",
        "x": 1,
    }
    ready = {
        "result": "success",
        "code": "ok",
        "request_id": "r2",
        "messages": [row, row | {"message_type": "channel_message"}, row | {"message_type": "peer_message"}],
    }
    harness = scripted(*(json.dumps(body).encode() for body in (location, waits, waits, ready)))

    async def job(client):
        import asyncio

        began = asyncio.get_running_loop().time()
        found = await client.legacy_history("1h", source="ann", destination="room").collect()
        return found, asyncio.get_running_loop().time() - began

    found, seconds = harness.run(job)
    assert [message.to_channel for message in found] == [True, True, False]
    assert found[0].extra == {"x": 1}
    assert 4 <= seconds < 6
    created = harness.transport.requests[0]
    assert json.loads(created.body) == {
        "filter": {
            "source": "ann",
            "destination": "room",
            "start_time": "2026-11-18T23:00:00Z",
            "end_time": "2026-11-19T00:00:00Z",
        },
        "offset": 0,
        "limit": 100,
        "order": "asc",
    }
    assert harness.transport.requests[1].path == "/dev/v2/project/app/rtm/message/history/query/MjI=a%2Bb=="


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_every_message_once_over_archive_pages(order):
    harness = make_harness(polls=2)
    wanted = send_messages(harness, 45)

    async def job(client):
        listing = client.legacy_history("2h", "now", destination="room", order=order, page_size=20)
        pages = [page async for page in listing.pages()]
        rest = await client.legacy_history(
            "2h", "now", destination="room", order=order, page_size=20, resume=pages[0].resume_token
        ).collect()
        return pages, rest, await client.legacy_count("2h", "now", destination="room")

    pages, rest, count = harness.run(job)
    payloads = [message.payload for page in pages for message in page.records]
    assert payloads == (wanted if order == "asc" else wanted[::-1])
    assert [len(page.records) for page in pages] == [20, 20, 5]
    assert (len(rest), count) == (25, 45)


def test_result_that_stays_in_progress_exceeds_the_deadline():
    harness = make_harness(polls=1_000)
    with pytest.raises(errors.DeadlineExceeded, match="still in progress after 120 s"):
        harness.run(lambda c: c.legacy_history("1h", destination="room").collect())
    assert 55 <= harness.requests["signaling/history/result"] <= 61
    with pytest.raises(errors.DeadlineExceeded):
        harness.run(lambda c: c.legacy_count("1h", destination="room"))


@pytest.mark.parametrize("deadline", [9, 300])
def test_deadline_of_a_call_replaces_that_of_the_client_while_a_result_is_polled(deadline):
    async def job(client):
        for call in (
            client.legacy_history("1h", destination="room", deadline=deadline).collect(),
            client.legacy_count("1h", destination="room", deadline=deadline),
        ):
            start = harness.clock.now()
            with pytest.raises(errors.DeadlineExceeded):
                await call
            assert harness.clock.now() - start == pytest.approx(deadline, abs=0.1)

    harness = make_harness(polls=1_000)
    harness.run(job)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "pass source=, destination= or both"),
        ({"source": "a/b"}, "source 'a/b'"),
        ({"destination": "room", "page_size": 30}, "20, 50 or 100"),
        ({"destination": "room", "order": "up"}, "neither asc nor desc"),
        ({"destination": "room", "order": "DESC"}, "did you mean 'desc'"),
        ({"destination": "room", "until": "2h"}, "is not before until"),
    ],
)
def test_invalid_archive_parameters_are_refused_before_a_request(settings, said):
    with pytest.raises(errors.InvalidRequest, match=said):
        scripted().run(lambda c: c.legacy_history("1h", **settings).collect())


def test_invalid_archive_responses_are_decode_errors():
    with pytest.raises(errors.DecodeError, match="location of a result"):
        scripted(b'{"result":"success"}').run(lambda c: c.legacy_history("1h", source="a").collect())
    with pytest.raises(errors.DecodeError, match="a count"):
        scripted(b'{"code":"ok","count":"x"}').run(lambda c: c.legacy_count("1h", source="a"))


def test_cautious_limits_are_sixty_a_second():
    assert {row.requests for row in SIXTY_A_SECOND.values()} == {60, 10}
    assert all("60" in row.source for row in SIXTY_A_SECOND.values())
    assert START
