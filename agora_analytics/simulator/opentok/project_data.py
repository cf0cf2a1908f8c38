"""Resolves `projectData`: days are filtered, split into intervals, grouped and summed.

Source: Vonage, "Insights Dashboard & API", "Obtaining Project Data".
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from attrs import frozen

from agora_analytics.simulator.opentok.dates import days_between, epoch_ms, midnight_ms, pacific_day
from agora_analytics.simulator.opentok.ground_truth import ClientTruth
from agora_analytics.simulator.opentok.pages import page
from agora_analytics.simulator.opentok.rules import OpenTokRefused, Rules
from agora_analytics.simulator.opentok.usage import (
    BITRATE_KBPS,
    CALLS,
    LATENCY_MS,
    MINUTES_OF_DAYS,
    TIERS,
    Cell,
    ProjectDays,
    tier_name,
)

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DIMENSIONS: Mapping[str, tuple[str, Callable[[ClientTruth], str | None]]] = {
    "COUNTRY": ("country", lambda client: client.country),
    "REGION": ("region", lambda client: client.region),
    "SDK_TYPE": ("sdkType", lambda client: client.sdk_type),
    "SDK_VERSION": ("sdkVersion", lambda client: client.sdk_version),
    "BROWSER": ("browser", lambda client: client.browser),
    "BROWSER_VERSION": ("browserVersion", lambda client: client.browser_version),
}
Group = tuple[str | None, ...]


@frozen(kw_only=True, eq=False)
class ProjectDataResolver:
    """Resolves the days of a project that are available at `now`."""

    days: ProjectDays
    rules: Rules
    now: float

    def resolve(self, _info: Any, **args: Any) -> dict[str, Any]:
        """Resolve `projectData`."""
        for version in args.get("sdkVersion") or ():
            if not _VERSION.fullmatch(version or ""):
                raise OpenTokRefused(1007)
        days = self._days(args)
        interval = _chosen(args.get("interval"), len(days))
        groups = [name for name in dict.fromkeys(args.get("groupBy") or ()) if name]
        rows = [
            self._row(part, group, groups, cells, args)
            for part in _parts(days, interval)
            for group, cells in _grouped(self._kept(part, args), groups)
        ]
        collection = page("projectData", len(rows), lambda begin, end: rows[begin:end], args, self.rules)
        return collection | {"interval": interval}

    def _days(self, args: Mapping[str, Any]) -> list[date]:
        """Return the available Pacific days that the time range touches."""
        now_ms = int(self.now * 1000)
        start = epoch_ms(args["start"])
        end = now_ms if args.get("end") is None else epoch_ms(args["end"])
        if start >= end:
            raise OpenTokRefused(1002, "start is not before end.")
        reach = self.rules.monthly_reach if args.get("interval") == "MONTHLY" else self.rules.daily_reach
        first = max(pacific_day(start), pacific_day(int(now_ms - reach * 1000)), self.days.first)
        # A day is available `project_delay` seconds after its end.
        last = pacific_day(int(now_ms - self.rules.project_delay * 1000)) - timedelta(days=1)
        return days_between(first, min(pacific_day(end - 1), last, self.days.last))

    def _kept(self, days: Sequence[date], args: Mapping[str, Any]) -> list[Cell]:
        filters = [
            (read, set(args[name])) for name, read in _DIMENSIONS.values() if args.get(name) is not None
        ]
        return [
            cell
            for cell in self.days.cells(days)
            if all(read(cell.client) in values for read, values in filters)
        ]

    def _row(
        self,
        days: Sequence[date],
        group: Group,
        groups: Sequence[str],
        cells: Sequence[Cell],
        arguments: Mapping[str, Any],
    ) -> dict[str, Any]:
        amounts: dict[str, float] = defaultdict(float)
        for cell in cells:
            for name, amount in cell.amounts.items():
                amounts[name] += amount
        by_client = any(name != "COUNTRY" for name in groups) or any(
            arguments.get(name) is not None for name, _ in _DIMENSIONS.values() if name != "country"
        )
        return {
            "intervalStart": midnight_ms(days[0]),
            "intervalEnd": midnight_ms(days[-1]),  # the start of the last day, as in the guide's example
            **{_DIMENSIONS[name][0]: value for name, value in zip(groups, group, strict=True)},
            "usage": _usage(amounts, by_client=by_client),
            "quality": {side: _quality(amounts, side) for side in ("publisher", "subscriber")},
            "errors": {
                call: {name: amounts[f"{call}/{name}"] for name in ("attempts", "failures")} for call in CALLS
            },
        }


def _chosen(interval: str | None, days: int) -> str | None:
    """Return the interval. No document says what AUTO selects; here it depends on the length of the range."""
    if interval != "AUTO":
        return interval
    return "DAILY" if days <= 31 else "WEEKLY"


def _parts(days: Sequence[date], interval: str | None) -> list[list[date]]:
    """Split days into intervals. Weeks begin on Monday, which no document says."""
    key: Callable[[date], Any] = {
        "DAILY": lambda day: day,
        "WEEKLY": lambda day: day.isocalendar()[:2],
        "MONTHLY": lambda day: (day.year, day.month),
        None: lambda _day: None,
    }[interval]
    return [list(part) for _, part in groupby(days, key)]


def _grouped(cells: Iterable[Cell], groups: Sequence[str]) -> list[tuple[Group, list[Cell]]]:
    cells_by_group: dict[Group, list[Cell]] = defaultdict(list)
    for cell in cells:
        cells_by_group[tuple(_DIMENSIONS[name][1](cell.client) for name in groups)].append(cell)
    return sorted(cells_by_group.items(), key=lambda item: [value or "" for value in item[0]])


def _usage(amounts: Mapping[str, float], *, by_client: bool) -> dict[str, Any] | None:
    """Return minutes, or None if there are none. Participants and archives are not available by client."""
    if not amounts["publisher/minutes"] and not amounts["subscriber/minutes"]:
        return None
    usage: dict[str, Any] = {
        "streamedPublishedMinutes": amounts["publisher/minutes"],
        "streamedSubscribedMinutes": amounts["subscriber/minutes"],
    }
    if by_client:
        return usage
    usage["participantMinutes"] = {
        name: amounts[f"tier/{name}"] for name in (tier_name(low, high) for low, high in TIERS)
    }
    return usage | {name: amounts[f"day/{name}"] for name in MINUTES_OF_DAYS}


def _quality(amounts: Mapping[str, float], side: str) -> dict[str, Any]:
    minutes = amounts[f"{side}/minutes"]
    return {
        "videoBitrateKbpsAvg": amounts[f"{side}/kbps x minutes"] / minutes if minutes else None,
        "latencyMsAvg": amounts[f"{side}/ms x minutes"] / minutes if minutes else None,
        "latencyDistribution": _histogram(amounts, side, "ms", LATENCY_MS),
        "videoBitrateDistribution": _histogram(amounts, side, "kbps", BITRATE_KBPS),
    }


def _histogram(amounts: Mapping[str, float], side: str, unit: str, bounds: Sequence[int]) -> dict[str, float]:
    names = [f"{unit}{bound}" for bound in bounds] + [f"{unit}{bounds[-1]}Plus"]
    return {name: amounts[f"{side}/{name}"] for name in names}
