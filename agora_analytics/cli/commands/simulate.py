"""`agora-analytics simulate`, and how a simulated server of any vendor runs in the foreground."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agora_analytics.cli.options import PortOption, SeedOption, ServerOptions, option_groups
from agora_analytics.cli.terminal import out
from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.simulator import Seen

_MOST_HOURS = 100_000


@option_groups
def simulate(
    port: PortOption = 8080,
    plan: Annotated[
        str,
        typer.Option(
            metavar="PLAN", help="Plan whose limits are enforced: starter, standard, premium, enterprise."
        ),
    ] = "enterprise",
    seed: SeedOption = 7,
    calls: Annotated[int, typer.Option(min=0, metavar="N", help="Number of calls.")] = 500,
    hours: Annotated[
        float,
        typer.Option(
            min=0.1, max=_MOST_HOURS, metavar="N", help="The calls begin in this many hours before --until."
        ),
    ] = 24,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The calls begin after this time, instead of --hours."),
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="The calls begin before this time.")] = "now",
    ahead: Annotated[
        float,
        typer.Option(
            min=0,
            max=_MOST_HOURS,
            metavar="N",
            help="The project continues: calls begin until this many hours after --until.",
        ),
    ] = 0,
    hidden_after: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Return at most N calls for a time range, as a server that truncates its list.",
        ),
    ] = None,
    app_id: Annotated[str | None, typer.Option(metavar="ID", help="App id of the project.")] = None,
    customer_id: Annotated[
        str, typer.Option(metavar="ID", help="Customer id that is accepted.")
    ] = "demo-customer-id",
    customer_secret: Annotated[
        str,
        typer.Option(
            metavar="SECRET", help="Secret that is accepted. Default: the demo's.", show_default=False
        ),
    ] = "demo-customer-secret",  # noqa: S107 - of a simulation
    *,
    server: ServerOptions,
) -> None:
    """Simulate Agora's server on this machine with made-up calls and the real limits; needs no account.

    The server runs until Ctrl-C. Then it reports the requests it received and every limit that was exceeded.
    """
    from agora_analytics.agora.plans import PLANS
    from agora_analytics.instants import epoch_seconds, iso
    from agora_analytics.simulator import DEMO_APP_ID, Simulator, World

    if plan not in {"starter", *PLANS}:
        raise InvalidRequest(f"unknown plan {plan!r}; use one of starter, {', '.join(PLANS)}")
    now = time.time()
    last = epoch_seconds(until, now=now, name="until")
    first = last - hours * 3600 if since is None else epoch_seconds(since, now=now, name="since")
    if not first < last:
        raise InvalidRequest(f"--since ({iso(first)}) must be before --until ({iso(last)})")
    end = last + ahead * 3600
    world = World.generate(seed=seed, since=first, until=end, calls=calls, app_id=app_id or DEMO_APP_ID)
    simulator = Simulator(
        world,
        plan=plan,
        credentials={customer_id: customer_secret},
        hidden_after=hidden_after,
        **server.knobs(seed),
    )
    serve_until_stopped(
        simulator,
        server.host,
        port,
        content=f"{calls:,} calls from {iso(first)} to {iso(end)}\nunder the {plan} plan",
        environment=lambda base_url: {
            "AGORA_BASE_URL": base_url,
            "AGORA_CUSTOMER_ID": customer_id,
            "AGORA_CUSTOMER_SECRET": customer_secret,
            "AGORA_APP_ID": world.app_id,
            "AGORA_PLAN": plan,
        },
        next_command=f"agora-analytics harvest --out calls.store \\\n    --since {iso(first)} --until {iso(last)}",
    )


def serve_until_stopped(
    simulator: Any,
    host: str,
    port: int,
    *,
    content: str,
    environment: Callable[[str], Mapping[str, str]],
    next_command: str,
) -> None:
    """Run a simulated server of any vendor until Ctrl-C.

    `environment` returns the environment variables of a client for a base URL; `next_command` is to be typed next.
    """
    from agora_analytics.simulator import run

    console = out()

    def started(base_url: str) -> None:
        console.print(
            f"[good]Simulating[/] {content}\nat [fact]{base_url}[/]. Stop with Ctrl-C.\n\nIn another terminal:\n"
        )
        # Lines are not wrapped, so that they can be copied.
        for name, value in environment(base_url).items():
            console.print(f"  export {name}={value}", markup=False, soft_wrap=True)
        console.print(f"\n  {next_command}\n", markup=False, soft_wrap=True)

    try:
        run(simulator, host=host, port=port, on_start=started)
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(
            f"cannot listen on {host}:{port}: {reason}; choose another --port (0: any free port) or --host"
        ) from error
    console.print()  # after the ^C of the terminal
    for line in format_server_report(simulator.seen):
        console.print(line, markup=False)


def format_server_report(seen: "Seen") -> list[str]:
    """Return what a simulator received, and the limits that were exceeded, as lines."""
    by_endpoint = ", ".join(f"{name} {count:,}" for name, count in sorted(seen.requests.items()))
    lines = [f"The server counted {seen.requests.total():,} requests"]
    exceeded = {key: count for key, count in seen.refused.items() if "limit" in key[1]}
    if not exceeded:
        lines[0] += ", and no limit was exceeded"
    if by_endpoint:
        lines[0] += f":\n  {by_endpoint}"
    lines += [
        f"A limit of {name} was exceeded {count:,} times: {reason}"
        for (name, reason), count in exceeded.items()
    ]
    others = seen.refused.total() - sum(exceeded.values())
    if others:
        lines.append(f"Requests refused for other reasons: {others:,}")
    if seen.faults:
        lines.append(f"Requests that failed on purpose: {seen.faults.total():,}")
    if seen.dirt:
        lines.append(
            f"Dirty records and responses: {seen.dirt.total():,}; unreadable records: {len(seen.unreadable):,}"
        )
    return [f"{line}." for line in lines]
