"""The public face as users type it. Not meant to be run: mypy --strict and pyright (strict) must accept it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_type

import duckdb
import httpx

from agora_analytics import (
    ENTERPRISE,
    PLANS,
    AccountEvent,
    AccountReport,
    AgoraAnalyticsError,
    AsyncAgora,
    Budget,
    Call,
    Clock,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Estimate,
    Event,
    FailureKind,
    Grant,
    HarvestEvent,
    HarvestReport,
    HostSwitched,
    HttpxTransport,
    Ledger,
    Limits,
    MemoryLedger,
    Pace,
    Page,
    Pages,
    Plan,
    Quota,
    QuotaExhausted,
    Records,
    Region,
    Request,
    Response,
    RetryPolicy,
    Series,
    Session,
    SharedResources,
    SqliteLedger,
    SystemClock,
    TooEarly,
    Transport,
    TransportError,
    TransportFailure,
    WindowOutOfReach,
    estimate,
    harvest,
    harvest_account,
    harvest_accounts,
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
        assert_type(await client.calls("6h", resume=token).collect(), Records[Call])
        assert_type(
            await client.sessions("call id", 0, 60, deadline=5, max_wait=0.5).collect(), Records[Session]
        )
        await client.calls("6h", max_wait="0.5").collect()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert_type(await client.metrics("call id", 0, 60, sids=[]).collect(), Records[Series])
        table: pa.Table = await client.calls("1d").to_arrow()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        del table

        assert_type(await client.quota(), Records[Quota])


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


class OwnLedger(MemoryLedger):
    """A ledger of a user, which needs the types of the interface."""

    async def reserve(
        self,
        budget: Budget,
        *,
        now: float,
        server_now: float,
        pace: Pace,
        per_day: int,
        waiting: int = 1,  # noqa: ARG002
    ) -> Grant | TooEarly | None:
        if budget.group == "call/metrics":
            return TooEarly(now + pace.gap)
        return await super().reserve(budget, now=now, server_now=server_now, pace=pace, per_day=per_day)


def on_event(event: Event) -> None:
    if isinstance(event, HostSwitched):
        assert_type(event.new, str)
    print(event)


def on_harvest_event(event: HarvestEvent) -> None:
    print(event)


async def options_of_ones_own() -> None:
    transport: Transport = HttpxTransport()
    ledger: Ledger = OwnLedger()
    clock: Clock = SystemClock()
    client = AsyncAgora(
        "i", "s", app_id="a", observer=on_event, transport=transport, ledger=ledger, clock=clock
    )
    await harvest(client, since="1d", store="calls.store", observer=on_harvest_event)


def on_account_event(account: str, event: AccountEvent) -> None:
    if isinstance(event, AccountReport):
        print(account, event.complete)


async def many_accounts() -> None:
    reports = await harvest_accounts(["acme"], "agora-analytics.toml", since="2d", observer=on_account_event)
    assert_type(reports, dict[str, AccountReport])
    async with SharedResources.open(connections=256) as shared:
        report = await harvest_account("acme", store="calls.store", ledger=MemoryLedger(), resources=shared)
        assert_type(report.report, HarvestReport | None)
        assert_type(report.error, Exception | None)
        AsyncAgora.from_config("acme", resources=shared)
