"""Failures on demand that are answers of the vendor's: at one field of a query, or before it is one."""

from collections.abc import Callable
from typing import Any

from attrs import frozen

from agora_analytics.simulator.opentok.fast_rows import resolve
from agora_analytics.simulator.opentok.refusals import OpenTokRefused, OpenTokUnauthorised


@frozen
class InjectedError:
    """One request's failure: `at` is the name of the field that fails, None the whole request."""

    code: int
    at: str | None

    def strike_early(self) -> None:
        """Refuse the request before it is a query, if that is what fails.

        Raises:
            OpenTokUnauthorised: it is.
        """
        if self.at is None:
            raise OpenTokUnauthorised(self.code)

    def resolver(self) -> Callable[..., Any]:
        """Return a resolver of fields that fails once, the first time that it comes to the field."""
        struck = False

        def fail_or_resolve(source: Any, info: Any, **asked: Any) -> Any:
            nonlocal struck
            if info.field_name == self.at and not struck:
                struck = True
                raise OpenTokRefused(self.code)
            return resolve(source, info, **asked)

        return fail_or_resolve
