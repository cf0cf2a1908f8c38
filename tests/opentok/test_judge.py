"""The verdict on every response: codes in both forms, HTTP statuses, bad bodies, data with errors."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics import errors
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry
from agora_analytics.messages import FailureKind, Response, TransportFailure
from agora_analytics.opentok.judge import read_response
from agora_analytics.opentok.spec import ERRORS, SESSION_DATA
from tests.conftest import response
from tests.harness import exchange

ENDPOINT = Endpoint(name=SESSION_DATA, method="POST", path="/graphql")

VERDICTS = {
    1000: (Fail, errors.AuthenticationError),
    1001: (Cause.CREDENTIALS, errors.AuthenticationError),
    1002: (Fail, errors.WindowRefused),
    1003: (Fail, errors.BadRequest),
    1004: (Fail, errors.BadRequest),
    1005: (Fail, errors.BadRequest),
    1006: (Fail, errors.BadRequest),
    1007: (Fail, errors.BadRequest),
    1008: (Fail, errors.BadRequest),
    1009: (Fail, errors.BadRequest),
    1010: (Fail, errors.BadRequest),
    1011: (Cause.CREDENTIALS, errors.AuthenticationError),
    1012: (Cause.TROUBLE, errors.ServerError),
    1013: (Fail, errors.BadRequest),
    1014: (Fail, errors.AccessDenied),
    1015: (Fail, errors.NotFound),
    1016: (Fail, errors.NotFound),
    1017: (Fail, errors.NotFound),
    1018: (Fail, errors.BadRequest),
    1019: (Fail, errors.AuthenticationError),
    1020: (Fail, errors.AuthenticationError),
    1021: (Fail, errors.AccessDenied),
    1022: (Fail, errors.BadRequest),
}


def verdict_on(body, status=200, **headers):
    return read_response(exchange(response(body, status, **headers), ENDPOINT))


def kind_of(verdict):
    return verdict.cause if isinstance(verdict, Retry) else type(verdict)


def test_every_documented_code_has_a_verdict():
    assert set(VERDICTS) == set(ERRORS) == set(range(1000, 1023))


@pytest.mark.parametrize("code", VERDICTS)
@pytest.mark.parametrize("sent_as", [int, str])
@pytest.mark.parametrize("form", ["graphql", "graphql and null", "its own", "its own with 200"])
def test_every_code_in_every_form(code, form, sent_as):
    error = {"message": "what is wrong", "errorCode": sent_as(code)}
    body, status = {
        "graphql": ({"errors": [error]}, 200),
        "graphql and null": ({"errors": [error], "data": {"project": None}}, 200),
        "its own": ({"error": error}, 403),
        "its own with 200": ({"error": error}, 200),
    }[form]
    verdict = verdict_on(body, status, x_request_id="r-1")
    assert kind_of(verdict) == VERDICTS[code][0]
    assert type(verdict.error) is VERDICTS[code][1]
    assert (verdict.error.code, verdict.error.status, verdict.error.request_id) == (code, status, "r-1")
    assert all(
        words in str(verdict.error)
        for words in (str(code), "what is wrong", ERRORS[code].meaning, ERRORS[code].hint)
    )


def test_error_1014_states_both_meanings():
    message = str(verdict_on({"errors": [{"message": "This query requires ...", "errorCode": 1014}]}).error)
    assert "add-on" in message
    assert "too much" in message
    assert "500,000 nodes" in message


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, Fail, errors.BadRequest),
        (401, Cause.CREDENTIALS, errors.AuthenticationError),
        (403, Fail, errors.AccessDenied),
        (404, Fail, errors.NotFound),
        (413, Fail, errors.BadRequest),
        (429, Cause.RATE, errors.RateLimited),
        (500, Cause.TROUBLE, errors.ServerError),
        (502, Cause.TROUBLE, errors.ServerError),
        (504, Cause.TROUBLE, errors.ServerError),
        (200, Cause.UNREADABLE, errors.ServerError),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"{}", b"[1]", b"null", b'{"message": "no"}', b'{"data": {"a']
)
def test_response_without_a_code_is_judged_by_its_status(status, kind, error, body):
    verdict = verdict_on(body, status)
    assert (kind_of(verdict), type(verdict.error)) == (kind, error)
    assert str(status) in str(verdict.error)


@pytest.mark.parametrize(("sent", "seconds"), [("7", 7.0), (formatdate(9), 9.0), ("soon", 30.0), ("", 30.0)])
def test_rate_limit_honours_retry_after(sent, seconds):
    assert verdict_on({"message": "Too Many Requests"}, 429, retry_after=sent).after == seconds


def test_server_error_honours_retry_after():
    assert verdict_on(b"", 503, retry_after="9").after == 9.0
    assert verdict_on(b"", 503).after is None


@pytest.mark.parametrize("code", sorted(set(VERDICTS) - {1012}))
def test_data_with_errors_are_a_good_response(code):
    body = {"data": {"project": {"a": [None, {"b": 0}]}}, "errors": [{"message": "m", "errorCode": code}]}
    verdict = verdict_on(body)
    assert kind_of(verdict) is Done
    assert verdict.result.data == body["data"]
    assert [problem.code for problem in verdict.result.problems] == [code]


def test_partial_server_failure_is_retried_and_kept():
    body = {"data": {"a": 1}, "errors": [{"message": "m"}, {"message": "oh", "errorCode": 1012}]}
    verdict = verdict_on(body)
    assert (kind_of(verdict), type(verdict.error)) == (Cause.TROUBLE, errors.ServerError)
    good, kept = verdict.error.partial
    assert (good.result.data, json.loads(kept.body)) == ({"a": 1}, body)
    assert [problem.code for problem in good.result.problems] == [1012, None]


def test_error_without_code_and_data_is_a_bad_request():
    for body in ({"errors": [{"message": "oh"}], "data": None}, {"errors": ["oh"]}, {"error": "oh"}):
        verdict = verdict_on(body)
        assert (kind_of(verdict), type(verdict.error)) == (Fail, errors.BadRequest)
        assert "oh" in str(verdict.error)


def test_unknown_code_is_reported_unchanged():
    verdict = verdict_on({"errors": [{"message": "new", "errorCode": 1099}]})
    assert (kind_of(verdict), verdict.error.code) == (Fail, 1099)
    assert "1099: new" in str(verdict.error)


def test_long_message_is_shortened():
    assert len(str(verdict_on({"errors": [{"message": "x" * 100_000, "errorCode": 1004}]}).error)) < 700


def test_refused_window_is_retried_if_the_clock_moved():
    refused = response({"errors": [{"message": "m", "errorCode": 1002}]})
    assert kind_of(read_response(exchange(refused, ENDPOINT, clock_shift=60.0))) is Cause.CLOCK


@pytest.mark.parametrize("kind", FailureKind)
def test_transport_failure_is_retried_unless_it_is_permanent(kind):
    verdict = read_response(exchange(TransportFailure(kind, "detail"), ENDPOINT))
    assert isinstance(verdict, Fail if kind.would_come_again else Retry)
    assert isinstance(verdict.error, errors.TransportError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "errors", "error", "errorCode", "message", "path", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40),
    status=st.integers(200, 599),
)
def test_any_response_has_a_verdict(body, status):
    verdict = read_response(exchange(Response(status=status, headers={}, body=body, elapsed=0.0), ENDPOINT))
    assert isinstance(verdict, Done | Retry | Fail)
