"""The accounts of each vendor: options, the environment variables that they override, and the client for them."""

import os
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.cli.options import RequestLimits
from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo
    from agora_analytics.opentok.client import AsyncOpenTok

LEDGER = "AGORA_LEDGER"
_option = partial(typer.Option, rich_help_panel="Account")


@frozen(kw_only=True)
class LedgerAccount:
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
    ledger: Annotated[
        Path | None,
        _option(
            metavar="FILE",
            help="File with the count of the day's requests, shared by all processes that name it. Or AGORA_LEDGER; "
            "default: ledger.sqlite3 in the user's state folder, on Linux ~/.local/state/agora-analytics.",
        ),
    ] = None

    def offline_client(self, **settings: Any) -> "AsyncAgora":
        """Return a client that only counts; it needs neither secret nor app id."""
        _require(("AGORA_CUSTOMER_ID",), "agora-analytics demo")
        return self._make(**({"customer_secret": "-", "app_id": "-"} | settings))

    def _make(self, **settings: Any) -> "AsyncAgora":
        from agora_analytics.agora.client import AsyncAgora

        environment = os.environ | {LEDGER: str(self.ledger_path)}
        return AsyncAgora.from_env(environment, plan=self.plan, base_url=self.base_url, **settings)

    @property
    def ledger_path(self) -> Path:
        """The file with the count of the day's requests."""
        if self.ledger:
            return self.ledger
        if named := os.environ.get(LEDGER):
            return Path(named)
        import platformdirs

        return platformdirs.user_state_path("agora-analytics", appauthor=False) / "ledger.sqlite3"


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
        _require(("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", *app_id), "agora-analytics demo")
        options["retry"] = self.retry_policy()
        return self.limit(self._make(region=self.region, app_id=self.app_id, **options))


@frozen(kw_only=True)
class OpenTokAccount(RequestLimits):
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

        if not os.environ.get("VONAGE_APPLICATION_ID"):
            _require(("OPENTOK_API_KEY", "OPENTOK_API_SECRET"), "agora-analytics opentok simulate")
        options["retry"] = self.retry_policy()
        return self.limit(AsyncOpenTok.from_env(base_url=self.base_url, **options))


@frozen(kw_only=True)
class ApsaraVideoAccount(RequestLimits):
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
        needed = (ENVIRONMENT["access_key_id"], ENVIRONMENT["access_key_secret"], *app_id)
        _require(needed, "agora-analytics apsaravideo simulate")
        options["retry"] = self.retry_policy()
        return self.limit(AsyncApsaraVideo.from_env(app_id=self.app_id, base_url=self.base_url, **options))


def _require(variables: tuple[str, ...], without_account: str) -> None:
    missing = [name for name in variables if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)}; set them to the values of the vendor's console, "
            f"or run `{without_account}`, which needs no account"
        )
