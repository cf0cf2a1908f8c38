"""The summary of a harvest, on a terminal of 80 columns and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from agora_analytics.cli import terminal
from agora_analytics.cli.harvest_summary import show_summary
from agora_analytics.core.windows import Window
from agora_analytics.harvest import CallSkipped, HarvestReport

CALL = "32f5bd806ed925d2c2027ecf"
CONFLICT = f"call {CALL}: another harvest has changed it in the store meanwhile; run the same command again"


@pytest.fixture
def summary(tmp_path):
    """Return the lines of the summary of a harvest that skipped a call."""

    def lines(*, terminal_of_80, **options):
        report = HarvestReport(
            window=Window(0, 3599), calls=1, ongoing=6, known_before=0, sessions=0, points=7, requests={},
            skipped=[CallSkipped(call_id=CALL, reason=CONFLICT)], too_recent=0, left=0, listing_left=False,
            retry_at=None, seconds=1.0,
        )  # fmt: skip
        file = io.StringIO()
        width = {"width": 80, "force_terminal": True} if terminal_of_80 else {"width": 200, "soft_wrap": True}
        console = Console(file=file, theme=terminal._THEME, no_color=True, highlight=False, **width)
        show_summary(console, report, tmp_path, units="meetings and days", **options)
        return file.getvalue().splitlines()

    return lines


def test_skipped_call_is_named_once(summary):
    lines = [line for line in summary(terminal_of_80=False) if CALL in line]
    assert lines == [
        f"    {CALL}: another harvest has changed it in the store meanwhile; run the same command again"
    ]


def test_notes_are_wrapped_under_each_other(summary):
    shown = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in summary(terminal_of_80=True)]
    (first,) = (place for place, line in enumerate(shown) if "ongoing" in line)
    assert max(map(len, shown)) <= 80
    assert shown[first + 1].startswith(" " * 15)
    assert "meetings and days are ongoing or may change; a later run fetches them again" in " ".join(
        " ".join(shown[first : first + 2]).split()
    )


def test_duration_is_that_of_the_progress(summary):
    assert summary(terminal_of_80=False, seconds=64)[0].endswith(" in 0:01:04")


def test_quiet_summary_is_empty(summary):
    assert summary(terminal_of_80=False, quiet=True) == []
