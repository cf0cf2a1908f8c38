"""Who asks: the environment, and the options that win over it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from agora_analytics.errors import ConfigurationError

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora

LEDGER = "AGORA_LEDGER"
_REQUIRED = {
    "customer_id": "AGORA_CUSTOMER_ID",
    "customer_secret": "AGORA_CUSTOMER_SECRET",
    "app_id": "AGORA_APP_ID",
}

_PANEL = "Who asks"

PlanOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_PANEL,
        metavar="standard|premium|enterprise",
        help="The plan, whose pace is kept. Or AGORA_PLAN; else standard.",
    ),
]
AppIdOption = Annotated[
    str | None, typer.Option(rich_help_panel=_PANEL, help="The app id of the project. Or AGORA_APP_ID.")
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="One host to ask: a proxy, the simulator. Or AGORA_BASE_URL."),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_PANEL,
        metavar="global|cn",
        help="Where this machine is. Or AGORA_REGION; else global.",
    ),
]
LedgerOption = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=_PANEL,
        help="The file that keeps the day's count, shared by all that name it. Or AGORA_LEDGER; "
        "else ledger.sqlite3 in the user's state folder (on Linux ~/.local/state/agora-analytics).",
    ),
]


@frozen(kw_only=True)
class Account:
    """What the options say; what they leave open, the environment says."""

    plan: str | None = None
    app_id: str | None = None
    base_url: str | None = None
    region: str | None = None
    ledger: Path | None = None

    def client(self, *, sends: bool = True, **means: Any) -> "AsyncAgora":
        """Return a client for this account.

        Args:
            sends: whether it will send anything; a client that only counts needs no secret and no app id.
            means: further arguments of `AsyncAgora`.

        Raises:
            ConfigurationError: naming everything that is missing.
        """
        from agora_analytics.agora.client import AsyncAgora

        self._require(sends=sends)
        if not sends:
            means |= {"customer_secret": "-", "app_id": "-"}
        return AsyncAgora.from_env(
            os.environ | {LEDGER: str(self.ledger_path)},
            plan=self.plan,
            base_url=self.base_url,
            region=self.region,
            **({"app_id": self.app_id} | means),
        )

    @property
    def ledger_path(self) -> Path:
        """The file that keeps the day's count."""
        if self.ledger:
            return self.ledger
        if named := os.environ.get(LEDGER):
            return Path(named)
        import platformdirs

        return platformdirs.user_state_path("agora-analytics", appauthor=False) / "ledger.sqlite3"

    def _require(self, *, sends: bool) -> None:
        needed = _REQUIRED if sends else {"customer_id": _REQUIRED["customer_id"]}
        missing = [
            variable
            for name, variable in needed.items()
            if not os.environ.get(variable) and not (name == "app_id" and self.app_id)
        ]
        if missing:
            raise ConfigurationError(
                f"not set in the environment: {', '.join(missing)}; Agora Console shows the values, "
                "or try `agora-analytics demo`, which needs no account"
            )
