"""The hosts of Agora's RESTful API: two suffixes, a primary name and eight areas under each.

Source: Agora, "Ensure service reliability", "Domain name table"; see docs/regions.md.
"""

from agora_analytics.core.domains import HostTable

SUFFIXES = ("agora.io", "sd-rtn.com")
"""Outside mainland China the first is preferred, inside it the second."""

_PAIRS = (
    ("us-west-1", "us-east-1"),
    ("eu-west-1", "eu-central-1"),
    ("ap-southeast-1", "ap-northeast-1"),
    ("cn-east-1", "cn-north-1"),
)
NEIGHBOURS = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
AREAS = tuple(NEIGHBOURS)

_ASSUMED = {"agora.io": "us-west-1", "sd-rtn.com": "cn-east-1"}
"""The assumed area of a primary host until DNS has resolved it. This is our choice, not the vendor's."""


def primary(suffix: str) -> str:
    """Return the primary host under a suffix."""
    return f"https://api.{suffix}"


def host_table(preferred: str, *, regional: bool) -> HostTable:
    """Return the hosts with one suffix preferred; without `regional` the two primaries only."""
    suffixes = sorted(SUFFIXES, key=lambda suffix: suffix != preferred)
    return HostTable(
        preferred=primary(suffixes[0]),
        alternate=primary(suffixes[1]),
        regional={area: tuple(f"https://api-{area}.{suffix}" for suffix in suffixes) for area in AREAS}
        if regional
        else {},
        neighbours=NEIGHBOURS,
        assumed=_ASSUMED[preferred],
    )
