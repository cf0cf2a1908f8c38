"""`agora-analytics simulate`."""

import time
from typing import Annotated

import typer

from agora_analytics.cli.serve import seconds_of, serve_until_stopped
from agora_analytics.errors import InvalidRequest


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0: a free one.")] = 8080,
    plan: Annotated[
        str,
        typer.Option(
            metavar="starter|standard|premium|enterprise", help="The plan whose limits it enforces."
        ),
    ] = "enterprise",
    seed: Annotated[int, typer.Option(help="Where the calls come from: the same seed, the same calls.")] = 7,
    calls: Annotated[int, typer.Option(min=0, help="How many calls there are.")] = 500,
    hours: Annotated[float, typer.Option(min=0.1, help="They begin in so many hours before --until.")] = 24,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="... or from here on: ISO 8601, epoch seconds, 6h, 2d.")
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to when calls begin.")] = "now",
    latency: Annotated[
        str, typer.Option(metavar="MIN:MAX", help="Milliseconds that an answer takes.")
    ] = "0:0",
    fault_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of requests that fail: resets, 5xx, broken answers, hangs."),
    ] = 0,
    hidden_after: Annotated[
        int | None, typer.Option(min=1, help="Calls of a time range that the list shows at most.")
    ] = None,
    app_id: Annotated[str | None, typer.Option(help="The app id that has the calls.")] = None,
    customer_id: Annotated[str, typer.Option(help="The customer id that is let in.")] = "demo-customer-id",
    customer_secret: Annotated[str, typer.Option(help="Its secret.")] = "demo-customer-secret",  # noqa: S107
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Play Agora's server on this machine: a made-up project behind the real limits, to try things on without an account.

    It runs until Ctrl-C, and then says what it was asked and whether any limit was broken.
    """
    from agora_analytics.agora.plans import PLANS
    from agora_analytics.instants import epoch_seconds, iso
    from agora_analytics.simulator import DEMO_APP_ID, Faults, Simulator, World

    if plan not in {"starter", *PLANS}:
        raise InvalidRequest(f"there is no plan {plan!r}; choose one of starter, {', '.join(PLANS)}")
    now = time.time()
    last = epoch_seconds(until, now=now, name="until")
    first = last - hours * 3600 if since is None else epoch_seconds(since, now=now, name="since")
    if not first < last:
        raise InvalidRequest(f"since ({iso(first)}) is not before until ({iso(last)})")
    world = World.generate(seed=seed, since=first, until=last, calls=calls, app_id=app_id or DEMO_APP_ID)
    simulator = Simulator(
        world,
        plan=plan,
        credentials={customer_id: customer_secret},
        latency=seconds_of(latency),
        faults=Faults(share=fault_share, seed=seed),
        hidden_after=hidden_after,
    )
    serve_until_stopped(
        simulator,
        host,
        port,
        what=f"{calls:,} calls of {iso(first)} to {iso(last)}, under the {plan} plan,",
        exports=lambda base_url: {
            "AGORA_BASE_URL": base_url,
            "AGORA_CUSTOMER_ID": customer_id,
            "AGORA_CUSTOMER_SECRET": customer_secret,
            "AGORA_APP_ID": world.app_id,
            "AGORA_PLAN": plan,
        },
        then=f"agora-analytics harvest --out calls.store \\\n    --since {iso(first)} --until {iso(last)}",
    )
