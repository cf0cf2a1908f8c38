"""Options that several commands share, and the decorator that lets a command take a group of them as one argument."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import attrs
import typer
from attrs import frozen

from agora_analytics.core.base_url import path_as_url
from agora_analytics.errors import InvalidRequest
from agora_analytics.store.bucket.location import BucketLocation, bucket_url

if TYPE_CHECKING:
    from agora_analytics.engine.retry_policy import RetryPolicy
    from agora_analytics.kit.config_file import HarvestSettings

STORES = "give the path of a folder, or a bucket: s3://, gs:// or az://"

C = TypeVar("C")
R = TypeVar("R")

TIMES = "2026-11-20, 2026-11-20T08:00Z, today, yesterday, epoch seconds, or a time ago (6h, 2d)"

SinceOption = Annotated[str, typer.Option(metavar="TIME", help=f"Start of the time range: {TIMES}.")]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="End of the time range, as --since.")]
SeedOption = Annotated[
    int, typer.Option(metavar="N", help="Seed of the simulated data; the same seed gives the same data.")
]
PortOption = Annotated[
    int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0: any free port.")
]


def store_place(text: str) -> str:
    """Return the folder of a store, or its URL in a bucket.

    Raises:
        typer.BadParameter: it is a file.
        InvalidRequest: it is a URL of another kind, or has credentials.
    """
    if url := bucket_url(text):
        return BucketLocation.parse(url).url
    if url := path_as_url(text):
        raise InvalidRequest(f"cannot open the store {url}: a store is a folder or a bucket; {STORES}")
    if Path(text).is_file():
        raise typer.BadParameter(f"Directory {text!r} is a file.")
    return text


def existing_store(text: str) -> str:
    """Return the folder of a store, which exists, or its URL in a bucket."""
    place = store_place(text)
    if not bucket_url(place) and not Path(place).exists():
        raise typer.BadParameter(f"Directory {text!r} does not exist.")
    return place


StoreOption = Annotated[
    str,
    typer.Option(
        metavar="STORE",
        parser=existing_store,
        help="The store, as `harvest --out` names it: a folder or a URL.",
    ),
]
ServersOption = Annotated[
    bool, typer.Option("--servers", help="Include users on servers, such as recorders.")
]
UserOption = Annotated[
    list[str] | None, typer.Option(metavar="UID", help="Only this user; repeat it for up to 10 users.")
]


class CallValue(StrEnum):
    """The names of `harvest.call_value.VALUE_RULES`, which imports too much for the start of every command."""

    CALLS = "calls"
    USERS = "users"
    MINUTES = "minutes"


@frozen(kw_only=True, slots=False)
class RequestLimits:
    """How long each request of a command may take. Every account that sends requests has these options."""

    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel="Account",
            help="Longest time for each request, with its waits and retries; default: 120.",
        ),
    ] = None
    max_wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel="Account",
            help="Longest time that each request may wait until it can be sent; default: the deadline.",
        ),
    ] = None

    def retry_policy(self) -> "RetryPolicy | None":
        """Return the policy with the deadline; None: the default one.

        Raises:
            InvalidRequest: an option is not a number of seconds.
        """
        from agora_analytics.engine.call_options import checked_options
        from agora_analytics.engine.retry_policy import RetryPolicy

        checked_options({"deadline": self.deadline, "max_wait": self.max_wait})
        return None if self.deadline is None else RetryPolicy(deadline=self.deadline)

    @asynccontextmanager
    async def limit(self, client: AbstractAsyncContextManager[C]) -> AsyncIterator[C]:
        """Open a client, and let none of its requests wait longer than `max_wait`."""
        from agora_analytics.engine.call_options import call_limits

        async with client as opened:
            with call_limits({} if self.max_wait is None else {"max_wait": self.max_wait}):
                yield opened


@frozen(kw_only=True)
class HarvestOptions:
    """The options of every harvest."""

    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Start of the time range: {TIMES}. Default: `since` of the account in the configuration file.",
            show_default=False,
        ),
    ] = None
    until: UntilOption = "now"
    out: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            parser=store_place,
            help="Folder of the store, or its URL in a bucket (s3://bucket/prefix, gs://, az://); created if it does "
            "not exist. Several vendors may share one. Default: `store` in the configuration file.",
            show_default=False,
        ),
    ] = None
    no_durable: Annotated[
        bool,
        typer.Option(
            "--no-durable",
            help="Do not flush each file to the disk. Faster, but a power failure may damage the last files; the next "
            "harvest fetches them again.",
        ),
    ] = False
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="First read every page of the store; files with damaged pages are fetched again.",
        ),
    ] = False
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Write warnings and errors only, as a job of cron should: no progress, no summary.",
        ),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only report what the harvest would cost; stores nothing. May send a few list requests.",
        ),
    ] = False

    def filled(self, settings: "HarvestSettings") -> "FilledHarvestOptions":
        """Return the options, with those of an account of the configuration file where none was given.

        Raises:
            InvalidRequest: an option is missing in both.
        """
        since, out = self.since or settings.since, self.out or settings.store
        for option, key, value in (("--since", "since", since), ("--out", "store", out)):
            if value is None:
                raise InvalidRequest(
                    f"missing option {option}; add it, or name an account whose configuration has {key}"
                )
        return FilledHarvestOptions(
            since=str(since),
            until=self.until,
            out=str(out),
            durable=not self.no_durable,
            verify=self.verify,
            quiet=self.quiet,
            dry_run=self.dry_run,
        )


@frozen(kw_only=True)
class FilledHarvestOptions:
    """The options of the harvest of one account, none of which is missing."""

    since: str
    until: str
    out: str
    durable: bool
    verify: bool
    quiet: bool
    dry_run: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a harvest and of its estimate."""
        return {"since": self.since, "until": self.until, "store": self.out}


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

    # Each paragraph on one line, so that the help wraps it at the width of the terminal.
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    with_options.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del with_options.__wrapped__
    return with_options
