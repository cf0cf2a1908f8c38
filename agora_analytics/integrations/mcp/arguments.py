"""Arguments that several tools have, with the descriptions that a model reads."""

from typing import Annotated, Literal

from pydantic import Field

TIME_TEXT = "2026-11-20T08:00Z, 2026-11-20 (its 00:00), today, yesterday, 6h or 2d (ago), now; UTC"

Since = Annotated[str | None, Field(description=f"Start of the time range: {TIME_TEXT}. Default: no limit.")]
Until = Annotated[str | None, Field(description="End of the time range, exclusive, as `since`.")]
Vendor = Annotated[
    Literal["agora", "opentok", "apsaravideo"] | None, Field(description="Only data of this vendor.")
]
AppId = Annotated[str | None, Field(description="Only this app or project.")]
Channel = Annotated[
    str | None, Field(description="Only this channel, exactly: Agora's channel, an OpenTok session.")
]
UserId = Annotated[
    str,
    Field(
        coerce_numbers_to_str=True,
        description="User id as list_users returns it: Agora's uid, an OpenTok connection.",
    ),
]
CallId = Annotated[str, Field(description="Call id as list_calls returns it.")]
Profile = Annotated[
    str,
    Field(
        description="Published limits of loss, delay and freezes: agora, teams-cqd, twilio, sinch, bluejeans, vidyo, "
        "webrtc-issue-detector or peermetrics."
    ),
]


NOTHING_FOUND = "Nothing found. Check the filters, and with coverage whether the time range is stored at all."


def page_text(shown: int, total: int, what: str, *, is_last: bool) -> str:
    """Return how many of some rows a page has.

    Example:
        >>> page_text(2, 5, "calls", is_last=False), page_text(3, 3, "calls", is_last=True)
        ('2 of 5 calls. Pass next as cursor for more.', '3 of 3 calls.')
    """
    if not total:
        return NOTHING_FOUND
    text = f"{shown:,} of {total:,} {what}."
    return text if is_last else f"{text} Pass next as cursor for more."
