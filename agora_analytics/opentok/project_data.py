"""The listing of project data: usage, quality and errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agora_analytics.engine.pages import Page
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant
from agora_analytics.opentok import query_builders
from agora_analytics.opentok.listing import Lister, Text, several
from agora_analytics.opentok.pagination import InsightsPages
from agora_analytics.opentok.query_builders import ERRORS, QUALITY, USAGE
from agora_analytics.opentok.records import ProjectRow, number, record
from agora_analytics.opentok.spec import PROJECT_DATA, Browser, GroupBy, Interval, SdkType

if TYPE_CHECKING:
    import pyarrow as pa

_OUTER = ("project", "projectData")


class ProjectData(Lister):
    """How much a project was used, and how well it went."""

    def project_data(
        self,
        start: Instant,
        end: Instant | None = None,
        *,
        interval: Interval | str | None = None,
        group_by: GroupBy | Text = (),
        sdk_type: SdkType | Text = (),
        sdk_version: Text = (),
        country: Text = (),
        region: Text = (),
        browser: Browser | Text = (),
        browser_version: Text = (),
        fields: Sequence[str] = (*USAGE, *QUALITY, *ERRORS),
        resume: str | None = None,
    ) -> InsightsPages[ProjectRow]:
        """List how much the project was used and how well it went, by day, week or month, or in total.

        The server counts in days on Pacific time, and each day that `start <= t < end` touches is counted whole: give
        `pacific_midnight` as ends. Data come 36 to 48 hours late; days are kept for 90 days, months for 12 months.

        Args:
            start: an aware datetime, ISO 8601, epoch seconds, or a time ago (`30d`); 0: the earliest there is.
            end: likewise; None: the latest.
            interval: an `Interval`; None: one row for all of the time. Only intervals with data come.
            group_by: a `GroupBy`, or several: a row for each group.
            sdk_type, sdk_version, country, region, browser, browser_version: only these: one, or several. Countries are
                two letters (`US`). The server does not filter participant and archive minutes by SDK, region or browser.
            fields: what is wanted of each row, such as `usage.hlsMinutes`; see `opentok.query_builders` for the names.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            WindowOutOfReach: nothing of the range is kept; raised before a request.
            InvalidRequest: milliseconds, `end` not after `start`, no field, a name that cannot be one.
            BadRequest, AuthenticationError, AccessDenied, WindowRefused, RateLimited: the server refused it.
            TransportError, ServerError: no good answer came.

        Example:
            rows = await client.project_data("30d", interval="DAILY", group_by="COUNTRY").collect()

        Source: `reference/opentok-insights.md`, section 5.
        """
        first, last = self._asker.bounds(start, end, of=PROJECT_DATA, names=("start", "end"))
        wanted = tuple(dict.fromkeys(fields))
        if not wanted:
            raise InvalidRequest("no field is named, so there is nothing to ask for")
        query = query_builders.project_data_query(
            self._asker.project_id,
            wanted,
            start=first or 0.0,
            end=last,
            interval=interval,
            group_by=several(group_by),
            enum_filters={
                "sdkType": several(sdk_type),
                "country": several(country),
                "browser": several(browser),
            },
            text_filters={
                "sdkVersion": several(sdk_version),
                "region": several(region),
                "browserVersion": several(browser_version),
            },
        )

        def read(member: Mapping[str, Any]) -> Iterator[ProjectRow]:
            yield record(ProjectRow, member, values={name: _number_at(member, name) for name in wanted})

        def table(pages: Sequence[Page[ProjectRow]]) -> "pa.Table":
            from agora_analytics.opentok.arrow import project_table

            return project_table([row for page in pages for row in page.records], wanted)

        return self._listing([query], _OUTER, read, table, PROJECT_DATA, resume)


def _number_at(member: Any, name: str) -> float | None:
    for step in name.split("."):
        member = member.get(step) if isinstance(member, dict) else None
    return number(member)
