"""The accounts of each vendor: options, the environment variables that they override, and the client for them."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from attrs import frozen

from agora_analytics.cli.options import RequestLimits
from agora_analytics.engine.open_ledger import open_ledger
from agora_analytics.errors import ConfigurationError
from agora_analytics.kit.config_file import ACCOUNT, HarvestSettings, read_config

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo
    from agora_analytics.opentok.client import AsyncOpenTok

C = TypeVar("C")

_option = partial(typer.Option, rich_help_panel="Account")


@frozen(kw_only=True)
class AccountChoice:
    """The options of every command that sends or counts requests: which account, and where requests are counted."""

    account: Annotated[
        str | None,
        _option(
            metavar="NAME",
            help="Account of the configuration file. Or AGORA_ACCOUNT; default: the account that the environment "
            "variables of the vendor describe.",
        ),
    ] = None
    config: Annotated[
        Path | None,
        _option(
            metavar="FILE",
            dir_okay=False,
            help="Configuration file with accounts. Or AGORA_CONFIG; default: agora-analytics.toml in the working "
            "directory or in the user's configuration folder.",
        ),
    ] = None
    ledger: Annotated[
        str | None,
        _option(
            metavar="FILE|URL",
            help="File with the count of the day's requests, shared by all processes that name it; or 'memory'; or, to "
            "share it with other machines, postgresql://... or redis://... Or AGORA_LEDGER; default: ledger.sqlite3 in the user's state folder, on Linux ~/.local/state/agora-analytics.",
        ),
    ] = None

    def harvest_settings(self) -> HarvestSettings:
        """Return what the configuration file says about the harvest of the named account, if one is named.

        Raises:
            ConfigurationError: the file cannot be used, or has no such account.
        """
        if self.account or self.config or os.environ.get(ACCOUNT):
            return read_config(self.config).named(self.account).harvest
        return HarvestSettings()

    def open_client(
        self, kind: type[C], settings: Mapping[str, Any], *, variables: Sequence[str], without_account: str
    ) -> C:
        """Return a client of the named account, or of the one that environment variables describe.

        Args:
            kind: the class of the client.
            settings: the options of the client; None counts as absent.
            variables: the environment variables that are needed if no account is named.
            without_account: the command that needs no account.

        Raises:
            ConfigurationError: a setting is missing or cannot be used. It names every missing variable.
        """
        given = dict(settings)
        if self.ledger:
            given["ledger"] = open_ledger(self.ledger)
        create: Any = kind
        if self.account or self.config or os.environ.get(ACCOUNT):
            client = create.from_config(self.account, self.config, **given)
        else:
            _require(variables, without_account)
            client = create.from_env(**given)
        if self.ledger:
            client._use(given["ledger"])  # noqa: SLF001 - so that the client closes it
        return cast("C", client)


@frozen(kw_only=True)
class LedgerAccount(AccountChoice):
    """An Agora account, as far as counting requests needs it: nothing is sent."""

    plan: Annotated[
        str | None,
        _option(
            metavar="PLAN",
            help="standard, premium or enterprise; sets the rate limits. Or AGORA_PLAN; default: standard.",
        ),
    ] = None
    base_url: Annotated[
        str | None,
        _option(
            metavar="URL",
            help="Send all requests to this host, such as a proxy or the simulator. Or AGORA_BASE_URL.",
        ),
    ] = None

    def offline_client(self, **settings: Any) -> "AsyncAgora":
        """Return a client that only counts; it needs neither secret nor app id."""
        return self._make(("AGORA_CUSTOMER_ID",), {"customer_secret": "-", "app_id": "-"} | settings)

    def _make(self, variables: Sequence[str], settings: Mapping[str, Any]) -> "AsyncAgora":
        from agora_analytics.agora.client import AsyncAgora

        given = {"plan": self.plan, "base_url": self.base_url, **settings}
        return self.open_client(
            AsyncAgora, given, variables=variables, without_account="agora-analytics demo"
        )


@frozen(kw_only=True)
class AgoraAccount(RequestLimits, LedgerAccount):
    """An Agora account."""

    app_id: Annotated[str | None, _option(metavar="ID", help="App id of the project. Or AGORA_APP_ID.")] = (
        None
    )
    region: Annotated[
        str | None,
        _option(
            metavar="REGION", help="Region of this machine: global or cn. Or AGORA_REGION; default: global."
        ),
    ] = None

    def client(self, **options: Any) -> AbstractAsyncContextManager["AsyncAgora"]:
        """Return a client of this account; the error of an incomplete one names every missing variable."""
        app_id = () if self.app_id else ("AGORA_APP_ID",)
        variables = ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", *app_id)
        options |= {"region": self.region, "app_id": self.app_id, "retry": self.retry_policy()}
        return self.limit(self._make(variables, options))


@frozen(kw_only=True)
class OpenTokAccount(RequestLimits, AccountChoice):
    """An OpenTok project or a Vonage application."""

    base_url: Annotated[
        str | None,
        _option(
            metavar="URL", help="Send all requests to this host, such as the simulator. Or OPENTOK_BASE_URL."
        ),
    ] = None

    def client(self, **options: Any) -> AbstractAsyncContextManager["AsyncOpenTok"]:
        """Return a client of this account; the error of an incomplete one names every missing variable."""
        from agora_analytics.opentok.client import AsyncOpenTok

        is_application = os.environ.get("VONAGE_APPLICATION_ID")
        variables = () if is_application else ("OPENTOK_API_KEY", "OPENTOK_API_SECRET")
        options |= {"base_url": self.base_url, "retry": self.retry_policy()}
        without = "agora-analytics opentok simulate"
        return self.limit(
            self.open_client(AsyncOpenTok, options, variables=variables, without_account=without)
        )


@frozen(kw_only=True)
class ApsaraVideoAccount(RequestLimits, AccountChoice):
    """An app of ApsaraVideo Live."""

    app_id: Annotated[str | None, _option(metavar="ID", help="Id of the app. Or APSARAVIDEO_APP_ID.")] = None
    base_url: Annotated[
        str | None,
        _option(
            metavar="URL",
            help="Send all requests to this endpoint: a region's, or the simulator. Or APSARAVIDEO_BASE_URL.",
        ),
    ] = None

    def client(self, **options: Any) -> AbstractAsyncContextManager["AsyncApsaraVideo"]:
        """Return a client of this account; the error of an incomplete one names every missing variable."""
        from agora_analytics.apsaravideo.client import ENVIRONMENT, AsyncApsaraVideo

        app_id = () if self.app_id else (ENVIRONMENT["app_id"],)
        variables = (ENVIRONMENT["access_key_id"], ENVIRONMENT["access_key_secret"], *app_id)
        options |= {"app_id": self.app_id, "base_url": self.base_url, "retry": self.retry_policy()}
        without = "agora-analytics apsaravideo simulate"
        return self.limit(
            self.open_client(AsyncApsaraVideo, options, variables=variables, without_account=without)
        )


def _require(variables: Sequence[str], without_account: str) -> None:
    missing = [name for name in variables if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)}; set {'it' if len(missing) == 1 else 'them'} "
            "to the values of the vendor's console, "
            f"name an account of a configuration file with --account, or run `{without_account}`, which needs no account"
        )
