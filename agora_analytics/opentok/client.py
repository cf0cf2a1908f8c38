"""The asyncio client of Vonage / OpenTok Insights."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar, Unpack

from agora_analytics.core.domains import HostTable
from agora_analytics.core.windows import Window
from agora_analytics.engine.authentication import Authentication, always
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.instants import Instant
from agora_analytics.kit.client import Client, ClientOptions, ConfigPath
from agora_analytics.messages import Request
from agora_analytics.opentok import listings, records
from agora_analytics.opentok.credentials import VARIABLES, Credentials, credentials_from, with_credentials
from agora_analytics.opentok.graphql_query import OneOrMore
from agora_analytics.opentok.listings import PlanInMeetings
from agora_analytics.opentok.pagination import Ends, InsightsPages, PlanOf, Range, plan_pages
from agora_analytics.opentok.query_builders import CONNECTION, ERRORS, QUALITY, STATS, STREAM, SUMMARY, USAGE
from agora_analytics.opentok.raw_query import QueryResult, run_query
from agora_analytics.opentok.runner import CLIENT_LIMITS, InsightsRunner
from agora_analytics.opentok.spec import SHARED_BUDGETS, Browser, GroupBy, Interval, SdkType

T = TypeVar("T")


class OpenTokSettings(ClientOptions, total=False):
    """The keyword arguments of `AsyncOpenTok.from_env`."""

    credentials: Credentials | None


@takes_call_options
class AsyncOpenTok(Client):
    """Reads the Insights of one project, within its limits.

    The server accepts fewer than 100 requests in 30 seconds for each key and for each IP address. All clients with the
    same ledger therefore share one rate limit, whatever their key.

    Args:
        credentials: `ProjectKey(api_key, secret)` of an OpenTok project, or `Application(application_id, private_key)`
            of a Vonage application.
        **options: see `ClientOptions`.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.

    Example:
        async with AsyncOpenTok(ProjectKey("45000001", "secret")) as client:
            async for summary in client.session_summaries("1d"):
                print(summary.session_id, len(summary.meetings))
    """

    _arguments = staticmethod(with_credentials)

    def __init__(self, credentials: Credentials, **options: Unpack[ClientOptions]) -> None:
        super().__init__(options)
        self.credentials = credentials
        self._host = self._base_url or credentials.host
        self._engine = self._connect(
            hosts=HostTable(preferred=self._host),
            account=("opentok", self._host),  # without the key, because the server counts by address too
            limits=CLIENT_LIMITS,
            authentication=Authentication(always(credentials), self._sign),
            shared_budgets=SHARED_BUDGETS,
        )
        self._runner = InsightsRunner(self._engine, path=credentials.path, validate=self._options.validate)

    @classmethod
    def from_env(
        cls, environment: Mapping[str, str] | None = None, **settings: Unpack[OpenTokSettings]
    ) -> Self:
        """Return a client with the settings of environment variables; keyword arguments take precedence.

        Reads `OPENTOK_API_KEY` and `OPENTOK_API_SECRET`, or `VONAGE_APPLICATION_ID` and `VONAGE_PRIVATE_KEY` (the key
        itself or the path of its file); also `OPENTOK_BASE_URL` and `AGORA_LEDGER`: see docs/configuration.md.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
        """
        environment = os.environ if environment is None else environment
        credentials = settings.get("credentials") or credentials_from(environment)
        return cls._from_environment(environment, VARIABLES, {**settings, "credentials": credentials})

    @classmethod
    def from_config(
        cls, name: str | None = None, path: ConfigPath | None = None, **settings: Unpack[OpenTokSettings]
    ) -> Self:
        """Return a client for an account of a configuration file, see `AsyncAgora.from_config`.

        The account has an `api_key` and its secret, or an `application_id` and its private key.

        Raises:
            ConfigurationError: the file or the account is missing, or a setting cannot be used.
        """
        return cls._from_config(name, path, settings, vendor="opentok", variables=VARIABLES)

    def __repr__(self) -> str:
        return f"AsyncOpenTok({self.credentials!r}, host={self._host!r})"

    @property
    def project_id(self) -> str:
        """The id of the project that the client reads: the API key, or the application's id."""
        return self.credentials.project_id

    def window(self, since: Instant, until: Instant = "now") -> Window:
        """Return a time range as whole seconds, not clipped.

        Raises:
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`.
        """
        return self._window(since, until, validate=True)

    def reach(self) -> Window:
        """Return the seconds whose session data may be requested now: the last 21 days, but for the first 15 minutes."""
        return self._runner.reach

    def project_data(
        self,
        start: Instant,
        end: Instant | None = None,
        *,
        interval: Interval | str | None = None,
        group_by: GroupBy | OneOrMore = (),
        sdk_type: SdkType | OneOrMore = (),
        sdk_version: OneOrMore = (),
        country: OneOrMore = (),
        region: OneOrMore = (),
        browser: Browser | OneOrMore = (),
        browser_version: OneOrMore = (),
        fields: Sequence[str] = (*USAGE, *QUALITY, *ERRORS),
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.ProjectRow]:
        """List usage, quality and errors of the project by day, week or month, or in total.

        The server counts in days of Pacific time. Each day that `start <= t < end` touches counts whole, so pass
        `pacific_midnight`. Data arrive after 36 to 48 hours. Days are kept for 90 days, months for 12 months. With
        `interval="DAILY"`, older days are cut off.

        Args:
            start: an aware datetime, ISO 8601, epoch seconds, or a time ago (`30d`); 0: the earliest data.
            end: likewise; None: the latest data.
            interval: an `Interval`; None: one row for the whole range. Intervals without data are left out.
            group_by: a `GroupBy`, or several: one row for each group.
            sdk_type, sdk_version, country, region, browser, browser_version: filters: one value, or several. Countries
                have two letters (`US`). The server does not filter or group participant and archive minutes by SDK, region
                or browser; if they are requested together, the client sends the event `FilterIgnored`.
            fields: the values of each row, such as `usage.hlsMinutes`; see `opentok.query_builders` for the names.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            WindowOutOfReach: no part of the range is kept; no request was sent.
            InvalidRequest: milliseconds, `start` not before `end`, no field, an invalid or misspelt name, a resume token
                of other arguments.
            BadRequest, AuthenticationError, AccessDenied, WindowRefused, RateLimited: the server refused the request.
            TransportError, ServerError: there was no good response.

        Example:
            rows = await client.project_data("30d", interval="DAILY", group_by="COUNTRY").collect()

        Source: Vonage, "Insights Dashboard & API", "Obtaining Project Data".
        """
        plan = partial(
            listings.project_rows,
            self.project_id,
            fields,
            interval=interval,
            group_by=group_by,
            enum_filters={"sdkType": sdk_type, "country": country, "browser": browser},
            text_filters={"sdkVersion": sdk_version, "region": region, "browserVersion": browser_version},
        )
        ends = partial(self._runner.project_range, start, end, interval)
        return self._list(plan, ends, (start, end), resume)

    def session_summaries(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        minutes: bool = False,
        fields: Sequence[str] = SUMMARY,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.SessionSummary]:
        """List the sessions with a meeting that began in `since <= t < until`, each with all of its meetings.

        This and all listings below need Advanced Insights.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`): at most 21 days.
            until: likewise.
            minutes: fetch streamed and participant minutes too, which is slow.
            fields: the fields of each meeting, as the API spells them; default: all documented ones.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            WindowOutOfReach: no part of the range is available; no request was sent.
            InvalidRequest: milliseconds, a naive datetime, `since` not before `until`, an invalid or misspelt name, a
                resume token of other arguments.
            AccessDenied: Advanced Insights is not enabled, or the query was too large (code 1014).
            IncompleteListing: a list changed while its pages were read.
            DecodeError: the response has neither the list nor an error.
            AuthenticationError, RateLimited, TransportError, ServerError: there was no good response.

        Example:
            async for summary in client.session_summaries("2d"):
                print(summary.session_id, [meeting.created_at for meeting in summary.meetings])

        Source: Vonage, "Insights Dashboard & API", "Obtaining Session Data", as for all listings below.
        """

        def ends() -> Range:
            window = self._runner.clipped(self.window(since, until))
            return window.start, window.end + 1

        plan = partial(listings.session_summaries, self.project_id, minutes=minutes, fields=fields)
        return self._list(plan, ends, (since, until), resume)

    def sessions(
        self,
        session_ids: OneOrMore,
        *,
        minutes: bool = False,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.Session]:
        """List sessions, each with all of its meetings. A request fetches 50 sessions.

        Args:
            session_ids: one id, or any number of them.
            minutes: fetch streamed and participant minutes too, which is slow.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: no id, an empty id, an id that is given twice, or a resume token of other arguments.
            NotFound: a session does not exist.
            AgoraAnalyticsError: as `session_summaries`.

        Example:
            (session,) = await client.sessions("1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4").collect()
        """
        plan = partial(listings.sessions, self.project_id, session_ids, minutes=minutes)
        return self._list(lambda *_: plan(), lambda: (None, None), (None, None), resume)

    def meetings(
        self,
        session_ids: OneOrMore,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        minutes: bool = False,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.Meeting]:
        """List the meetings of sessions.

        Args:
            session_ids: one session, or several.
            since, until: only meetings that began in `since <= t < until`, at most 21 days ago.
            meeting_id: only the entries of this meeting.
            minutes: fetch streamed and participant minutes too, which is slow.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Example:
            meetings = await client.meetings(session_id, since="1d").collect()
        """
        plan = partial(listings.meetings, minutes=minutes)
        return self._in_meetings(plan, session_ids, (since, until), meeting_id, resume)

    def connections(
        self,
        session_ids: OneOrMore,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = CONNECTION,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.Connection]:
        """List the participants of the meetings of sessions: times, country, browser, device and SDK.

        Args:
            session_ids: one session, or several.
            since, until: only of meetings that began in `since <= t < until`.
            meeting_id: only of this meeting.
            fields: the fields of each record, as the API spells them; default: all documented ones.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Example:
            table = await client.connections(session_id).to_arrow()
        """
        plan = partial(listings.participants, records.Connection, fields=fields)
        return self._in_meetings(plan, session_ids, (since, until), meeting_id, resume)

    def publishers(
        self,
        session_ids: OneOrMore,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = STREAM,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.Publisher]:
        """List the streams that were published in the meetings of sessions. Args and Raises: as `connections`.

        Example:
            publishers = await client.publishers(session_id, meeting_id=meeting.meeting_id).collect()
        """
        plan = partial(listings.participants, records.Publisher, fields=fields)
        return self._in_meetings(plan, session_ids, (since, until), meeting_id, resume)

    def subscribers(
        self,
        session_ids: OneOrMore,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = STREAM,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.Subscriber]:
        """List the streams that were received in the meetings of sessions. Args and Raises: as `connections`.

        Example:
            subscribers = await client.subscribers(session_id).collect()
        """
        plan = partial(listings.participants, records.Subscriber, fields=fields)
        return self._in_meetings(plan, session_ids, (since, until), meeting_id, resume)

    def stream_stats(
        self,
        session_ids: OneOrMore,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        roles: OneOrMore = ("publisher", "subscriber"),
        fields: Sequence[str] = STATS,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> InsightsPages[records.StreamSample]:
        """List the measurements of the streams of sessions, taken every 30 seconds by publishers and subscribers.

        A page is one session and takes at least one request. Args and Raises: as `connections`, and the following.

        Args:
            roles: `publisher`, `subscriber`, or both.

        Example:
            table = await client.stream_stats(session_id, since="2d").to_arrow()
        """
        plan = partial(listings.stream_samples, roles=roles, fields=fields)
        return self._in_meetings(plan, session_ids, (since, until), meeting_id, resume)

    async def query(
        self, text: str, variables: Mapping[str, Any] | None = None, **options: Unpack[CallOptions]
    ) -> QueryResult:
        """Run any query, and return its data with all pages of every list in it, and the problems that were reported.

        A list is a field with `resources`. `pageInfo`, and a `first` within the node limit, are added to each. Pass
        input of your users as variables, never as part of the text. Needs the extra `[opentok]`.

        Args:
            text: one query, in GraphQL.
            variables: the values of its variables.

        Raises:
            InvalidRequest: the text is not one query, or JSON cannot represent a variable.
            AgoraAnalyticsError: as `session_summaries`.

        Example:
            result = await client.query("{ project(projectId: 45000001) { projectData(start: 0) { resources { "
                "usage { streamedPublishedMinutes } } } } }")
            print(result.data)

        Source: Vonage, "Insights Dashboard & API", "Using Pagination in Queries" and "Error codes".
        """
        return await run_query(self._runner, text, variables or {})

    def _in_meetings(
        self, plan: PlanInMeetings[T], ids: OneOrMore, asked: Ends, meeting: str | None, resume: str | None
    ) -> InsightsPages[T]:
        plan_of = partial(listings.of_chosen_meetings, plan, self.project_id, ids, meeting)
        return self._list(plan_of, partial(self._runner.meeting_range, *asked), asked, resume)

    def _list(
        self, plan_of: PlanOf[T], ends: Callable[[], Range], asked: Ends, resume: str | None
    ) -> InsightsPages[T]:
        paginator, table = plan_pages(self._runner, plan_of, ends, asked, resume)
        return self._pages(paginator, table=table)

    def _sign(self, _: Request, credentials: Credentials) -> Mapping[str, str]:
        return credentials.headers(self._now())
