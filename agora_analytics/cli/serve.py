"""A simulated server in the foreground: what to type in another terminal, and what it was asked, at the end."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agora_analytics.errors import InvalidRequest

if TYPE_CHECKING:
    from agora_analytics.simulator import Seen

_LIMIT = "limit"


def serve_until_stopped(
    simulator: Any,
    host: str,
    port: int,
    *,
    what: str,
    exports: Callable[[str], Mapping[str, str]],
    then: str,
) -> None:
    """Serve a simulator until Ctrl-C.

    Args:
        simulator: of any vendor.
        host: the address to listen on.
        port: the port; 0: a free one.
        what: what it simulates, in words.
        exports: the environment of a client, given the base URL.
        then: what to type then.

    Raises:
        InvalidRequest: if the port cannot be had.
    """
    from agora_analytics.cli.terminal import out
    from agora_analytics.simulator import run

    console = out()

    def started(base_url: str) -> None:
        console.print(
            f"[good]Simulating[/] {what}\nat [fact]{base_url}[/]. Ctrl-C ends it.\n\nFor another terminal:\n",
            soft_wrap=True,
        )
        for name, value in exports(base_url).items():
            console.print(f"  export {name}={value}", markup=False, soft_wrap=True)
        console.print(f"\n  {then}\n", markup=False, soft_wrap=True)

    try:
        run(simulator, host=host, port=port, on_start=started)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(
            f"cannot listen on {host}:{port}: {reason}; choose another --port (0: a free one) or --host"
        ) from error
    console.print()  # behind the ^C of the terminal
    for line in asked(simulator.seen):
        console.print(line, markup=False, soft_wrap=True)


def seconds_of(latency: str) -> tuple[float, float]:
    """Return the bounds of a latency such as `20:80` (milliseconds), in seconds.

    Raises:
        InvalidRequest: if it is none.
    """
    low, _, high = latency.partition(":")
    try:
        bounds = float(low) / 1000, float(high or low) / 1000
    except ValueError:
        bounds = (-1.0, -1.0)
    if not 0 <= bounds[0] <= bounds[1]:
        raise InvalidRequest(f"--latency {latency} is no range of milliseconds; give one such as 20:80")
    return bounds


def asked(seen: "Seen") -> list[str]:
    """Return what a simulator was asked, and whether a limit was broken, in lines."""
    each = ", ".join(f"{name} {count:,}" for name, count in sorted(seen.requests.items()))
    lines = [f"The server counted {seen.requests.total():,} requests"]
    broken = {key: count for key, count in seen.refused.items() if _LIMIT in key[1]}
    if not broken:
        lines[0] += ", and no limit was broken"
    if each:
        lines[0] += f":\n  {each}"
    lines += [f"A limit was broken {count:,} times at {name}: {why}" for (name, why), count in broken.items()]
    others = seen.refused.total() - sum(broken.values())
    if others:
        lines.append(f"{others:,} requests were refused for other reasons")
    if seen.faults:
        lines.append(f"{seen.faults.total():,} requests failed on purpose")
    return [f"{line}." for line in lines]
