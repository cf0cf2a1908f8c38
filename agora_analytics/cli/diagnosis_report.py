"""A diagnosis on a terminal: the verdict, its time, and the evidence with charts of one line."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from agora_analytics.cli.sparkline import sparkline
from agora_analytics.core.hidden_characters import is_utf8, visible
from agora_analytics.insight.diagnosis.words import verdict
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis, Evidence


def show_diagnosis(console: Console, diagnosis: "CallDiagnosis") -> None:
    """Write a diagnosis: the verdict, its time and confidence, what speaks for it, and what against it."""
    console.print(Text(visible(verdict(diagnosis)), "bold"))
    parts = []
    if diagnosis.since is not None and diagnosis.until is not None:
        lasted = round(diagnosis.until - diagnosis.since)
        parts.append(f"{iso(diagnosis.since)} to {iso(diagnosis.until)} ({lasted:,} s)")
    if diagnosis.cause != "unknown":
        parts.append(f"confidence {diagnosis.confidence:.2f}")
    parts.append(f"profile {diagnosis.profile}")
    console.print(Text(", ".join(parts), "dim"))
    for title, speaks in (("What speaks for it", "for"), ("What speaks against it", "against")):
        found = [each for each in diagnosis.evidence if each.speaks == speaks]
        if found:
            console.print(Text(f"\n{title}"))
        for each in found:
            _show(console, each)
    requests = diagnosis.requests
    cost = f"{requests} request{'s' * (requests != 1)}" if requests else "no request: read from the store"
    console.print(Text(f"\n{cost[0].upper()}{cost[1:]}.", "faint"))


def _show(console: Console, evidence: "Evidence") -> None:
    text = visible(evidence.text)
    console.print(Text(f"- {text[0].upper()}{text[1:]}"))
    known = [value for value in evidence.chart if value is not None]
    if known and max(known) > 0:
        bins = [float("nan") if value is None else value for value in evidence.chart]
        plain = not is_utf8(console.encoding or "")
        line = sparkline(bins, [True] * len(bins), top=max(known), plain=plain)
        console.print(
            Text.assemble("  ", line, (f"  0 to {max(known):.4g} {evidence.unit or ''}".rstrip(), "dim"))
        )
