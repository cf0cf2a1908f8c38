"""Every code that a document names, in every dress that an error comes in."""

import json

import pytest

from agora_analytics import errors
from agora_analytics.apsaravideo.listing import OPERATION
from agora_analytics.apsaravideo.spec import ERRORS, Meaning
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry
from agora_analytics.messages import FailureKind, Response, TransportFailure
from tests.harness import exchange

PARAMETERS = {"Meter.ParamError", "MissingParameter", "InvalidParameter"}
THROTTLED = {"Throttling", "Throttling.User", "Throttling.Api", "Rejected.Throttling"}
TROUBLE = {
    "InternalError",
    "Meter.DataSourceQueryError",
    "Meter.ReadyTsError",
    "Meter.ServerInternalError",
    "ServiceUnavailable",
}
SIGN_AGAIN = {
    "IllegalTimestamp",
    "InvalidSecurityToken.Expired",
    "InvalidTimeStamp.Expired",
    "SignatureNonceUsed",
}
KEYS = {
    "IncompleteSignature",
    "InvalidAccessKeyId.Inactive",
    "InvalidAccessKeyId.NotFound",
    "InvalidSecurityToken.Malformed",
    "InvalidSecurityToken.MismatchWithAccessKey",
    "MissingSecurityToken",
    "SignatureDoesNotMatch",
}
DENIED = {
    "Forbidden",
    "Forbidden.RAM",
    "IllegalOperation",
    "InvalidIdentity.ServiceDisabled",
    "Meter.AuthError",
    "NoPermission",
}
MISSING = {"InvalidApi.NotFound", "InvalidDomain.NotFound", "InvalidProduct.NotFound"}


def answer(body, status=400, **headers):
    headers = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers=headers, body=body)


def verdict_on(body, status=400, **headers):
    return OPERATION.read(exchange(answer(body, status, **headers), OPERATION))


def as_json(code):
    return {"Code": code, "Message": "why", "RequestId": "r-1", "HostId": "h", "Recommend": "https://x"}


def as_lower_camel(code):
    return {"code": code, "message": "why", "requestId": "r-1"}


def as_xml(code):
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>r-1</RequestId><Code>{code}</Code>"
        "<Message>why</Message></Error>"
    ).encode()


def test_the_table_has_each_code_once():
    groups = (PARAMETERS, THROTTLED, TROUBLE, SIGN_AGAIN, KEYS, DENIED, MISSING)
    assert sum(map(len, groups)) == len(ERRORS)
    assert set().union(*groups) == set(ERRORS)
    assert {row.meaning for row in ERRORS.values()} == set(Meaning)


@pytest.mark.parametrize("dress", [as_json, as_lower_camel, as_xml])
@pytest.mark.parametrize("code", sorted(ERRORS))
def test_verdict_of_each_code(code, dress):
    verdict = verdict_on(dress(code), ERRORS[code].status)
    expected = {
        **dict.fromkeys(PARAMETERS, (Fail, errors.BadRequest, None)),
        **dict.fromkeys(THROTTLED, (Retry, errors.RateLimited, Cause.RATE)),
        **dict.fromkeys(TROUBLE, (Retry, errors.ServerError, Cause.TROUBLE)),
        **dict.fromkeys(SIGN_AGAIN, (Retry, errors.AuthenticationError, Cause.CREDENTIALS)),
        **dict.fromkeys(KEYS, (Fail, errors.AuthenticationError, None)),
        **dict.fromkeys(DENIED, (Fail, errors.AccessDenied, None)),
        **dict.fromkeys(MISSING, (Fail, errors.NotFound, None)),
    }[code]
    assert (type(verdict), type(verdict.error), getattr(verdict, "cause", None)) == expected
    error = verdict.error
    assert (error.code, error.status, error.request_id) == (code, ERRORS[code].status, "r-1")
    assert str(error).startswith(f"{code}: why; {ERRORS[code].hint}")


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "code", ["Throttling", "Throttling.Anything", "ThrottlingException", "Rejected.Throttling"]
)
def test_throttling_is_known_by_its_code_on_any_status(code, status):
    verdict = verdict_on(as_json(code), status)
    assert (verdict.cause, verdict.after) == (Cause.RATE, 1.0)


