"""The asyncio client of the 2021 beta API."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from agora_analytics.agora.arrow import calls_table
from agora_analytics.agora.beta import operations
from agora_analytics.agora.beta.limits import LIMITS, SHARED_BUDGETS
from agora_analytics.agora.beta.metrics import BetaMetrics
from agora_analytics.agora.beta.records import (
    CallDetails,
    CappedList,
    Diagnosis,
    details_table,
    diagnoses_table,
)
from agora_analytics.agora.call_arguments import call_id_of, call_window, is_settled, range_as_asked
from agora_analytics.agora.credentials import (
    Basic,
    BasicSource,
    customer_credentials,
    in_headers,
    shared_account,
)
from agora_analytics.agora.plans import Plan
from agora_analytics.agora.records import Call
from agora_analytics.agora.settings import (
    ENVIRONMENT,
    CustomerOptions,
    Region,
    RegionName,
    Settings,
    account_variables,
    customer_arguments,
)
from agora_analytics.core.limits import Limits
from agora_analytics.core.paging import Position, Step, steps_at
from agora_analytics.core.resume_tokens import ResumeTokens, as_asked
from agora_analytics.core.windows import Window, reachable
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.engine.pages import Page, Pages, Paginator
from agora_analytics.instants import Instant
from agora_analytics.kit.client import ClientOptions, ConfigPath
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_QUEUEING = 10
"""Seconds that a request may wait for its rate-limit slot."""


class BetaOptions(CustomerOptions, total=False):
    """The keyword arguments of `AsyncAgoraBeta.from_env`."""

    limits: Mapping[str, Limits] | None


@takes_call_options
class AsyncAgoraBeta(BetaMetrics):
    """Reads the 2021 BETA of Agora Analytics, for accounts without today's API, which is `AsyncAgora`.

    It has no plans and no pages, returns 10 calls and 10 users at a time, and PERCENT where today's returns fractions.

    Args:
        customer_id: the RESTful API's customer id.
        customer_secret: its secret. It is sent in a header only, and never shown.
        credentials: `Basic(customer_id, customer_secret)` in place of the two above, or a coroutine function that
            returns one. It is called for every attempt, so it should keep the credentials until they are about to
            expire. If the server refuses credentials and the function then returns others, the request is sent once
            more.
        account: names who shares the limits; pass the same name to clients with different credentials of one account.
            Default: the customer id, or with a coroutine function the app.
        app_id: the project's App ID.
        region: where your machine is: `global`, or `cn` inside mainland China.
        limits: the limits of each endpoint, by name. Default: those of the page of 2021. The requests for lists of calls
            and for usage count together with those of an `AsyncAgora` with the same ledger: the path is the same.
        **options: see `ClientOptions`.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncAgoraBeta.from_env() as client:
            async for call in client.calls("6h"):
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
        region: Region | RegionName = Region.GLOBAL,
        limits: Mapping[str, Limits] = LIMITS,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(options)
        self.credentials = customer_credentials(customer_id, customer_secret, credentials)
        self.settings = Settings(
            app_id=app_id,
            plan=Plan(name="beta of 2021", limits=limits),
            region=region,
            base_url=self._base_url,
            allow_http=self._options.allow_http,
        )
        self._engine = self._connect(
            hosts=self.settings.host_table,
            account=(shared_account(account, self.credentials, app_id),),
            limits=limits,
            shared_budgets=SHARED_BUDGETS,
            authentication=in_headers(self.credentials),
        )

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **settings: Unpack[BetaOptions]) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `AGORA_CUSTOMER_ID`, `AGORA_CUSTOMER_SECRET`, `AGORA_APP_ID`, `AGORA_REGION`, `AGORA_BASE_URL` and
        `AGORA_LEDGER`: see docs/configuration.md.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        variables = account_variables(ENVIRONMENT, settings.get("credentials"))
        del variables["plan"]
        return cls._from_environment(environment, variables, settings, required=("app_id",))

    @classmethod
    def from_config(
        cls, name: str | None = None, path: ConfigPath | None = None, **settings: Unpack[BetaOptions]
    ) -> Self:
        """Return a client for an account of a configuration file, see `AsyncAgora.from_config`.

        Raises:
            ConfigurationError: the file or the account is missing, or a setting cannot be used.
        """
        return cls._from_config(name, path, settings, vendor="agora-beta", variables=ENVIRONMENT)

    def __repr__(self) -> str:
        return f"AsyncAgoraBeta({self.credentials!r}, {self.settings!r})"

    def calls(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        cname: str | None = None,
        settled: bool = False,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Call]:
        """List the calls that were active at some time of `since <= t < until`, the newest first.

        A response has the newest 10. If there are more, narrower ranges are requested until none is missing.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`); at most 3 days.
            until: likewise; data comes 20 s late.
            cname: only the calls of this channel.
            settled: only calls that are finished and whose details are complete. By default, the list also has ongoing
                calls, and calls whose data is not available yet.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`, a resume token of other arguments.
            WindowOutOfReach: no part of the range is in the last 3 days.
            IncompleteListing: more than 10 active calls began in one second, or before the last 3 days.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Get call list".
        """

        def is_wanted(call: Call, part: Window, whole: Window) -> bool:
            if settled and not self._is_settled(call):
                return False
            return part.start >= whole.start or not call.finished or call.destroyed_ts >= whole.start

        return self._list(
            operations.CALL_LISTS,
            (("cname", cname),) if cname else (),
            lambda: self._range(since, until),
            resume,
            asked=lambda: (as_asked(since), as_asked(until), *(("settled",) if settled else ())),
            table=calls_table,
            narrow=lambda part, calls: operations.narrow_calls(part, calls, earliest=self._earliest()),
            wanted=is_wanted,
        )

    def details(
        self,
        call: Call | str,
        since: Instant | None = None,
        until: Instant | None = None,
        *,
        exclude_server_user: bool = True,
        metrics: bool = True,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[CallDetails]:
        """List the users of a call and their quality samples: one `CallDetails` for each 3 hours of the call.

        A response has at most the 10 users who joined last; see `CallDetails.may_hide_users`. If the data of the call
        is not available yet, the listing is empty and the client sends the event `NotYetAvailable`.

        Args:
            call: a `Call`, or a call id together with `since` and `until`.
            since: the call's start, if `call` is an id.
            until: the call's end, if `call` is an id; data comes 150 s late.
            exclude_server_user: leave out users on servers (the API's own default).
            metrics: False leaves the samples out.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: a call id without its time range, and as `calls`.
            WindowOutOfReach: the call is more than 3 days back, or in the future.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Get quality metrics".
        """
        query = (
            ("call_id", call_id_of(call)),
            ("exclude_server_user", str(exclude_server_user).lower()),
            ("exclude_metrics_info", str(not metrics).lower()),
        )
        return self._list(
            operations.CALL_DETAILS,
            query,
            lambda: call_window(call, since, until, now=self._now(), validate=True),
            resume,
            asked=lambda: range_as_asked(call, since, until),
            table=details_table,
            final=lambda: self._is_settled(call),
        )

    def live_diagnosis(
        self,
        since: Instant = "30m",
        until: Instant = "now",
        *,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Diagnosis]:
        """List the users with a bad experience, and its causes.

        A response has 10 messages, and does not say if there are more. After a full one, both halves of the range are
        requested, down to single minutes. A minute with 10 messages is returned; since it may have had more, the client
        sends the event `PartialResponse`.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago; at most an hour.
            until: likewise; the range is cut to what is available, 2 minutes late.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: as `calls`.
            WindowOutOfReach: no part of the range is in the past hour.

        Source: Agora, "Agora Analytics RESTful API (Beta)" (2021), "Diagnostics API".
        """
        return self._list(
            operations.LIVE_DIAGNOSIS,
            (),
            lambda: self._range(since, until),
            resume,
            asked=lambda: (as_asked(since), as_asked(until)),
            table=diagnoses_table,
            narrow=operations.narrow_diagnoses,
            says_more=False,
        )

    def _list(
        self,
        operation: Operation[CappedList[T]],
        query: Query,
        window: Callable[[], Window],
        resume: str | None,
        *,
        asked: Callable[[], Sequence[object]],
        table: "Callable[[Sequence[Page[T]]], pa.Table]",
        narrow: operations.Narrow[T] = lambda *_: (),
        wanted: Callable[[T, Window, Window], bool] = lambda *_: True,
        says_more: bool = True,
        final: Callable[[], bool] = lambda: False,
    ) -> Pages[T]:
        parameters = (("appid", self.settings.app_id), *query)

        async def paginator() -> Paginator[Any, Page[T]]:
            limits, whole, is_final = self._limits(operation), window(), final()
            tokens = ResumeTokens(operation.name, parameters, asked())
            if resume is None:
                windows = operation.plan(whole, limits, self._now(), self._engine.observer)
                steps = [Step(part) for part in windows]
            else:
                steps = steps_at(tokens.read(resume, Position))
            return operations.bisecting_listing(
                self._engine,
                operation,
                steps,
                tokens,
                request=lambda part: operation.request(
                    parameters, window=part, limits=limits, final=is_final
                ),
                narrow=narrow,
                wanted=lambda record, part: wanted(record, part, whole),
                says_more=says_more,
            )

        return self._pages(paginator, table=table)

    def _is_settled(self, call: Call | str) -> bool:
        return is_settled(call, operations.CALL_DETAILS, self.settings.plan, self._engine)

    def _earliest(self) -> int:
        """Return the first second of calls that can be requested, also by a request that has to wait."""
        limits = self._limits(operations.CALL_LISTS)
        return 0 if limits is None else reachable(limits, self._now()).start + _QUEUEING
