"""Answers that were changed on their way, in bytes or in sense: whatever comes out is a value or one of our errors."""

import asyncio
import json
from contextlib import suppress

import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora_analytics import (
    AgoraAnalyticsError,
    AsgiTransport,
    AsyncAgora,
    DecodeError,
    IncompleteListing,
    RetryPolicy,
)
from agora_analytics.agora.operations import LISTS, METRICS, SESSIONS
from agora_analytics.agora.records import Call, Session, read_records
from agora_analytics.core.lenient_json import NotJson, load_object
from agora_analytics.core.lenient_reader import LenientReader
from agora_analytics.core.verdicts import Done, Fail, Retry
from agora_analytics.decode import available, decode_metrics, decode_with
from agora_analytics.messages import Response
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS, Simulator, World
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, ok
from tests.faults.fleet import FAST
from tests.harness import Scripted, exchange

EXAMPLES = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
(CUSTOMER,) = DEMO_CREDENTIALS.items()
QUICK = RetryPolicy(attempts=2, rate_attempts=2, deadline=60)


class Recording(AsgiTransport):
    """Keeps the bodies that pass."""

    def __init__(self, app) -> None:
        super().__init__(app)
        self.bodies: dict[str, bytes] = {}

    async def send(self, request):
        answer = await super().send(request)
        self.bodies[request.path.rsplit("/", 1)[1]] = answer.body
        return answer


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    """One genuine answer of each endpoint."""
    clock = VirtualClock(NOW)
    world = World.generate(since=NOW - 7200, until=NOW - 3600, calls=3, simple=True, interval=30)

    async def job():
        transport = Recording(Simulator(world, now=clock.now).app)
        async with AsyncAgora(
            *CUSTOMER, app_id=DEMO_APP_ID, plan="enterprise", transport=transport, clock=clock
        ) as client:
            call, *_ = await client.calls("4h").collect()
            await client.metrics(call).collect()
        return transport.bodies

    return run_virtual(job(), clock)


def set_somewhere(value, random, new):
    """Return a JSON value with one of its parts replaced or removed."""
    places = []

    def walk(part):
        if isinstance(part, dict):
            places.extend((part, key) for key in part)
        elif isinstance(part, list):
            places.extend((part, i) for i in range(len(part)))
        for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            walk(child)

    walk(value)
    part, key = random.choice(places)
    if new == "remove":
        del part[key]
    else:
        part[key] = new
    return value


ODD = [
    None,
    True,
    -1,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "x" * 3000,
    [],
    {},
    [[]],
    {"code": 1},
    "remove",
]


@st.composite
def mutation(draw):
    random = draw(st.randoms(use_true_random=False))
    kind = draw(st.sampled_from(["flip", "cut", "insert", "double", "sense", "sense", "nest", "as it is"]))

    def mutate(body: bytes) -> bytes:
        at = random.randrange(len(body))
        match kind:
            case "flip":
                changed = bytearray(body)
                changed[at] = random.randrange(256)
                return bytes(changed)
            case "cut":
                return body[:at]
            case "insert":
                return body[:at] + random.randbytes(3) + body[at:]
            case "double":
                return body[:at] + body[at // 2 :]
            case "sense":
                value = json.loads(body)
                for _ in range(random.randrange(1, 4)):
                    value = set_somewhere(value, random, random.choice(ODD))
                    if not value:
                        break
                return json.dumps(value).encode()
            case "nest":
                depth = random.choice([50, 5000, 200_000])
                return body[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"
        return body

    return mutate


@EXAMPLES
@given(
    mutation(), st.sampled_from(["lists", "sessions", "metrics"]), st.sampled_from([200, 200, 200, 404, 503])
)
def test_the_verdict_is_one_of_three(bodies, mutate, name, status):
    answer = Response(status=status, headers={}, body=mutate(bodies[name]))
    operation = {"lists": LISTS, "sessions": SESSIONS, "metrics": METRICS}[name]
    verdict = operation.read(exchange(answer, operation, now=NOW))
    assert isinstance(verdict, Done | Retry | Fail)
    assert isinstance(verdict, Done) or isinstance(verdict.error, AgoraAnalyticsError)


@EXAMPLES
@given(mutation(), st.sampled_from([("lists", "call_lists", Call), ("sessions", "call_info", Session)]))
def test_every_record_is_read_or_named(bodies, mutate, of):
    name, items, kind = of
    try:
        rows = load_object(mutate(bodies[name])).get(items)
    except NotJson:
        return  # the judge's affair
    reader = LenientReader()
    try:
        records = read_records(kind, rows, reader, path="$")
    except DecodeError:
        assert not isinstance(rows, list | None)
        return
    assert all(isinstance(record, kind) for record in records)
    assert len(records) + len(reader.skipped) == len(rows or ())


@EXAMPLES
@given(mutation())
@pytest.mark.slow
def test_every_reader_of_metrics_gives_columns_or_the_same_error(bodies, mutate):
    body = mutate(bodies["metrics"])
    said = []
    for read in (decode_metrics, *(lambda body, name=name: decode_with(name, body) for name in available())):
        try:
            columns = read(body)
            said.append((len(columns), columns.skipped))
        except DecodeError as error:
            said.append(str(error))
    assert len(set(said)) == 1


@pytest.mark.parametrize("total", [2**70, 10**9])
def test_absurd_total_does_not_exhaust_memory(total):
    async def job():
        transport = Scripted(ok(call_lists=[], total_size=total, page_size=100))
        async with AsyncAgora(*CUSTOMER, app_id="a", plan=FAST, transport=transport) as client:
            with pytest.raises(IncompleteListing, match="shorter time range"):
                await client.calls("1h").collect()

    run_virtual(job())


@EXAMPLES
@given(mutation(), st.sampled_from(["lists", "sessions", "metrics"]))
@pytest.mark.slow
def test_a_listing_ends_in_records_or_in_one_of_our_errors(bodies, mutate, name):
    clock = VirtualClock(NOW)
    answer = Response(status=200, headers={}, body=mutate(bodies[name]))

    async def job():
        async with AsyncAgora(
            *CUSTOMER, app_id="a", plan=FAST, transport=Scripted(answer), clock=clock, retry=QUICK
        ) as client:
            listing = {
                "lists": client.calls("1h"),
                "sessions": client.sessions("call", "1h", "now"),
                "metrics": client.metrics("call", "1h", "now", sids=["A"]),
            }[name]
            async with asyncio.timeout(3600):
                async for _ in listing.pages():
                    pass

    with suppress(AgoraAnalyticsError):
        run_virtual(job(), clock)
