"""Options that several commands share, and the decorator that lets a command take a group of them as one argument."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import attrs
import typer
from attrs import frozen

from agora_analytics.errors import InvalidRequest

R = TypeVar("R")

TIMES = "ISO 8601 (2026-11-20T08:00Z), epoch seconds, or a time ago (6h, 2d)"

SinceOption = Annotated[str, typer.Option(metavar="TIME", help=f"Start of the time range: {TIMES}.")]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="End of the time range, as --since.")]
SeedOption = Annotated[
    int, typer.Option(metavar="N", help="Seed of the simulated data; the same seed gives the same data.")
]
PortOption = Annotated[
    int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0: any free port.")
]
StoreOption = Annotated[
    Path,
    typer.Option(metavar="DIR", exists=True, file_okay=False, help="The store, as `harvest --out` names it."),
]
ServersOption = Annotated[
    bool, typer.Option("--servers", help="Include users on servers, such as recorders.")
]
UserOption = Annotated[
    list[str] | None, typer.Option(metavar="UID", help="Only this user; repeat it for up to 10 users.")
]


@frozen(kw_only=True)
class HarvestOptions:
    """The options of every harvest."""

    since: SinceOption
    until: UntilOption = "now"
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder of the store; created if it does not exist. Several vendors may share one.",
        ),
    ]
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only report what the harvest would cost; stores nothing. May send a few list requests.",
        ),
    ] = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a harvest and of its estimate."""
        return {"since": self.since, "until": self.until, "store": self.out}

    def __attrs_post_init__(self) -> None:
        # A path has one slash where a URL has two. A drive of Windows has one letter.
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]", str(self.out)):
            raise InvalidRequest(f"--out {self.out}: a store is a local folder, not a URL; name a folder")


@frozen(kw_only=True)
class ServerOptions:
    """The options of every simulated server."""

    latency: Annotated[
        str, typer.Option(metavar="MIN:MAX", help="Latency of a response in milliseconds.")
    ] = "0:0"
    fault_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of requests that fail, 0 to 1: resets, 5xx, broken responses, hangs.",
        ),
    ] = 0
    dirt_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of records and responses that are dirty, 0 to 1: wrong types, invalid text, bad times.",
        ),
    ] = 0
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1"

    def knobs(self, seed: int) -> dict[str, Any]:
        """Return the keywords of a simulator."""
        from agora_analytics.simulator import Dirt, Faults

        low, _, high = self.latency.partition(":")
        try:
            bounds = float(low) / 1000, float(high or low) / 1000
        except ValueError:
            bounds = (-1.0, -1.0)
        if not 0 <= bounds[0] <= bounds[1]:
            raise InvalidRequest(
                f"--latency {self.latency} is not a range of milliseconds; use MIN:MAX, such as 20:80"
            )
        return {
            "latency": bounds,
            "faults": Faults(share=self.fault_share, seed=seed),
            "dirt": Dirt(share=self.dirt_share, seed=seed) if self.dirt_share else None,
        }


def option_groups(command: Callable[..., R]) -> Callable[..., R]:
    """Replace each parameter whose type is an attrs class by one option for each of its fields.

    The command receives the group as one argument. Typer reads the options from the signature of the result.

    Example:
        >>> @option_groups
        ... def serve(port: int, *, server: ServerOptions) -> str:
        ...     return server.host
        >>> list(inspect.signature(serve).parameters)
        ['port', 'latency', 'fault_share', 'dirt_share', 'host']
        >>> serve(port=1, host="::1")
        '::1'
    """
    parameters, groups = [], {}
    for parameter in inspect.signature(command).parameters.values():
        if isinstance(parameter.annotation, type) and attrs.has(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.default is attrs.NOTHING else field.default,
                    annotation=field.type,
                )
                for field in attrs.fields(parameter.annotation)
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def with_options(**options: Any) -> R:
        made = {}
        for name, group in groups.items():
            names = [field.name for field in attrs.fields(group) if field.name in options]
            made[name] = group(**{field: options.pop(field) for field in names})
        return command(**options, **made)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del with_options.__wrapped__
    return with_options
