"""The account of an Agora project in dlt's configuration, such as `secrets.toml`."""

import dataclasses
from typing import Any

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.typing import TSecretStrValue

_KEYS = ("customer_id", "customer_secret", "app_id", "plan", "region", "base_url")


@configspec
class AgoraCredentials(CredentialsConfiguration):
    """The settings of a client, as dlt resolves them. What dlt does not know is read from the `AGORA_*` variables.

    Attributes:
        customer_id: of the RESTful API.
        customer_secret: of the RESTful API. It is not shown.
        app_id: the project's app id.
        plan: `standard`, `premium` or `enterprise`.
        region: where the machine is: `global` or `cn`.
        base_url: one host in place of the documented ones.

    Example of `secrets.toml`:
        [sources.agora.credentials]
        customer_id = "..."
        customer_secret = "..."
        app_id = "..."
    """

    customer_id: str | None = None
    customer_secret: TSecretStrValue | None = dataclasses.field(default=None, repr=False)
    app_id: str | None = None
    plan: str | None = None
    region: str | None = None
    base_url: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that dlt knows, as the keyword arguments of a client."""
        return {name: self[name] for name in _KEYS if self[name] is not None}
