"""`agora-analytics mcp`."""

import logging
import signal
import sys
from typing import Annotated

import typer

from agora_analytics.cli.options import StoreOption, option_groups
from agora_analytics.cli.terminal import err, one_line
from agora_analytics.errors import ConfigurationError
from agora_analytics.logs import StderrHandler


@option_groups
def mcp(
    store: StoreOption,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, max=600, metavar="SECONDS", help="Longest time for the queries of a tool call."
        ),
    ] = 20,
) -> None:
    """Serve a store to an assistant: tools of the Model Context Protocol (MCP) that only read, on stdin and stdout.

    An assistant such as Claude or Cursor starts this command; docs/howto/assistants.md has its configuration. The tools send
    no request to a vendor and take no quota. What they return goes to the provider of the assistant's model.
    """
    try:
        from agora_analytics.integrations.mcp.server import make_server
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        raise ConfigurationError(f"the server needs {name}: pip install 'agora-analytics[mcp]'") from missing
    from agora_analytics.integrations.mcp.opened_store import OpenedStore
    from agora_analytics.store.query_limits import QueryLimits

    # The SDK would show tracebacks in boxes. stdout belongs to the protocol.
    logging.basicConfig(level=logging.WARNING, handlers=[StderrHandler()])
    server = make_server(OpenedStore.open(store), QueryLimits(seconds=timeout))
    if sys.stdin.isatty():
        one_line(err(), "agora-analytics: an assistant starts this command; it waits for messages on stdin")
    # The SDK's read of stdin cannot be cancelled, so KeyboardInterrupt would wait for the next message.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run()