@pytest.mark.parametrize(("value", "after"), [("250", 0.25), ("61000", 61.0), (" 7 ", 0.007), ("1", 0.001)])
@pytest.mark.parametrize("body", [as_json("InvalidParameter"), b"", b"<html>", {}])
def test_the_header_counts_in_milliseconds_and_is_throttling_by_itself(value, after, body):
    verdict = verdict_on(body, 400, x_acs_retry_after=value)
    assert (verdict.cause, verdict.after) == (Cause.RATE, after)
    assert isinstance(verdict.error, errors.RateLimited)


@pytest.mark.parametrize("value", ["", "0", "-5", "soon", "1.5", "1e3", "٣", "9" * 40])
def test_a_header_that_is_no_number_of_milliseconds_is_none(value):
    assert isinstance(verdict_on(as_json("InvalidParameter"), 400, x_acs_retry_after=value), Fail)
    assert verdict_on(as_json("Throttling"), 400, x_acs_retry_after=value).after == 1.0


def test_429_is_throttling_whatever_its_body_is():
    for body in (b"{}", b"", b"<html>busy</html>", b"[1]"):
        verdict = verdict_on(body, 429)
        assert (verdict.cause, verdict.error.status) == (Cause.RATE, 429)


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (400, errors.BadRequest, False),
        (401, errors.AuthenticationError, False),
        (403, errors.AccessDenied, False),
        (404, errors.NotFound, False),
        (418, errors.BadRequest, False),
        (500, errors.ServerError, True),
        (502, errors.ServerError, True),
        (503, errors.ServerError, True),
        (599, errors.ServerError, True),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"<html><h1>502 Bad Gateway</h1></html>", b"", b"\xff\xfe", b"[" * 20_000, as_json("What.IsThis")],
)
def test_unreadable_response_keeps_its_status(status, kind, again, body):
    verdict = verdict_on(body, status, content_type="text/html; charset=utf-8")
    assert (type(verdict), type(verdict.error)) == (Retry if again else Fail, kind)
    assert verdict.error.status == status
    if isinstance(body, bytes):
        assert f"HTTP {status}: " in str(verdict.error)
        assert ("a text/html page instead of JSON" if body else "no body") in str(verdict.error)


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"[]", b"7", b'{"Nodes": [', b"null"])
def test_success_status_without_a_body_is_a_failure(body):
    verdict = verdict_on(body, 200, content_type="text/html")
    assert isinstance(verdict, Retry)
    assert verdict.error.status == 200
    assert "HTTP 200, but the body (text/html) is not a response of this API" in str(verdict.error)


@pytest.mark.parametrize("code", [None, "", "200", "OK", "Success", 200])
def test_a_good_answer_is_done(code):
    assert isinstance(verdict_on({"Nodes": [], "Code": code}, 200), Done)


def test_an_error_under_a_good_status_is_an_error():
    verdict = verdict_on(as_json("Meter.AuthError"), 200)
    assert isinstance(verdict.error, errors.AccessDenied)


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Error><Code>&b;</Code></Error>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><Error><Code>&f;</Code></Error>',
    ],
)
def test_no_entity_of_xml_is_expanded(body):
    error = verdict_on(body, 400, content_type="text/xml;charset=utf-8").error
    assert error.code in ("&b;", "&f;")
    assert len(str(error)) < 200


def test_a_page_that_only_names_a_code_is_no_error_document():
    assert verdict_on(b"<html><Code>Throttling</Code></html>", 400).error.code is None


def test_a_long_message_is_cut():
    verdict = verdict_on({"Code": "InternalError", "Message": "x" * 100_000}, 500)
    assert len(str(verdict.error)) < 700


def test_code_of_another_type_is_ignored():
    for code in ({"a": 1}, [1], 1.5, True):
        assert verdict_on({"Code": code, "Message": ["m"], "RequestId": {}}, 400).error.status == 400


@pytest.mark.parametrize("kind", list(FailureKind))
def test_transient_network_failure_is_retried(kind):
    verdict = OPERATION.read(exchange(TransportFailure(kind, "why"), OPERATION))
    assert isinstance(verdict, Fail if kind.would_come_again else Retry)
    assert verdict.error.kind is kind
