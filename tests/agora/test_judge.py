"""The verdict on a response, for every row of the vendor's table "Status codes"."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics import errors
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry
from agora_analytics.messages import FailureKind, Response, TransportFailure
from tests.conftest import NOW, endpoint, response
from tests.harness import exchange

PREFIX = "Service package limit check error, "
MIDNIGHT = 1_795_132_800.0  # 2026-11-20 00:00 UTC
HTML = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"


def verdict_on(outcome, now=NOW, of=LISTS):
    return read_response(exchange(outcome, of, now=now), open_body=open_fields)


def limit(message, **more):
    return response({"code": 300, "message": PREFIX + message, "requestId": "abc", **more})


@pytest.mark.parametrize("code", [200, 0])
@pytest.mark.parametrize("message", ["", "success", "Success request: 12", "null", None, 7])
def test_body_code_200_or_0_is_success(code, message):
    good = response({"code": code, "message": message, "call_lists": []})
    assert verdict_on(good) == Done(json.loads(good.body))


@pytest.mark.parametrize(
    ("message", "now", "after"),
    [
        ("qps limit error", NOW + 0.25, 0.75),
        ("qpm limit error", NOW + 20, 40.0),
    ],
)
def test_rate_limit_is_retried_in_the_next_window(message, now, after):
    verdict = verdict_on(limit(message), now)
    assert isinstance(verdict, Retry)
    assert isinstance(verdict.error, errors.RateLimited)
    assert (verdict.cause, verdict.after, verdict.other_host) == (Cause.RATE, pytest.approx(after), False)


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (response({"code": 400, "message": "Invalid parameters"}), "check the arguments"),
        (response({"code": 404, "message": "Wrong API invoked"}), "check the call id and the base URL"),
        (response({"message": "Bad Request"}, status=400), "check the arguments"),
        (response({"message": "no Route matched"}, status=404), "check the base URL"),
        (response({"message": "Forbidden"}, status=403), "the account has no access to this endpoint"),
        (limit("another limit error"), "check the plan's limits and features"),
    ],
)
def test_refusal_advises_what_to_check(refusal, advice):
    verdict = verdict_on(refusal)
    assert isinstance(verdict, Fail)
    assert str(verdict.error).partition("; ")[2].startswith(advice)


def test_exhausted_quota_closes_the_endpoint_until_midnight():
    verdict = verdict_on(limit("qpd limit error"))
    assert isinstance(verdict, Fail)
    assert isinstance(verdict.error, errors.QuotaExhausted)
    assert verdict.closed_until == verdict.error.retry_at == MIDNIGHT
    assert "2026-11-20 00:00:00Z" in str(verdict.error)
    assert verdict.error.request_id == "abc"


@pytest.mark.parametrize("late", [0.0, 1.0, 4.9])
def test_exhausted_quota_just_after_midnight_is_retried(late):
    verdict = verdict_on(limit("qpd limit error"), MIDNIGHT + late)
    assert isinstance(verdict, Retry)
    assert verdict.cause is Cause.RATE
    assert verdict.after


@pytest.mark.parametrize("now", [MIDNIGHT - 0.001, MIDNIGHT + 5.1])
def test_exhausted_quota_away_from_midnight_is_of_this_day(now):
    assert isinstance(verdict_on(limit("qpd limit error"), now), Fail)


def test_range_that_is_too_recent_is_retried_later():
    verdict = verdict_on(limit("query latency limit error"))
    assert isinstance(verdict, Retry)
    assert (verdict.cause, type(verdict.error)) == (Cause.RECENT, errors.WindowRefused)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("query time range limit error", errors.WindowRefused),
        ("query time length limit error", errors.WindowRefused),
        ("query duration limit error", errors.WindowRefused),
        (
            "you have no auth to access this service, please buy or upgrade your service package",
            errors.AccessDenied,
        ),
        ("a limit that nobody knows", errors.APIError),
    ],
)
def test_permanent_refusals_are_not_retried(message, error):
    verdict = verdict_on(limit(message))
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is error
    assert message in str(verdict.error)
    assert (verdict.error.code, verdict.error.status, verdict.closed_until) == (300, 200, None)


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_body_code_takes_precedence_over_status(status):
    body = json.dumps({"code": 300, "message": PREFIX + "query time length limit error"}).encode()
    verdict = verdict_on(response(body, status))
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is errors.WindowRefused


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, errors.BadRequest),
        (401, errors.AuthenticationError),
        (403, errors.AccessDenied),
        (404, errors.NotFound),
    ],
)
def test_client_error_codes_fail_under_any_status(status, code, error):
    verdict = verdict_on(response({"code": code, "message": "no"}, status))
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is error


@pytest.mark.parametrize("code", [500, 418, -1, "OOPS"])
def test_unknown_body_code_is_a_server_error(code):
    verdict = verdict_on(response({"code": code, "message": "Unknown Error"}))
    assert isinstance(verdict, Retry)
    assert (type(verdict.error), verdict.cause) == (errors.ServerError, Cause.TROUBLE)
    assert str(code) in str(verdict.error)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (401, "Invalid authentication credentials", errors.AuthenticationError),
        (403, "Forbidden", errors.AccessDenied),
        (404, "no Route matched with those values", errors.NotFound),
        (400, "Bad request", errors.BadRequest),
    ],
)
def test_gateway_refusals_are_not_retried(status, message, error):
    verdict = verdict_on(response({"message": message}, status, x_request_id="gate-1"))
    assert isinstance(verdict, Fail)
    assert (type(verdict.error), verdict.error.request_id) == (error, "gate-1")
    assert message in str(verdict.error)


def test_gateway_429_is_a_rate_limit():
    verdict = verdict_on(response({"message": "API rate limit exceeded"}, 429))
    assert isinstance(verdict, Retry)
    assert (verdict.cause, verdict.after, verdict.other_host) == (Cause.RATE, None, False)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date(status, header, after):
    assert verdict_on(response(b"{}", status, retry_after=header)).after == after


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [HTML, b"", b'{"message":"An unexpected error occurred"}'])
def test_gateway_errors_are_retried_at_another_host(status, body):
    verdict = verdict_on(response(body, status, content_type="text/html"))
    assert isinstance(verdict, Retry)
    assert (type(verdict.error), verdict.other_host) == (errors.ServerError, True)
    assert f"HTTP {status}" in str(verdict.error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        b'{"code":200,"call_lis',
        b'{"code":200,,"',
        b"[1, 2]",
        b"null",
        b'"text"',
        b'{"message":"\xff"}',
        b'{"data":' + b"[" * 100_000,
        b'{"code":1e999}',
        b"{}",
        b'{"message":"hello"}',
    ],
)
def test_unreadable_body_with_status_200_is_retried(body):
    verdict = verdict_on(response(body))
    assert isinstance(verdict, Retry)
    assert (type(verdict.error), verdict.cause) == (errors.ServerError, Cause.TROUBLE)


@pytest.mark.parametrize("code", ["200", "0", 200.0])
def test_a_code_may_be_text(code):
    good = response({"code": code, "call_lists": []})
    assert verdict_on(good) == Done(json.loads(good.body))
    assert isinstance(verdict_on(response({"code": "300", "message": PREFIX + "qpd limit error"})), Fail)
    error = verdict_on(response({"code": "400"})).error
    assert (type(error), error.code) == (errors.BadRequest, 400)


@pytest.mark.parametrize(("headers", "after"), [({}, None), ({"retry_after": "7"}, 7.0)])
def test_body_code_429_is_a_rate_limit(headers, after):
    verdict = verdict_on(response({"code": 429, "message": "too fast"}, **headers))
    assert (type(verdict.error), verdict.cause, verdict.after) == (errors.RateLimited, Cause.RATE, after)


@pytest.mark.parametrize("code", [False, True, None, [], {}, "OK", "200.5", 200.5])
def test_only_the_numbers_mean_success(code):
    assert isinstance(verdict_on(response({"code": code})), Retry)


def test_success_code_with_an_error_status_is_an_error():
    assert isinstance(verdict_on(response({"code": 200}, 503)), Retry)
    assert isinstance(verdict_on(response({"code": 0}, 404)), Fail)


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        ({"requestId": "body"}, {"x_request_id": "header"}, "body"),
        ({"requestId": None}, {"x_request_id": "header"}, "header"),
        ({"requestId": 7}, {"x_request_id": "header"}, "header"),
        ({}, {}, None),
    ],
)
def test_request_id_is_from_the_body_or_the_header(body, headers, found):
    assert verdict_on(response({"code": 400, **body}, **headers)).error.request_id == found


@pytest.mark.parametrize("kind", FailureKind)
def test_transport_failures_are_retried_unless_the_response_is_too_large(kind):
    verdict = verdict_on(TransportFailure(kind, "why"))
    assert isinstance(verdict.error, errors.TransportError)
    assert verdict.error.kind is kind
    assert isinstance(verdict, Fail if kind in {FailureKind.TOO_LARGE, FailureKind.REDIRECT} else Retry)


@pytest.mark.parametrize("kind", FailureKind)
def test_unreplayable_request_is_retried_only_if_it_was_never_sent(kind):
    verdict = verdict_on(TransportFailure(kind), of=endpoint(replayable=False))
    assert isinstance(verdict, Retry) == kind.never_left


@pytest.mark.parametrize("body", [b"", HTML, b'{"code":500}', b'{"message":"x"}', b'{"code":200,'])
@pytest.mark.parametrize("status", [200, 500, 503])
def test_server_error_of_unreplayable_request_is_not_retried(body, status):
    assert isinstance(verdict_on(response(body, status), of=endpoint(replayable=False)), Fail)


def test_rate_limited_unreplayable_request_is_retried():
    assert isinstance(verdict_on(limit("qps limit error"), of=endpoint(replayable=False)), Retry)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "code": JSON | st.sampled_from([0, 200, 300, 400, 401, 403, 404, 500]),
        "message": JSON | st.sampled_from([PREFIX + kind for kind in ("qps limit", "qpm limit", "qpd limit", "query time")]),
        "requestId": JSON,
    },
)  # fmt: skip


@given(
    body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | ENVELOPES.map(lambda e: json.dumps(e).encode()),
    status=st.integers(100, 599),
    headers=st.dictionaries(st.sampled_from(["retry-after", "x-request-id", "content-type"]), st.text()),
    now=st.floats(0, 4e9),
)  # fmt: skip
def test_any_response_has_a_verdict(body, status, headers, now):
    verdict = verdict_on(Response(status=status, headers=headers, body=body), now)
    assert isinstance(verdict, Done | Retry | Fail)
    if isinstance(verdict, Retry):
        assert verdict.after is None or 0 <= verdict.after < float("inf")
    if not isinstance(verdict, Done):
        assert str(verdict.error)
