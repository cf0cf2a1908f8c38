"""What a call is worth to a harvest whose quota does not suffice for all of them."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from agora_analytics.agora.records import Call
from agora_analytics.errors import InvalidRequest

ValueName = Literal["calls", "users", "minutes"]
"""The names of the rules in `VALUE_RULES`."""
ValueRule = Callable[[Call], float]
"""Returns what a call is worth, relative to other calls: a number that is not negative."""


def _users(call: Call) -> float:
    return float(call.call_acu or 1)


def _minutes(call: Call) -> float:
    return max(1.0, (call.destroyed_ts - call.created_ts) / 60)


VALUE_RULES: Mapping[str, ValueRule] = {
    "calls": lambda _: 1.0,
    "users": _users,
    "minutes": _minutes,
}
"""The named rules: every call is worth the same, or as much as it has users, or as many minutes as it lasted."""


def value_rule(value: "ValueName | ValueRule") -> ValueRule:
    """Return the rule with a name, or a function of the caller whose results are checked.

    Raises:
        InvalidRequest: no rule has the name.
    """
    if not callable(value):
        if value in VALUE_RULES:
            return VALUE_RULES[value]
        raise InvalidRequest(
            f"value={value!r} is not a rule; use {', '.join(VALUE_RULES)} or a function of a call"
        )

    def checked(call: Call) -> float:
        worth: object = value(call)
        if not isinstance(worth, int | float) or not 0 <= worth < math.inf:
            raise InvalidRequest(
                f"value= returned {worth!r} for call {call.call_id}; return 0 or a positive number"
            )
        return float(worth)

    return checked
