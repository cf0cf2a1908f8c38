"""How strict the simulated server is, where no document says it or where a test wants another way."""

from typing import Literal

from attrs import field, frozen
from attrs.validators import in_

from agora_analytics.opentok import spec as facts

_DAY = facts.DAY


@frozen(kw_only=True)
class Rules:
    """The server's rules.

    Attributes:
        excess: a `first` above the maximum is cut down to it (`clamp`), or refused with 1005 (`refuse`).
        missing: sessions that are not there: the whole list is refused with 1017 (`refuse`), or the others come
            beside an error for each (`partial`).
        node_limit: a query that asks for more nodes is refused with 1014.
        add_on: the project has Advanced Insights; without it session data are refused with 1014.
        retention, delay: session data are there for so long, and after so long, in seconds.
        project_delay: daily rows are there so long after their day, in seconds.
        daily_reach, monthly_reach: daily and monthly rows are there for so long, in seconds.
        introspection: whether the schema may be asked for.
        invalid_status: the HTTP status of an answer to a query that is not valid.
    """

    excess: Literal["clamp", "refuse"] = field(default="clamp", validator=in_(("clamp", "refuse")))
    missing: Literal["refuse", "partial"] = field(default="refuse", validator=in_(("refuse", "partial")))
    node_limit: int = facts.NODE_LIMIT
    add_on: bool = True
    retention: float = facts.LIMITS[facts.SESSION_DATA].reach
    delay: float = facts.LIMITS[facts.SESSION_DATA].delay
    project_delay: float = facts.PROJECT_LATENCY
    daily_reach: float = 90 * _DAY
    monthly_reach: float = facts.LIMITS[facts.PROJECT_DATA].reach
    introspection: bool = False
    invalid_status: int = 400
