"""Participant minutes of sessions and meetings, which the vendor recommends for billing.

Source: Vonage, "Insights Dashboard & API", "Response Objects".
"""

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import frozen

from agora_analytics.core.numbers import exact_float
from agora_analytics.core.record import Record
from agora_analytics.opentok.graphql_query import camel_case


@frozen(kw_only=True)
class ParticipantMinutes(Record):
    """Minutes of participants, by how many of them published at the time. The vendor bills by them.

    The 17 tiers are those of several rate plans and overlap (1 to 2, 1 to 4, ...), so never add all of them up. Use the
    tiers of your own plan.

    Attributes:
        from1_to2_publishers: minutes while 1 or 2 published; the other tiers likewise. None: the server did not send it.
        from36_plus_publishers, from41_plus_publishers: minutes while at least so many published.
    """

    from1_to2_publishers: float | None = None
    from1_to4_publishers: float | None = None
    from1_to8_publishers: float | None = None
    from1_to10_publishers: float | None = None
    from1_to25_publishers: float | None = None
    from3_to6_publishers: float | None = None
    from3_to25_publishers: float | None = None
    from5_to8_publishers: float | None = None
    from7_to8_publishers: float | None = None
    from9_to10_publishers: float | None = None
    from11_to20_publishers: float | None = None
    from11_to35_publishers: float | None = None
    from21_to35_publishers: float | None = None
    from26_to35_publishers: float | None = None
    from36_to40_publishers: float | None = None
    from36_plus_publishers: float | None = None
    from41_plus_publishers: float | None = None


_TIERS = {camel_case(attribute.name): attribute.name for attribute in attrs.fields(ParticipantMinutes)}
"""The attributes by the API's names."""


def read_participant_minutes(value: Any, _: object = None) -> ParticipantMinutes:
    """Return participant minutes as the API sends them. A tier that cannot be read is None; see `unreadable_tiers`.

    Raises:
        ValueError: it is not an object.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"participant minutes cannot be {type(value).__name__}")  # noqa: TRY004 - as all readers
    return ParticipantMinutes(**{name: exact_float(value.get(tier)) for tier, name in _TIERS.items()})


def unreadable_tiers(value: Any) -> dict[str, Any]:
    """Return what `read_participant_minutes` leaves out, for `extra`: `participantMinutes.<tier>`, as it was sent."""
    tiers = value.items() if isinstance(value, Mapping) else ()
    return {
        f"participantMinutes.{tier}": minutes
        for tier, minutes in tiers
        if minutes is not None and (tier not in _TIERS or exact_float(minutes) is None)
    }
