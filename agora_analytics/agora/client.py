"""The asyncio client of Agora Analytics."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Self, Unpack

from agora_analytics.agora import arrow, listings, operations
from agora_analytics.agora.call_statistics import CallStatistics
from agora_analytics.agora.insights import Insights
from agora_analytics.agora.plans import Plan
from agora_analytics.agora.queries import QueryRunner
from agora_analytics.agora.realtime import Realtime
from agora_analytics.agora.records import Call, Session
from agora_analytics.agora.settings import ENVIRONMENT, AgoraOptions, Region, Settings
from agora_analytics.agora.user_ids import user_ids
from agora_analytics.core.columns import Series
from agora_analytics.core.domains import DomainState
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.record_list import Records
from agora_analytics.core.resume_tokens import as_asked
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.engine.pages import Pages
from agora_analytics.instants import Instant
from agora_analytics.kit.client import ClientOptions, basic_auth
from agora_analytics.kit.operation import report_clip
from agora_analytics.messages import Request


@takes_call_options
class AsyncAgora(CallStatistics):
    """Reads Agora Analytics within the limits of a plan: calls, sessions, metrics, statistics, usage and quality.

    Args:
        customer_id: the RESTful API's customer id.
        customer_secret: its secret. It is sent in a header only, and never shown.
        app_id: the project's app id.
        plan: `standard`, `premium`, `enterprise`, or a `Plan` with the numbers of your contract.
        region: where your machine is: `global`, or `cn` inside mainland China.
        regional_hosts: use the hosts of a single area as the last resort.
        shared_budget: read the plan as one quota for sessions, metrics and statistics together, and one for the
            four endpoints of Real-time, instead of one for each endpoint.
        **options: see `ClientOptions`.

    Attributes:
        settings: the account, app, plan and region.
        insights: usage and quality over days and hours.
        realtime: usage and quality now, in windows of 20 seconds.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncAgora.from_env() as client:
            async for call in client.calls("6h", "now"):
                print(call.created_at, call.cname)
    """

    def __init__(
        self,
        customer_id: str,
        customer_secret: str,
        *,
        app_id: str,
        plan: Plan | str = "standard",
        region: Region | str = Region.GLOBAL,
        regional_hosts: bool = True,
        shared_budget: bool = False,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(options)
        self.settings = Settings(
            customer_id=customer_id,
            customer_secret=customer_secret,
            app_id=app_id,
            plan=plan,
            region=region,
            base_url=self._base_url,
            allow_http=self._options.allow_http,
            regional_hosts=regional_hosts,
        )
        self._engine = self._connect(
            hosts=self.settings.host_table,
            account=(customer_id,),
            limits=self.settings.plan.limits,
            shared_budgets=operations.SHARED_BUDGET if shared_budget else {},
            authorize=self._authorize,
            describe_missing=self.settings.plan.describe_missing,
        )
        self._queries = QueryRunner(self._engine, app_id=app_id, validate=self._options.validate)
        self.insights = Insights(self._queries)
        self.realtime = Realtime(self._queries)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Unpack[AgoraOptions]) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_PLAN`, `AGORA_REGION`,
        `AGORA_BASE_URL` and `AGORA_LEDGER` (the file of a `SqliteLedger`).

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        needed = ("customer_id", "customer_secret", "app_id")
        return cls._from_environment(
            environment, ENVIRONMENT, settings, ledger="AGORA_LEDGER", required=needed
        )

    def __repr__(self) -> str:
        return f"AsyncAgora({self.settings!r})"

    def calls(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        cname: str | None = None,
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
            page_size: records a page, 1 to 100.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments. The time
                range is that of the token.
            validate: False sends the arguments as they are; None: the client's default.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`, a resume token of other arguments.
            WindowOutOfReach: no part of the range is in the plan's reach.

        See docs/agora-api.md, endpoint 1.
        """
        params = (("appid", self.settings.app_id), *((("cname", cname),) if cname else ()))
        window = self._window(since, until, validate=validate)
        asked = (as_asked(since), as_asked(until))
        arguments = (operations.LISTS, params, window, page_size, resume, asked)
        paginator = listings.plan_records(self._engine, *arguments, validate=self._validates(validate))
        return self._pages(
            paginator,
            record=Call,
            table=partial(arrow.listing_table, arrow.calls_of_pages),
            paginator_for_table=partial(paginator, as_rows=True),
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
            WindowOutOfReach: no part of the call is in the plan's reach.

        See docs/agora-api.md, endpoint 2.
        """
        listings.check_ids("uids", uids, operations.SESSIONS)
        if self._validates(validate):
            uids = user_ids(uids)
            listings.check_ids("uids", uids, operations.SESSIONS, most=operations.MAX_UIDS)
        call_id = listings.call_id_of(call)
        params = (
            ("appid", self.settings.app_id),
            ("call_id", call_id),
            ("exclude_server_user", str(exclude_server_user).lower()),
            *((("uids", ",".join(map(str, uids))),) if uids else ()),
        )
        window = self._window_of(call, since, until, validate)
        asked = listings.range_as_asked(call, since, until)
        arguments = (operations.SESSIONS, params, window, page_size, resume, asked)
        paginator = listings.plan_records(self._engine, *arguments, validate=self._validates(validate))
        return self._pages(
            paginator,
            record=Session,
            table=partial(arrow.listing_table, arrow.sessions_of_pages, call_id=call_id),
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
    ) -> Pages[Series, listings.MetricsPage]:
        """List the metric series of a call. Each page is one response: at most 20 sessions in one window.

        A page's `records` are `Series`; `page.columns` has all its samples as flat columns. In a call that is longer
        than the plan's span, a series has one part for each window; no sample is returned twice.

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
            WindowOutOfReach: no part of the call is in the plan's reach.

        See docs/agora-api.md, endpoint 3.
        """
        listings.check_ids("sids", sids or (), operations.METRICS)
        call_id = listings.call_id_of(call)
        params = (("appid", self.settings.app_id), ("call_id", call_id))
        paginator = listings.plan_metrics(
            self._engine,
            operations.METRICS,
            params,
            lambda: self._window_of(call, since, until, validate),
            sids,
            resume,
            list_sessions=lambda: self.sessions(
                call, since, until, exclude_server_user=False, validate=validate, **options
            ).collect(),
            asked=listings.range_as_asked(call, since, until),
            validate=self._validates(validate),
        )
        return self._pages(paginator, record=Series, table=partial(arrow.metrics_table, call_id=call_id))

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
        window = self._window(since, until, validate=True)
        part = clip(window, self.limits(endpoint), self._now(), endpoint=endpoint.name)
        report_clip(self._engine.observer, endpoint.name, window, part, self._now())
        return part

    async def domains(self) -> Records[DomainState]:
        """Return the state of each host: which one is in use, which ones rest, and why."""
        return self._engine.domains()

    async def _authorize(self, _: Request) -> Mapping[str, str]:
        return basic_auth(self.settings.customer_id, self.settings.customer_secret)
