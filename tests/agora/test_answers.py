"""What the answers of endpoints 4 to 14 become: golden ones, poor ones, odd ones, and every documented refusal."""

import json
from contextlib import suppress
from copy import deepcopy
from importlib.util import find_spec

import pytest

from agora_analytics import errors
from agora_analytics.agora.endpoints import ENDPOINTS
from agora_analytics.engine.request_loop import RetryPolicy
from tests.agora.questions import QUESTIONS, asking, name_of, rows_in
from tests.conftest import Scripted, ok, response

PREFIX = "Service package limit check error, "
NO_AUTH = "you have no auth to access this service, please buy or upgrade your service package"
REFUSALS = [
    ({"code": 300, "message": PREFIX + "qps limit error"}, 200, errors.RateLimited),
    ({"code": 300, "message": PREFIX + "qpm limit error"}, 200, errors.RateLimited),
    ({"code": 300, "message": PREFIX + "qpd limit error"}, 200, errors.QuotaExhausted),
    ({"code": 300, "message": PREFIX + "query latency limit error"}, 200, errors.WindowRefused),
    ({"code": 300, "message": PREFIX + "query time range limit error"}, 200, errors.WindowRefused),
    ({"code": 300, "message": PREFIX + "query time length limit error"}, 200, errors.WindowRefused),
    ({"code": 300, "message": PREFIX + "query duration limit error"}, 200, errors.WindowRefused),
    ({"code": 300, "message": PREFIX + NO_AUTH}, 200, errors.AccessDenied),
    ({"code": 400, "message": "Invalid parameters"}, 200, errors.BadRequest),
    ({"code": 401, "message": "Unauthorized"}, 200, errors.AuthenticationError),
    ({"code": 403, "message": "Forbidden"}, 200, errors.AccessDenied),
    ({"code": 404, "message": "Wrong API invoked"}, 200, errors.NotFound),
    ({"code": 500, "message": "Unknown Error"}, 200, errors.ServerError),
    ({"message": "Invalid authentication credentials"}, 401, errors.AuthenticationError),
    ({"message": "no Route matched with those values"}, 404, errors.NotFound),
    ({"message": "API rate limit exceeded"}, 429, errors.RateLimited),
]
ONCE = RetryPolicy(attempts=1, rate_attempts=1)

every_question = pytest.mark.parametrize("question", QUESTIONS, ids=name_of)


def test_there_is_a_question_for_each_endpoint():
    assert [question.endpoint for question in QUESTIONS] == list(ENDPOINTS)[3:]


@every_question
def test_a_golden_answer_is_decoded_without_loss(question):
    transport = Scripted(ok(data=question.data))
    rows = asking(transport, question.ask)
    assert list(rows) == question.expected
    assert not any(row.extra for row in rows)
    endpoint = ENDPOINTS[question.endpoint]
    (request,) = transport.requests
    assert (request.method, request.path) == (endpoint.method, endpoint.path)
    sent = dict(request.query) | (json.loads(request.body) if request.body else {})
    assert set(sent) <= set(endpoint.params)
    assert sent["appid"] == "app"


@every_question
@pytest.mark.parametrize("huge", [10**30, -(10**30), 1e308])
def test_numbers_that_nothing_can_hold_are_decode_errors(question, huge):
    def ask(data):
        rows = asking(Scripted(ok(data=data)), question.ask)
        assert all(row.at for row in rows if hasattr(row, "at"))
        if find_spec("pyarrow"):
            rows.to_arrow()

    for name in {name for row in rows_in(question.data) for name in row}:
        data = deepcopy(question.data)
        whole = isinstance(rows_in(data)[0][name], int)
        rows_in(data)[0][name] = huge
        may_be_float = name in {"value", "userCount", "refUsage"}
        if whole and name != "uid" and (isinstance(huge, int) or not may_be_float):
            with pytest.raises(errors.DecodeError):
                ask(data)
        else:  # a name, or a value, that may be so large; or a DecodeError
            with suppress(errors.DecodeError):
                ask(data)


