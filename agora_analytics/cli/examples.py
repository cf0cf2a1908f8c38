"""Examples that the help of each command shows. A test runs them all against the simulator."""

from collections.abc import Mapping

CALL = "CALL_ID"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "calls": (
        "agora-analytics calls --since 2h",
        "agora-analytics calls --since 1d --cname standup --limit 0",
        "agora-analytics calls --since 1d --output calls.csv",
        "agora-analytics calls --since 1d --format jsonl",
    ),
    "inspect": (
        "agora-analytics inspect CALL_ID",
        "agora-analytics inspect CALL_ID --around 2h --users all",
        "agora-analytics inspect CALL_ID --format json",
    ),
    "sessions": (
        "agora-analytics sessions CALL_ID",
        "agora-analytics sessions CALL_ID --since 6h --until 1h --format csv",
    ),
    "metrics": (
        "agora-analytics metrics CALL_ID",
        "agora-analytics metrics CALL_ID --metric video_render_freeze --format jsonl",
        "agora-analytics metrics CALL_ID --user 42 --output metrics.parquet",
    ),
    "statistics": (
        "agora-analytics statistics CALL_ID",
        "agora-analytics statistics CALL_ID --by os --metric video_freeze_rate",
        "agora-analytics statistics CALL_ID --freeze",
        "agora-analytics statistics CALL_ID --over-time --format csv",
    ),
    "usage": (
        "agora-analytics usage",
        "agora-analytics usage userCount totalDuration --since 2d --each hour",
        "agora-analytics usage --by country --since 14d --format csv",
    ),
    "quality": (
        "agora-analytics quality",
        "agora-analytics quality videoFreezeRate networkDelay --by net",
        "agora-analytics quality joinSuccessRate --product WebRTC --total",
    ),
    "realtime": (
        "agora-analytics realtime userCount videoFreezeRate",
        "agora-analytics realtime videoFreezeRate --top --by country",
        "agora-analytics realtime --follow --format jsonl",
    ),
    "estimate": (
        "agora-analytics estimate --since 2d",
        "agora-analytics estimate userCount videoFreezeRate --since 14d",
        "agora-analytics estimate userCount videoFreezeRate --realtime",
    ),
    "harvest": ("agora-analytics harvest --since 2d --out calls.store",),
    "sql": ('agora-analytics sql --store calls.store "select network, count(*) from sessions group by all"',),
}


def epilog_of(command: str) -> str | None:
    r"""Return a command's examples as the help shows them; `\b` tells typer to leave the lines as they are."""
    lines = EXAMPLES.get(command)
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines))) if lines else None
