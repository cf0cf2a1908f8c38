"""Simulated accounts of several vendors at one address, and the configuration file that names them."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define

from agora_analytics import AsyncAgora
from agora_analytics.instants import utc_day
from agora_analytics.simulator import (
    DEMO_KEYS,
    DEMO_PROJECT,
    ApsaraVideoSimulator,
    ApsaraVideoWorld,
    CombinedSimulator,
    OpenTokSimulator,
    OpenTokWorld,
    Simulator,
    World,
)
from agora_analytics.store import ParquetStore

DAY = 86_400
((PROJECT, PROJECT_SECRET),) = DEMO_PROJECT.items()
((KEY, KEY_SECRET),) = DEMO_KEYS.items()
SECRET = "demo-customer-secret"


@define
class Fleet:
    """Simulated accounts: Agora accounts by name, each with a customer and an app of its own, and one of each other vendor.

    Attributes:
        worlds: the world of each Agora account.
        agora, opentok, apsaravideo: the simulators.
    """

    worlds: Mapping[str, World]
    agora: Simulator
    opentok: OpenTokSimulator
    apsaravideo: ApsaraVideoSimulator

    @property
    def simulator(self) -> CombinedSimulator:
        """All accounts at one address."""
        return CombinedSimulator(self.agora, self.opentok, self.apsaravideo)

    @property
    def refused(self) -> dict[str, int]:
        """Return how many requests the simulators refused, by message."""
        seen = (self.agora.seen, self.opentok.seen, self.apsaravideo.seen)
        return {message: n for each in seen for (_, message), n in each.refused.items()}


def make_fleet(names: Sequence[str], until: float, *, calls: int = 4, **settings: Any) -> Fleet:
    """Return simulated accounts whose calls began in the six hours before `until`."""
    worlds = {
        name: World.generate(
            seed=7,
            app_id=f"app-{name}",
            since=until - 6 * 3600,
            until=until,
            calls=calls,
            simple=True,
            interval=60,
        )
        for name in names
    }
    credentials = {f"customer-{name}": SECRET for name in names}
    return Fleet(
        worlds=worlds,
        agora=Simulator(worlds.values(), credentials=credentials, **settings),
        opentok=OpenTokSimulator(
            OpenTokWorld.generate(
                seed=7, since=until - 2 * DAY, until=until, sessions=2, peers=1, ongoing_share=0
            ),
            **settings,
        ),
        apsaravideo=ApsaraVideoSimulator(ApsaraVideoWorld.generate(seed=7), **settings),
    )


def agora_entry(name: str, *lines: str) -> str:
    """Return an Agora account of the file; its secret is in the variable `FLEET_SECRET`."""
    return "\n".join(
        (
            "[[account]]",
            f'name = "{name}"',
            'vendor = "agora"',
            f'app_id = "app-{name}"',
            f'customer_id = "customer-{name}"',
            *([] if any("secret" in line for line in lines) else ['customer_secret_env = "FLEET_SECRET"']),
            *lines,
        )
    )


def opentok_entry(name: str) -> str:
    return (
        f'[[account]]\nname = "{name}"\nvendor = "opentok"\napi_key = "{PROJECT}"\n'
        'api_secret_env = "FLEET_PROJECT_SECRET"'
    )


def apsaravideo_entry(name: str) -> str:
    app_id = ApsaraVideoWorld.generate(seed=7).app_ids[0]
    return (
        f'[[account]]\nname = "{name}"\nvendor = "apsaravideo"\napp_id = "{app_id}"\naccess_key_id = "{KEY}"\n'
        'access_key_secret_env = "FLEET_KEY_SECRET"'
    )


SECRETS = {
    "FLEET_SECRET": SECRET,
    "FLEET_WRONG_SECRET": "not-the-secret",
    "FLEET_PROJECT_SECRET": PROJECT_SECRET,
    "FLEET_KEY_SECRET": KEY_SECRET,
}
"""The variables that the entries name."""


def write_config(folder: Path, url: str, *entries: str, defaults: Sequence[str] = ()) -> Path:
    """Write a configuration file whose accounts use the simulators at a URL, and one store."""
    head = (
        'store = "calls.store"',
        "[defaults]",
        'plan = "enterprise"',
        'since = "2d"',
        f'base_url = "{url}"',
        *defaults,
    )
    path = folder / "agora-analytics.toml"
    path.write_text("\n".join(("\n".join(head), *entries, "")), "utf-8")
    return path


def rows(store: ParquetStore) -> dict[str, dict[str, int]]:
    """Return the calls, sessions and samples of each app in a store. Asserts that no row is stored twice."""
    points, keys = store.sql(
        "select count(*), count(distinct (app_id, call_id, sid, mid, peer_uid, ts)) from metrics"
    ).fetchall()[0]
    assert points == keys
    found: dict[str, dict[str, int]] = {}
    for table, key in (("calls", "calls"), ("sessions", "sessions"), ("metrics", "points")):
        for app, count in store.sql(f"select app_id, count(*) from {table} group by 1").fetchall():
            found.setdefault(app, {})[key] = count
    return found


def truth(world: World, now: float) -> dict[str, int]:
    """Return the calls, sessions and samples of a world, in the form of `rows`."""
    totals = world.totals(now, server_users=True)
    return {"calls": totals.calls, "sessions": totals.sessions, "points": totals.points}


async def spend_day(config, name, ledger):
    """Record in a ledger that the server reports the day's quota of an account as spent."""
    async with AsyncAgora.from_config(name, config, ledger=ledger) as client:
        for endpoint in ("call/lists", "call/sessions", "call/metrics"):
            await ledger.close_day(client._engine._budget(endpoint), utc_day(time.time()))
