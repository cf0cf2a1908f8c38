"""The command line `agora-analytics`. `python -m agora_analytics` is the same."""

import gc
import sys
from collections.abc import Sequence

__all__ = ["main"]

_NEEDED = {"rich", "typer"}
# Decoding makes many small objects and no cycles: measured, the collector's default costs a tenth of it.
_COLLECT_AT = (50_000, 50, 100)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without arguments, those of the process are used."""
    gc.set_threshold(*_COLLECT_AT)
    try:
        from agora_analytics.cli.runner import run
    except KeyboardInterrupt:  # so early that nothing has begun
        return 130
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(
            "agora-analytics: the command line is not installed; run: pip install 'agora-analytics[cli]'\n"
        )
        return 1
    return run(sys.argv[1:] if arguments is None else arguments)
