"""The readers of Signaling: one attempt in, one verdict out."""

import pytest

from agora_analytics import Response, TransportFailure, errors
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry
from agora_analytics.messages import FailureKind
from agora_analytics.signaling import EventsUnreadable, UserEvent
from agora_analytics.signaling.operations import HISTORY, PEER_MESSAGES, USER_EVENTS
from tests.harness import exchange

NEVER_REPEATED = [PEER_MESSAGES, USER_EVENTS]


def verdict(operation, outcome, status=200):
    if isinstance(outcome, bytes):
        outcome = Response(status=status, headers={}, body=outcome)
    return operation.read(exchange(outcome, operation))


def test_a_good_response_is_decoded_with_its_request_id():
    assert verdict(PEER_MESSAGES, b'{"code":"message_sent","request_id":"r1"}') == Done("message_sent", "r1")
    events = verdict(
        USER_EVENTS, b'{"events":[{"user_id":"ann","type":"Login","ms":1795046400001},{}]}'
    ).result
    assert events.events == [UserEvent(user_id="ann", type="Login", ms=1_795_046_400_001)]
    assert events.unreadable == [{}]


@pytest.mark.parametrize("operation", NEVER_REPEATED, ids=lambda operation: operation.name)
@pytest.mark.parametrize("kind", FailureKind)
def test_a_request_without_a_response_is_repeated_only_if_it_never_left(operation, kind):
    decided = verdict(operation, TransportFailure(kind))
    assert isinstance(decided, Retry) == kind.never_left
    assert ("may" in decided.error.message) == (not kind.never_left)


@pytest.mark.parametrize("operation", NEVER_REPEATED, ids=lambda operation: operation.name)
def test_a_server_error_is_not_repeated_but_a_rate_limit_is(operation):
    refused = verdict(operation, b"{}", status=503)
    assert isinstance(refused, Fail)
    assert refused.other_host
    assert "may" in refused.error.message
    limited = verdict(operation, b"{}", status=429)
    assert isinstance(limited, Retry)
    assert limited.cause is Cause.RATE
    assert isinstance(verdict(HISTORY, b"{}", status=503), Retry)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"events":', b'{"events":{"a":1}}'])
def test_an_unreadable_response_of_events_keeps_its_body(body):
    decided = verdict(USER_EVENTS, body)
    assert isinstance(decided, Fail)
    assert isinstance(decided.error, EventsUnreadable)
    assert decided.error.raw == body


def test_an_unreadable_response_is_retried_unless_the_request_had_an_effect():
    assert isinstance(verdict(HISTORY, b"<html>"), Retry)
    decided = verdict(PEER_MESSAGES, b"<html>")
    assert isinstance(decided, Fail)
    assert isinstance(decided.error, errors.DecodeError)


@pytest.mark.parametrize("data", [b"[1]", b'"x"', b"7"])
def test_a_history_whose_data_are_not_an_object_is_a_decode_error(data):
    decided = verdict(HISTORY, b'{"errorCode":200,"requestId":"r1","data":%s}' % data)
    assert isinstance(decided, Fail)
    assert isinstance(decided.error, errors.DecodeError)
    assert decided.error.request_id == "r1"