@every_question
def test_the_meta_has_the_request_id_wherever_it_comes_from(question):
    header = Scripted(response({"code": 0, "message": None, "data": question.data}, x_request_id="h1"))
    assert [meta.request_id for meta in asking(header, question.ask).meta] == ["h1"]
    body = Scripted(ok(data=question.data, requestId="b1"))
    assert [meta.request_id for meta in asking(body, question.ask).meta] == ["b1"]


@every_question
def test_unknown_fields_are_kept_and_optional_ones_may_be_missing(question):
    data = deepcopy(question.data)
    for row in rows_in(data):
        for field in question.optional:
            row.pop(field)
        row["newField"] = {"a": [1]}
    rows = asking(Scripted(ok(data=data, newTopField=1)), question.ask)
    assert len(rows) == len(question.expected)
    if (
        question.endpoint != "realtime/quality/by_time_20sec"
    ):  # there the unknown field is of the user, not of a row
        assert all(row.extra == {"newField": {"a": [1]}} for row in rows)


@every_question
def test_a_required_field_that_is_missing_is_an_error_with_its_path(question):
    for field in question.required:
        data = deepcopy(question.data)
        rows_in(data)[0].pop(field)
        with pytest.raises(errors.DecodeError) as caught:
            asking(Scripted(response({"code": 200, "data": data}, x_request_id="r1")), question.ask)
        assert f"[0].{field}" in caught.value.path
        assert (caught.value.endpoint, caught.value.request_id) == (question.endpoint, "r1")


@every_question
@pytest.mark.parametrize("data", [None, 5, "rows", [1], {"list": None}, {"list": [[]]}, [{"ts": "x"}]])
def test_data_of_another_shape_is_a_decode_error(question, data):
    with pytest.raises(errors.DecodeError):
        asking(Scripted(ok(data=data)), question.ask)


@every_question
def test_no_rows_are_no_rows(question):
    rows = asking(Scripted(ok(data={"list": []} if isinstance(question.data, dict) else [])), question.ask)
    assert (len(rows), list(rows), len(rows.meta)) == (0, [], 1)


@every_question
@pytest.mark.parametrize(("body", "status", "error"), REFUSALS)
def test_every_documented_refusal_is_its_own_error(question, body, status, error):
    transport = Scripted(response(body, status, x_request_id="r1"))
    with pytest.raises(error) as caught:
        asking(transport, question.ask, retry=ONCE)
    assert caught.value.endpoint == question.endpoint
    assert caught.value.request_id == "r1"
    assert body["message"] in str(caught.value)
    assert len(transport.requests) == 1


@every_question
def test_rows_become_an_arrow_table(question):
    pytest.importorskip("pyarrow")
    table = asking(Scripted(ok(data=question.data)), question.ask).to_arrow()
    assert table.num_rows == len(question.expected)
    for name in table.column_names:
        if name in {"ts", "since", "until", "window_start_ts", "window_end_ts"}:
            assert str(table.schema.field(name).type) == "timestamp[s, tz=UTC]"
    empty = asking(Scripted(ok(data={"list": []} if isinstance(question.data, dict) else [])), question.ask)
    assert empty.to_arrow().schema == table.schema


@pytest.mark.parametrize("question", QUESTIONS[3:], ids=name_of)
def test_a_plan_without_the_endpoint_says_which_plans_have_it(question):
    transport = Scripted(ok(data=[]))
    with pytest.raises(
        errors.InvalidRequest, match=r"the standard plan does not include .* premium or enterprise"
    ):
        asking(transport, question.ask, plan="standard")
    assert transport.requests == []


@every_question
def test_without_checks_everything_is_sent_as_it_is(question):
    transport = Scripted(ok(data=question.data))
    asking(transport, lambda client: question.ask(client, validate=False))
    asking(transport, question.ask, validate=False)
    assert len(transport.requests) == 2
