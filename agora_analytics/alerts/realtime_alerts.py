"""Evaluates rules on Real-time: follows the metrics of all rules with as few queries as possible."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from attrs import frozen

from agora_analytics.agora.enums import Product, RealtimeMetric
from agora_analytics.alerts.alert_database import AlertDatabase
from agora_analytics.alerts.alert_event import AlertEvent
from agora_analytics.alerts.conditions import AlertState, AlertValue, evaluate, expire
from agora_analytics.alerts.rules import REALTIME_GROUPS, REALTIME_METRICS, AlertRule, Silence, check_rules
from agora_analytics.harvest.unit_runner import flatten

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.follow import LiveWindow


@frozen
class RealtimeAlertQuery:
    """One query of Real-time, and the rules that it has values for.

    Attributes:
        rules: the rules.
        product: which SDKs it counts.
        by: the dimension of the API; None: all users.
        channel: only this channel; None: all.
    """

    rules: tuple[AlertRule, ...]
    product: Product
    by: str | None
    channel: str | None

    @property
    def metrics(self) -> list[str]:
        """The metrics in the spelling of the API. Each takes one request for several windows."""
        names = {REALTIME_METRICS[rule.metric].value for rule in self.rules}
        if any(rule.min_users > 1 for rule in self.rules):
            names.add(RealtimeMetric.USER_COUNT.value)
        return sorted(names)

    @property
    def key(self) -> str:
        """What identifies the query in a database."""
        return json.dumps([self.product, self.by, self.channel, bool(self.values)])

    @property
    def values(self) -> tuple[str, ...]:
        """The groups that are fetched; none: all."""
        if self.by is None:
            return ()
        return tuple(sorted({value for rule in self.rules for value in rule.only}))


def realtime_queries(rules: Sequence[AlertRule]) -> list[RealtimeAlertQuery]:
    """Return the queries that have the values of all rules.

    Raises:
        InvalidRequest: there is no rule, or Real-time has no values for one.

    Example:
        >>> rules = [AlertRule(name=name, metric=name, above=0.05) for name in ("audio_freeze_rate", "video_freeze_rate")]
        >>> [query.metrics for query in realtime_queries(rules)]
        [['audioFreezeRate', 'videoFreezeRate']]
    """
    check_rules(rules)
    grouped: defaultdict[tuple[Product, str, str, bool], list[AlertRule]] = defaultdict(list)
    for rule in rules:
        rule.check_source("realtime")
        if rule.by == "channel":
            for channel in rule.only:
                grouped[rule.product, "", channel, False].append(rule)
        else:
            # A query without values has the largest groups only, so those of `only` need one of their own.
            by = REALTIME_GROUPS[rule.by] if rule.by else ""
            grouped[rule.product, by, "", bool(rule.only)].append(rule)
    return [
        RealtimeAlertQuery(tuple(rules), product, by or None, channel or None)
        for (product, by, channel, _), rules in grouped.items()
    ]


def values_of(window: "LiveWindow", query: RealtimeAlertQuery, rule: AlertRule) -> Iterator[AlertValue]:
    """Yield the value of a rule for each group of a window."""
    groups: Mapping[str | None, Mapping[str, Any]] = {query.channel: window.values}
    if query.by is not None:
        groups = {
            group: values
            for group, values in window.groups.items()
            if group and (not rule.only or group in rule.only)
        }
    for group, values in groups.items():
        users = values.get(RealtimeMetric.USER_COUNT)
        yield AlertValue(
            start=window.ts,
            end=window.end,
            group=group,
            value=values.get(REALTIME_METRICS[rule.metric]),
            users=None if users is None else int(users),
        )


class RealtimeAlerts:
    """Evaluates rules on each window of Real-time, and queues their events.

    After a restart, it continues after the last window of the database, as far as the API still has the data.

    Args:
        client: the client, which the caller closes.
        rules: the rules.
        database: the states and the queue.
        silences: times in which alerts do not fire.
        now: the time in UTC epoch seconds.
        on_events: called with the events of a window, after they are written.

    Raises:
        InvalidRequest: there is no rule, or Real-time has no values for one.
    """

    def __init__(
        self,
        client: "AsyncAgora",
        rules: Sequence[AlertRule],
        database: AlertDatabase,
        *,
        silences: Sequence[Silence] = (),
        now: Callable[[], float],
        on_events: Callable[[Sequence[AlertEvent]], None] = lambda _: None,
    ) -> None:
        self.queries = realtime_queries(rules)
        self._client = client
        self._rules = rules
        self._database = database
        self._silences = silences
        self._now = now
        self._on_events = on_events

    async def run(self) -> None:
        """Evaluate windows until it is cancelled.

        Raises:
            AgoraAnalyticsError: a request failed in a way that a retry cannot help, such as wrong credentials.
            ConfigurationError: another process follows with the same database.
        """
        with self._database.followed():
            if events := self._database.drop_unusable_states(self._rules, self._now()):
                self._on_events(events)
            try:
                async with anyio.create_task_group() as tasks:
                    for query in self.queries:
                        tasks.start_soon(self._follow, query)
            except BaseExceptionGroup as failures:
                raise next(flatten(failures)) from None

    async def _follow(self, query: RealtimeAlertQuery) -> None:
        follow = self._client.realtime.follow(
            query.metrics,
            since=self._database.evaluated_until(query.key),
            product=query.product,
            by=query.by,
            values=query.values,
            cname=query.channel,
        ).shared_by(len(self.queries))
        async for window in follow:
            self.add(query, window)

    def add(self, query: RealtimeAlertQuery, window: "LiveWindow") -> list[AlertEvent]:
        """Evaluate the rules of a query on a window; return the events, which are queued."""
        events: list[AlertEvent] = []
        with self._database.transaction():
            for rule in query.rules:
                events += self._evaluate(rule, query, window)
            self._database.write_evaluated(query.key, window.end)
            self._database.queue.add(events, "realtime", self._now())
        if events:
            self._on_events(events)
        return events

    def _evaluate(
        self, rule: AlertRule, query: RealtimeAlertQuery, window: "LiveWindow"
    ) -> Iterator[AlertEvent]:
        states = self._database.states(rule)
        present = set[str | None]()
        for value in values_of(window, query, rule):
            state, events = evaluate(rule, states.get(value.group, AlertState()), value, self._silences)
            self._database.write_state(rule, value.group, state)
            present.add(value.group)
            yield from events
        if query.channel is not None:  # the states of other channels belong to other queries
            return
        for group in states.keys() - present:
            state, events = expire(rule, states[group], window.end, group=group)
            if state != states[group]:
                self._database.write_state(rule, group, state)
            yield from events
