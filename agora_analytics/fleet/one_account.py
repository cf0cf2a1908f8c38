"""One pass over one account of the configuration file."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.apsaravideo.client import AsyncApsaraVideo
from agora_analytics.errors import ConfigurationError
from agora_analytics.fleet.report import AccountObserver, AccountReport
from agora_analytics.harvest.insights import harvest_insights
from agora_analytics.harvest.run import HarvestStore, harvest
from agora_analytics.instants import Instant
from agora_analytics.kit.client import ConfigPath
from agora_analytics.kit.config_file import Account, Config, read_config
from agora_analytics.opentok.client import AsyncOpenTok
from agora_analytics.store import open_store

if TYPE_CHECKING:
    from agora_analytics.engine.clock import Clock
    from agora_analytics.engine.ledger import Ledger
    from agora_analytics.engine.retry_policy import RetryPolicy
    from agora_analytics.engine.shared_resources import SharedResources

_CLIENTS: Mapping[str, Any] = {"agora": AsyncAgora, "apsaravideo": AsyncApsaraVideo, "opentok": AsyncOpenTok}


async def harvest_account(
    name: str,
    config: ConfigPath | None = None,
    *,
    since: Instant | None = None,
    until: Instant = "now",
    store: HarvestStore | None = None,
    durable: bool = True,
    verify: bool = False,
    compact: bool = True,
    ledger: "Ledger | None" = None,
    resources: "SharedResources | None" = None,
    retry: "RetryPolicy | None" = None,
    clock: "Clock | None" = None,
    observer: AccountObserver | None = None,
) -> AccountReport:
    """Harvest one account of the configuration file once, with the settings that the file has for it.

    Args:
        name: the account.
        config: the configuration file; None: the one that `AGORA_CONFIG` names, or the default one.
        since: the start of the time range. Default: `since` of the account.
        until: its end.
        store: a store, or the folder of one. Default: `store` of the account or of the file.
        durable: flush every object to the disk before it counts as written.
        verify: read every page of the store first, as for `harvest`.
        compact: merge the files of days that are over, as for `harvest`.
        ledger: counts the requests. Default: that of `AGORA_LEDGER` or of the file.
        resources: what the client shares with other clients of the event loop.
        retry: timeouts, deadline, back-off and number of attempts.
        clock: as for the clients.
        observer: called with the name of the account and each event, in addition to the log.

    Returns:
        The report. Its `error` is None.

    Raises:
        ConfigurationError: there is no such account, it cannot be harvested, a secret is missing, or neither the file
            nor the caller names a store and a start.
        AgoraAnalyticsError: as `harvest`.

    Example:
        report = await harvest_account("acme")
        print(report.report.calls, report.retry_at)
    """
    account = read_config(config).named(name)
    arguments = {"since": since, "until": until, "store": store, "durable": durable, "verify": verify}
    options = {"ledger": ledger, "resources": resources, "retry": retry, "clock": clock}
    report = await pass_over(account, arguments, options, compact=compact, observer=observer)
    if report.error is not None:
        raise report.error
    return report


async def pass_over(
    account: Account,
    arguments: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    compact: bool,
    observer: AccountObserver | None,
) -> AccountReport:
    """Harvest an account once. An error does not raise: the report has it, and what ended before it.

    Args:
        account: the account.
        arguments: of `harvest_account`; None stands for the setting of the account.
        options: of the client.
        compact: as for `harvest`.
        observer: as for `harvest_account`.
    """
    found = account.harvest
    store = arguments["store"] or found.store
    done: dict[str, Any] = {"store": None if store is None else _location(store)}
    event = None if observer is None else partial(observer, account.name)
    try:
        since = arguments["since"] or found.since
        _require(account, store, since)
        given = {name: value for name, value in options.items() if value is not None}
        async with _client(account, observer=event, **given) as client:
            if isinstance(store, str | Path):
                store = await asyncio.to_thread(open_store, store, create=True, durable=arguments["durable"])
            common: dict[str, Any] = {
                "since": since,
                "until": arguments["until"],
                "store": store,
                "verify": arguments["verify"],
                "observer": event,
            }
            spending: dict[str, Any] = {"reserve": found.reserve, "value": found.value}
            done["report"] = await harvest(client, **common, **spending, compact=compact)
            if found.insights and isinstance(client, AsyncAgora):
                done["insights"] = await harvest_insights(client, found.insights, **common)
            done["quota"] = tuple(quota for quota in await client.quota() if quota.daily)
    except Exception as error:  # noqa: BLE001 - of one account; the others continue
        done["error"] = error
    return AccountReport(account=account.name, vendor=account.vendor, **done)


def _location(store: HarvestStore) -> str:
    """Return the folder or the URL of a store."""
    return str(getattr(store, "url", None) or getattr(store, "path", store))


def _client(account: Account, **options: Any) -> Any:
    config = Config(account.file, None, None, {account.name: account})
    return _CLIENTS[account.vendor].from_config(account.name, config, **options)


def _require(account: Account, store: HarvestStore | None, since: Instant | None) -> None:
    if not account.can_be_harvested:
        raise ConfigurationError(f"{account}: accounts of vendor {account.vendor!r} cannot be harvested")
    for name, value, example in (("store", store, "calls.store"), ("since", since, "2d")):
        if value is None:
            raise ConfigurationError(
                f'{account} has no {name}; add {name} = "{example}" to it or to [defaults]'
            )
