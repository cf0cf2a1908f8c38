"""What the answers of endpoints 4 to 14 become: golden ones, poor ones, odd ones, and every documented refusal."""

import json
from copy import deepcopy
from importlib.util import find_spec

import pytest

from agora_analytics import errors
from agora_analytics.agora.query_operations import OPERATIONS
from agora_analytics.engine.retry_policy import RetryPolicy
from tests.agora.cases import CASES, name_of, rows_in
from tests.agora.harness import scripted
from tests.agora.reference import parameters_of
from tests.conftest import ok, response

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

every_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def test_every_query_endpoint_has_a_case():
    assert [case.endpoint for case in CASES] == list(OPERATIONS)[3:]


@every_case
def test_documented_response_is_decoded_without_loss(case):
    harness = scripted(ok(data=case.data))
    rows = harness.run(case.ask)
    assert list(rows) == case.expected
    assert not any(row.extra for row in rows)
    operation = OPERATIONS[case.endpoint]
    (request,) = harness.transport.requests
    assert (request.method, request.path) == (operation.method, operation.path)
    sent = dict(request.query) | (json.loads(request.body) if request.body else {})
    assert set(sent) <= parameters_of(case.endpoint)
    assert sent["appid"] == "app"


@every_case
@pytest.mark.parametrize("huge", [10**30, -(10**30), 10**400, 1e308])
def test_numbers_out_of_range_cost_at_most_their_row(case, huge):
    names = [name for name, value in rows_in(case.data)[0].items() if isinstance(value, int)]
    for name in set(names) - {"uid"}:
        data = deepcopy(case.data)
        rows_in(data)[0][name] = huge
        rows = scripted(ok(data=data)).run(case.ask)
        assert len(rows) + len(rows.skipped) == len(case.expected)
        assert all(row.at for row in rows if hasattr(row, "at"))
        if huge != 1e308 and rows and not rows.skipped:
            assert {name: huge} in [row.extra for row in rows]
        if find_spec("pyarrow"):
            rows.to_arrow()


@every_case
def test_meta_has_request_id_from_body_or_header(case):
    harness = scripted(response({"code": 0, "message": None, "data": case.data}, x_request_id="h1"))
    assert [meta.request_id for meta in harness.run(case.ask).meta] == ["h1"]
    harness = scripted(ok(data=case.data, requestId="b1"))
    assert [meta.request_id for meta in harness.run(case.ask).meta] == ["b1"]


@every_case
def test_unknown_fields_are_kept_and_optional_ones_may_be_missing(case):
    data = deepcopy(case.data)
    for row in rows_in(data):
        for field in case.optional:
            row.pop(field)
        row["newField"] = {"a": [1]}
    rows = scripted(ok(data=data, newTopField=1)).run(case.ask)
    assert len(rows) == len(case.expected)
    if (
        case.endpoint != "realtime/quality/by_time_20sec"
    ):  # there the unknown field is of the user, not of a row
        assert all(row.extra == {"newField": {"a": [1]}} for row in rows)


@every_case
def test_row_without_a_required_field_is_skipped_and_named(case):
    for field in case.required:
        data = deepcopy(case.data)
        rows_in(data)[0].pop(field)
        rows = scripted(ok(data=data)).run(case.ask)
        if field == "values":  # a list that is missing is empty
            assert (len(rows), rows.skipped) == (len(case.expected) - 1, ())
            continue
        assert len(rows) == len(case.expected) - 1
        assert [each.reason.partition(";")[0] for each in rows.skipped] == [f"{field} is missing"]
        assert rows.skipped[0].path == ("$.data.list[0]" if isinstance(case.data, dict) else "$.data[0]")


@every_case
@pytest.mark.parametrize("data", [5, "rows"])
def test_data_of_another_shape_is_a_decode_error(case, data):
    for shape in [data, {"list": data}] if isinstance(case.data, dict) else [data, {}]:
        with pytest.raises(errors.DecodeError) as caught:
            scripted(response({"code": 200, "data": shape}, x_request_id="r1")).run(case.ask)
        assert caught.value.path in ("$.data", "$.data.list")
        assert (caught.value.endpoint, caught.value.request_id) == (case.endpoint, "r1")


@every_case
@pytest.mark.parametrize("row", [1, None, [], "row", {}, {"ts": "x"}])
def test_row_of_another_shape_is_skipped_and_named(case, row):
    data = [row, *rows_in(case.data)]
    rows = scripted(ok(data={"list": data} if isinstance(case.data, dict) else data)).run(case.ask)
    assert list(rows) == case.expected
    assert [each.path.rpartition("[")[2] for each in rows.skipped] == ["0]"]


@every_case
@pytest.mark.parametrize("body", [{"data": None}, {}, {"data": {"list": None}}, {"data": {}}])
def test_null_and_missing_lists_are_empty(case, body):
    if isinstance(body.get("data"), dict) and not isinstance(case.data, dict):
        return
    rows = scripted(ok(**body)).run(case.ask)
    assert (len(rows), rows.skipped) == (0, ())


@every_case
def test_empty_response_gives_no_rows(case):
    rows = scripted(ok(data={"list": []} if isinstance(case.data, dict) else [])).run(case.ask)
    assert (len(rows), list(rows), len(rows.meta)) == (0, [], 1)


@every_case
@pytest.mark.parametrize(("body", "status", "error"), REFUSALS)
def test_every_documented_error_code_is_a_typed_error(case, body, status, error):
    harness = scripted(response(body, status, x_request_id="r1"))
    with pytest.raises(error) as caught:
        harness.run(case.ask, retry=ONCE)
    assert caught.value.endpoint == case.endpoint
    assert caught.value.request_id == "r1"
    assert body["message"] in str(caught.value)
    assert len(harness.transport.requests) == 1


@every_case
def test_rows_become_an_arrow_table(case):
    pytest.importorskip("pyarrow")
    table = scripted(ok(data=case.data)).run(case.ask).to_arrow()
    assert table.num_rows == len(case.expected)
    for name in table.column_names:
        if name in {"ts", "since", "until", "window_start_ts", "window_end_ts"}:
            assert str(table.schema.field(name).type) == "timestamp[s, tz=UTC]"
    empty = scripted(ok(data={"list": []} if isinstance(case.data, dict) else [])).run(case.ask)
    assert empty.to_arrow().schema == table.schema


@pytest.mark.parametrize("case", CASES[3:], ids=name_of)
def test_plan_without_endpoint_names_the_plans_that_have_it(case):
    harness = scripted(ok(data=[]))
    with pytest.raises(
        errors.InvalidRequest, match=r"the standard plan does not include .* premium or enterprise"
    ):
        harness.run(case.ask, plan="standard")
    assert harness.transport.requests == []


@every_case
def test_validate_false_sends_everything(case):
    harness = scripted(ok(data=case.data))
    harness.run(lambda client: case.ask(client, validate=False))
    harness.run(case.ask, validate=False)
    assert len(harness.transport.requests) == 2
