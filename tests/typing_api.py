"""The public face as users type it. Not meant to be run: mypy --strict and pyright (strict) must accept it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_type

import duckdb
import httpx

from agora_analytics import (
    ENTERPRISE,
    PLANS,
    AgoraAnalyticsError,
    AsyncAgora,
    Call,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Estimate,
    FailureKind,
    HarvestReport,
    HttpxTransport,
    Limits,
    MemoryLedger,
    Page,
    Pages,
    Plan,
    Quota,
    QuotaExhausted,
    Region,
    Request,
    Response,
    RetryPolicy,
    Series,
    Session,
    SqliteLedger,
    TransportError,
    TransportFailure,
    WindowOutOfReach,
    estimate,
    harvest,
    open_store,
)

if TYPE_CHECKING:
    import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]


class MyTransport:
    async def send(self, request: Request) -> Response:
        if request.method != "GET":
            raise TransportFailure(FailureKind.REFUSED, "not here")
        return Response(status=200, headers={}, body=b"{}")

    async def aclose(self) -> None: ...


class MyClock:
    def now(self) -> float:
        return 0.0


def watch(event: object) -> None:
    print(event)


def construct() -> list[AsyncAgora]:
    return [
        AsyncAgora("id", "secret", app_id="app"),
        AsyncAgora("id", "secret", app_id="app", plan="premium", region="cn"),
        AsyncAgora("id", "secret", app_id="app", plan=ENTERPRISE, region=Region.CN, transport=MyTransport()),
        AsyncAgora("id", "secret", app_id="app", transport=HttpxTransport(), clock=MyClock(), observer=watch),
        AsyncAgora("id", "secret", app_id="app", http_client=httpx.AsyncClient(), ledger=MemoryLedger()),
        AsyncAgora(
            "id", "secret", app_id="app", retry=RetryPolicy(deadline=None), ledger=SqliteLedger("day.db")
        ),
        AsyncAgora.from_env(),
        AsyncAgora.from_env({"AGORA_APP_ID": "app"}, plan=PLANS["standard"]),
    ]


def own_plan() -> Plan:
    rows = Limits(requests=20, per_day=50_000, reach=86_400, span=3_600, delay=20)
    return Plan(name="contract", limits={"call/lists": rows})


async def use() -> None:
    async with AsyncAgora.from_env() as client:
        assert_type(client, AsyncAgora)

        calls = client.calls("6h", "now", cname="room")
        assert_type(calls, Pages[Call])
        async for call in calls:
            assert_type(call, Call)
            assert_type(call.call_acu, int | None)
            async for session in client.sessions(call, uids=["1", 2], exclude_server_user=False):
                assert_type(session, Session)
                assert_type(session.roles, tuple[str, ...])
            async for series in client.metrics(call, sids=["S1"]):
                assert_type(series, Series)
                assert_type(series.mid, int)

        token = ""
        async for page in client.calls("6h").pages():
            assert_type(page, Page[Call])
            assert_type(page.records, Sequence[Call])
            assert_type(page.meta.request_id, str | None)
            token = page.resume_token
        assert_type(await client.calls("6h", resume=token).collect(), list[Call])
        assert_type(
            await client.sessions("call id", 0, 60, deadline=5, max_wait=0.5).collect(), list[Session]
        )
        await client.calls("6h", max_wait="0.5").collect()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert_type(await client.metrics("call id", 0, 60, sids=[]).collect(), list[Series])
        table: pa.Table = await client.calls("1d").to_arrow()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        del table

        assert_type(await client.quota(), list[Quota])


async def harvesting(client: AsyncAgora) -> None:
    cost = await estimate(client, since="1d", store="folder")
    assert_type(cost, Estimate)
    store = open_store("folder")
    report = await harvest(client, since="1d", store=store)
    assert_type(report, HarvestReport)
    assert_type(await harvest(client, since="1d", store=store.writer), HarvestReport)
    assert_type(store.sql("select 1"), duckdb.DuckDBPyRelation)
    assert_type(report.retry_at, float | None)


async def failing(client: AsyncAgora) -> None:
    try:
        await client.calls("1d").collect()
    except WindowOutOfReach as error:
        assert_type(error.legal, tuple[int, int])
    except QuotaExhausted as error:
        assert_type(error.retry_at, float)
    except DeadlineExceeded as error:
        assert_type(error.kind, FailureKind | None)
    except TransportError as error:
        assert_type(error.kind, FailureKind | None)
    except DecodeError as error:
        assert_type(error.path, str)
    except (ConfigurationError, AgoraAnalyticsError) as error:
        assert_type(error.request_id, str | None)
