"""Who may in: tokens of projects (HS256 by their secret) and of applications (RS256 by their private key).

Source: `reference/opentok-insights.md`, section 1; which code means which fault is inferred from the codes' words.
"""

from collections.abc import Mapping
from typing import Any

import jwt
from attrs import field, frozen
from starlette.datastructures import Headers

from agora_analytics.simulator.opentok.refusals import OpenTokUnauthorised

_OWN_CLOCK: Any = {  # the times are checked here, by the server's clock and not by this machine's
    f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
}
_UNPROVED: Any = _OWN_CLOCK | {"verify_signature": False}


@frozen(kw_only=True)
class TokenCheck:
    """Knows the projects and the applications.

    Attributes:
        projects: the secret of each project's API key.
        applications: the public key (PEM) of each application id.
        leeway: seconds that a token's `iat` may lie in the future.
        max_lifetime: the longest time that a token may be good for, in seconds; None: any.
    """

    projects: Mapping[str, str] = field(repr=False)
    applications: Mapping[str, str] = field(repr=False)
    leeway: float = 5.0
    max_lifetime: float | None = None

    def knows(self, project_id: str) -> bool:
        """Return whether there is such a project or application."""
        return project_id in self.projects or project_id in self.applications

    def holder(self, headers: Headers, now: float, *, unified: bool) -> str:
        """Return the project or application that a request's token is of.

        Raises:
            OpenTokUnauthorised: there is no token, or it is not good.
        """
        if token := headers.get("x-opentok-auth"):
            return self._project(token, now)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if unified and scheme.lower() == "bearer" and token:
            return self._application(token, now)
        raise OpenTokUnauthorised(1001)

    def named(self, headers: Headers) -> str:
        """Return whom a token claims to be of, whether it is good or not; empty where none can be told."""
        token = headers.get("x-opentok-auth") or headers.get("authorization", "").partition(" ")[2]
        try:
            claims = _unproved(token)
        except OpenTokUnauthorised:
            return ""
        return str(claims.get("iss") or claims.get("application_id") or "")

    def _project(self, token: str, now: float) -> str:
        key = str(_unproved(token).get("iss", ""))
        if key not in self.projects:
            raise OpenTokUnauthorised(1000)
        claims = _proved(token, self.projects[key], "HS256")
        self._check_times(claims, now)
        if claims.get("ist") != "project":
            raise OpenTokUnauthorised(1021, "ist must be project.")
        return key

    def _application(self, token: str, now: float) -> str:
        application_id = str(_unproved(token).get("application_id", ""))
        if application_id not in self.applications:
            raise OpenTokUnauthorised(1000)
        self._check_times(_proved(token, self.applications[application_id], "RS256"), now)
        return application_id

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise OpenTokUnauthorised(1011, "iat and exp are mandatory.")
        if now >= expires:
            raise OpenTokUnauthorised(1011, "It has expired.")
        if issued > now + self.leeway:
            raise OpenTokUnauthorised(1011, "It is issued in the future.")
        if self.max_lifetime is not None and expires - issued > self.max_lifetime:
            raise OpenTokUnauthorised(1011, f"It is good for more than {self.max_lifetime:g} seconds.")


def _unproved(token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, options=_UNPROVED)
    except jwt.InvalidTokenError:
        raise OpenTokUnauthorised(1011) from None
    return claims


def _proved(token: str, key: str, algorithm: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], options=_OWN_CLOCK)
    except jwt.InvalidTokenError:
        raise OpenTokUnauthorised(1020) from None
    return claims
