"""The settings of an Agora client: app, plan, region and hosts."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from agora_analytics.agora.credentials import Basic, BasicSource
from agora_analytics.agora.domains import SUFFIXES, host_table
from agora_analytics.agora.plans import PLANS, STANDARD, Plan
from agora_analytics.core.base_url import checked_base_url, refuse_open
from agora_analytics.core.domains import HostTable
from agora_analytics.core.sent_text import required_credential
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.errors import ConfigurationError
from agora_analytics.kit.client import ClientOptions

if TYPE_CHECKING:
    from agora_analytics.kit.config_file import Account

_required = required_credential("AGORA_")


class Region(StrEnum):
    """The location of the caller's machine, which decides the preferred primary host."""

    GLOBAL = "global"
    CN = "cn"


ENVIRONMENT = {
    "customer_id": "AGORA_CUSTOMER_ID",
    "customer_secret": "AGORA_CUSTOMER_SECRET",
    "app_id": "AGORA_APP_ID",
    "plan": "AGORA_PLAN",
    "region": "AGORA_REGION",
    "base_url": "AGORA_BASE_URL",
}


PlanName = Literal["standard", "premium", "enterprise"]
"""The name of a plan. For a name that is computed, pass `PLANS[name]`."""
RegionName = Literal["global", "cn"]
"""The name of a region. For a name that is computed, pass `Region(name)`."""


class CustomerOptions(ClientOptions, total=False):
    """The keyword arguments of `AsyncAgoraBeta.from_env` and `AsyncAgora.from_env`."""

    customer_id: str | None
    customer_secret: str | None
    credentials: Basic | BasicSource | None
    account: str | None
    app_id: str | None
    region: Region | RegionName | None


class AgoraOptions(CustomerOptions, total=False):
    """The keyword arguments of `AsyncAgora.from_env`."""

    plan: Plan | PlanName | None
    regional_hosts: bool
    shared_budget: bool


def account_variables(variables: Mapping[str, str], credentials: object) -> dict[str, str]:
    """Return the variables to read; those of the credentials are replaced by credentials that the caller passes."""
    replaced = ("customer_id", "customer_secret") if credentials is not None else ()
    return {name: variable for name, variable in variables.items() if name not in replaced}


def customer_arguments(account: "Account", given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client for the settings of an account of a configuration file."""
    names = ("customer_id", "customer_secret")
    account.require(given, "app_id")
    if given.get("credentials") is None:
        account.require(given, *names)
        return given
    return {name: value for name, value in given.items() if name not in names}


def _plan(plan: Plan | str) -> Plan:
    if isinstance(plan, Plan):
        return plan
    try:
        return PLANS[plan.strip().lower()]
    except KeyError:
        raise ConfigurationError(
            f"unknown plan {plan!r}; choose one of {', '.join(PLANS)} (Starter has no API)"
            f"{did_you_mean(plan, PLANS)}"
        ) from None


def _region(region: Region | str) -> Region:
    try:
        return Region(region.strip().lower())
    except ValueError:
        raise ConfigurationError(
            f"unknown region {region!r}; choose one of {', '.join(Region)}{did_you_mean(region, Region)}"
        ) from None


@frozen(kw_only=True)
class Settings:
    """The settings of an Agora client, without its credentials.

    Attributes:
        app_id: the project's app id.
        plan: `standard`, `premium`, `enterprise`, or a `Plan` with the numbers of your contract.
        region: where your machine is: `global`, or `cn` inside mainland China.
        base_url: one host in place of the documented ones: a proxy, a test server, the simulator.
        allow_http: accept plain http for another machine, which shows the secret to everybody in between.
        regional_hosts: use the hosts of a single area as the last resort.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.
    """

    app_id: str = field(validator=_required)
    plan: Plan = field(default=STANDARD, converter=_plan)
    region: Region = field(default=Region.GLOBAL, converter=_region)
    base_url: str | None = field(default=None, converter=checked_base_url)
    allow_http: bool = False
    regional_hosts: bool = True

    def __attrs_post_init__(self) -> None:
        refuse_open(self.base_url, allow_http=self.allow_http)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The primary base URLs, the preferred one first."""
        return tuple(host for host in (self.host_table.preferred, self.host_table.alternate) if host)

    @property
    def host_table(self) -> HostTable:
        """The hosts of the client: the base URL, or all documented ones with the region's suffix preferred."""
        if self.base_url:
            return HostTable(preferred=self.base_url)
        return host_table(SUFFIXES[self.region is Region.CN], regional=self.regional_hosts)
