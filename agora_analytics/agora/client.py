"""The asyncio client of Agora Analytics."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from agora_analytics.agora.call_lookup import CallLookup
from agora_analytics.agora.credentials import Basic, customer_credentials, in_headers, shared_account
from agora_analytics.agora.plans import SHARED_BUDGET
from agora_analytics.agora.settings import (
    ENVIRONMENT,
    AgoraOptions,
    Region,
    Settings,
    account_variables,
    customer_arguments,
)
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.call_options import CallOptions, takes_call_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora_analytics.agora.credentials import BasicSource
    from agora_analytics.agora.insights import Insights
    from agora_analytics.agora.listings import MetricsPage
    from agora_analytics.agora.plans import Plan
    from agora_analytics.agora.realtime import Realtime
    from agora_analytics.agora.records import Call, Session
    from agora_analytics.agora.settings import PlanName, RegionName
    from agora_analytics.core.columns import Series
    from agora_analytics.core.domains import DomainState
    from agora_analytics.core.endpoint import Endpoint
    from agora_analytics.core.limits import Limits
    from agora_analytics.core.record_list import Records
    from agora_analytics.engine.pages import Page, Pages, Paginator
    from agora_analytics.instants import Instant
    from agora_analytics.kit.client import ClientOptions, ConfigPath


@takes_call_options
class AsyncAgora(CallLookup):
    """Reads Agora Analytics within the limits of a plan: calls, sessions, metrics, statistics, usage and quality.

    Args:
        customer_id: the RESTful API's customer id.
        customer_secret: its secret. It is sent in a header only, and never shown.
        credentials: `Basic(customer_id, customer_secret)` in place of the two above, or a coroutine function that
            returns one. It is called for every attempt, so it should keep the credentials until they are about to
            expire. If the server refuses credentials and the function then returns others, the request is sent once
            more.
        account: names who shares the limits; pass the same name to clients with different credentials of one account.
            Default: the customer id, or with a coroutine function the app.
        app_id: the project's app id.
        plan: `standard`, `premium`, `enterprise`, or a `Plan` with the numbers of your contract.
        region: where your machine is: `global`, or `cn` inside mainland China.
        regional_hosts: use the hosts of a single area as the last resort.
        shared_budget: read the plan as one quota for sessions, metrics and statistics together, and one for the
            four endpoints of Real-time, instead of one for each endpoint.
        **options: see `ClientOptions`.

    Attributes:
        credentials: the credentials, or the function that returns them. Their repr has no secret.
        settings: the app, plan and region.
        insights: usage and quality over days and hours.
        realtime: usage and quality now, in windows of 20 seconds.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncAgora.from_env() as client:
            async for call in client.calls("6h", "now"):
                print(call.created_at, call.cname)
    """

    _arguments = staticmethod(customer_arguments)

    def __init__(
        self,
        customer_id: str | None = None,
        customer_secret: str | None = None,
        *,
        credentials: Basic | BasicSource | None = None,
        account: str | None = None,
        app_id: str,
        plan: Plan | PlanName = "standard",
        region: Region | RegionName = Region.GLOBAL,
        regional_hosts: bool = True,
        shared_budget: bool = False,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(options)
        self.credentials = customer_credentials(customer_id, customer_secret, credentials)
        self.settings = Settings(
            app_id=app_id,
            plan=plan,
            region=region,
            base_url=self._base_url,
            allow_http=self._options.allow_http,
            regional_hosts=regional_hosts,
        )
        self._engine = self._connect(
            hosts=self.settings.host_table,
            account=(shared_account(account, self.credentials, app_id),),
            limits=self.settings.plan.limits,
            shared_budgets=SHARED_BUDGET if shared_budget else {},
            authentication=in_headers(self.credentials),
            describe_missing=self.settings.plan.describe_missing,
        )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Unpack[AgoraOptions]) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_PLAN`, `AGORA_REGION`,
        `AGORA_BASE_URL` and `AGORA_LEDGER`: see docs/configuration.md.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        variables = account_variables(ENVIRONMENT, settings.get("credentials"))
        return cls._from_environment(environment, variables, settings, required=("app_id",))

    @classmethod
    def from_config(
        cls, name: str | None = None, path: ConfigPath | None = None, **settings: Unpack[AgoraOptions]
    ) -> Self:
        """Return a client for an account of a configuration file; keyword arguments take precedence.

        See docs/configuration.md for the keys of the file, and for the environment variables that override them.

        Args:
            name: the name of the account; None: `AGORA_ACCOUNT`.
            path: the file; None: `AGORA_CONFIG`, or else `agora-analytics.toml` in the working directory or in the
                user's configuration folder.
            **settings: as for `from_env`.

        Raises:
            ConfigurationError: the file or the account is missing, or a setting cannot be used.

        Example:
            async with AsyncAgora.from_config("acme") as client:
                print(await client.quota())
        """
        return cls._from_config(name, path, settings, vendor="agora", variables=ENVIRONMENT)

    @cached_property
    def insights(self) -> Insights:
        """Usage and quality over days and hours."""
        from agora_analytics.agora.insights import Insights

        return Insights(self._queries)

    @cached_property
    def realtime(self) -> Realtime:
        """Usage and quality now, in windows of 20 seconds."""
        from agora_analytics.agora.realtime import Realtime

        return Realtime(self._queries)

    def __repr__(self) -> str:
        return f"AsyncAgora({self.credentials!r}, {self.settings!r})"

    def calls(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        cname: str | None = None,
        settled: bool = False,
        page_size: int = 100,
        resume: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Call]:
        """List the calls that were active at some time in `since <= t < until`, the newest first.

        The range is clipped to the plan's reach, and split where it is longer than the plan allows. A call that
        several responses have is returned once. Where the server hides calls, the range is halved until it lists them.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise.
            cname: only the calls of this channel.
            settled: only calls that are finished and whose sessions and metrics are complete. By default, the list also
                has ongoing calls, and calls whose data is not available yet.
            page_size: records a page, 1 to 100.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments. The time
                range is that of the token.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`, a resume token of other arguments.
            WindowOutOfReach: no part of the range is in the plan's reach.

        See docs/agora-api.md, endpoint 1.
        """
        from agora_analytics.agora import arrow

        async def paginator(*, as_rows: bool = False) -> Paginator[Any, Page[Call]]:
            return self._call_pages(
                since,
                until,
                cname=cname,
                settled=settled,
                page_size=page_size,
                resume=resume,
                validate=validate,
                as_rows=as_rows,
            )

        return self._pages(
            paginator,
            table=arrow.calls_table,
            paginator_for_table=None if settled else partial(paginator, as_rows=True),
        )

    def sessions(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        uids: Sequence[str | int] = (),
        exclude_server_user: bool = True,
        page_size: int = 100,
        resume: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Session]:
        """List the sessions of a call: its users, from when to when, and on which devices.

        If the data of the call is not available yet, the listing is empty and the client sends the event
        `NotYetAvailable`.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, if `call` is an id.
            until: the call's end, if `call` is an id.
            uids: only these users, at most 10. A negative id is one that a client printed as a signed integer: 2**32 is
                added.
            exclude_server_user: leave out users on servers (the API's own default).
            page_size: records a page, 1 to 100.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: more than 10 uids, a call id without its time range, and as `calls`.
            WindowOutOfReach: the call is too far back, or in the future.

        See docs/agora-api.md, endpoint 2.
        """
        from agora_analytics.agora import arrow, call_arguments, listings, operations
        from agora_analytics.agora.user_ids import user_ids

        async def paginator(*, as_rows: bool = False) -> Paginator[Any, Page[Session]]:
            call_arguments.check_ids("uids", uids, operations.SESSIONS)
            users: Sequence[str | int] = uids
            if self._validates(validate):
                users = user_ids(uids)
                call_arguments.check_ids("uids", users, operations.SESSIONS, most=operations.MAX_UIDS)
            params = (
                ("appid", self.settings.app_id),
                ("call_id", call_arguments.call_id_of(call)),
                ("exclude_server_user", str(exclude_server_user).lower()),
                *((("uids", ",".join(map(str, users))),) if users else ()),
            )
            return listings.plan_records(
                self._engine,
                operations.SESSIONS,
                params,
                self._window_of(call, since, until, validate),
                page_size,
                resume,
                call_arguments.range_as_asked(call, since, until),
                validate=self._validates(validate),
                as_rows=as_rows,
                final=self._is_settled(call, operations.SESSIONS),
            )

        return self._pages(
            paginator,
            table=partial(arrow.sessions_table, call_id=call_arguments.call_id_of(call)),
            paginator_for_table=partial(paginator, as_rows=True),
        )

    def metrics(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        sids: Sequence[Session | str] | None = None,
        resume: str | None = None,
        validate: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Series, MetricsPage]:
        """List the metric series of a call. Each page is one response: at most 20 sessions in one window.

        A page's `records` are `Series`; `page.columns` has all its samples as flat columns. In a call that is longer
        than the plan's span, a series has one part for each window; no sample is returned twice. If the data of the
        call is not available yet, the listing is empty and the client sends the event `NotYetAvailable`.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, if `call` is an id.
            until: the call's end, if `call` is an id.
            sids: sessions or session ids; None lists the call's sessions first, including users on servers.
                `Session` objects save requests: a session is requested only in the windows that it overlaps.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: a call id without its time range, a resume token after which the sessions of the call have
                changed, and as `calls`.
            WindowOutOfReach: the call is too far back, or in the future.

        See docs/agora-api.md, endpoint 3.
        """
        from agora_analytics.agora import arrow, call_arguments, listings, operations

        async def paginator() -> Paginator[Any, MetricsPage]:
            call_arguments.check_ids("sids", sids or (), operations.METRICS)
            return await listings.plan_metrics(
                self._engine,
                operations.METRICS,
                (("appid", self.settings.app_id), ("call_id", call_arguments.call_id_of(call))),
                self._window_of(call, since, until, validate),
                sids,
                resume,
                list_sessions=lambda: self.sessions(
                    call, since, until, exclude_server_user=False, validate=validate, **options
                ).collect(),
                asked=call_arguments.range_as_asked(call, since, until),
                validate=self._validates(validate),
                final=self._is_settled(call),
            )

        return self._pages(
            paginator, table=partial(arrow.metrics_table, call_id=call_arguments.call_id_of(call))
        )

    def reach(self, endpoint: Endpoint) -> Window:
        """Return the seconds that the plan allows to request of an endpoint now."""
        return self._engine.reach(endpoint)

    def limits(self, endpoint: Endpoint) -> Limits:
        """Return what the plan allows an endpoint.

        Raises:
            InvalidRequest: the plan does not include it.
        """
        return self._engine.limits(endpoint)

    def legal_window(self, endpoint: Endpoint, since: Instant, until: Instant) -> Window:
        """Return the part of `since <= t < until` that the plan allows to request of an endpoint now.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
            WindowOutOfReach: there is no such part.
        """
        from agora_analytics.kit.operation import report_clip

        window = self._window(since, until, validate=True)
        part = clip(window, self.limits(endpoint), self._now(), endpoint=endpoint.name)
        report_clip(self._engine.observer, endpoint.name, window, part, self._now())
        return part

    async def domains(self) -> Records[DomainState]:
        """Return the state of each host: which one is in use, which ones rest, and why."""
        return self._engine.domains()
