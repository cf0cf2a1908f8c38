"""Checks tokens: of projects (HS256, by their secret) and of applications (RS256, by their private key).

Source: Vonage, "Insights Dashboard & API", "Error codes". The code of each error is inferred from the texts.
"""

from collections.abc import Mapping
from typing import Any

import jwt
from attrs import field, frozen
from starlette.datastructures import Headers

from agora_analytics.simulator.opentok.rules import OpenTokUnauthorised

_OWN_CLOCK: Any = {  # `_check_times` uses the server's clock instead of this machine's
    f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
}
_UNVERIFIED: Any = _OWN_CLOCK | {"verify_signature": False}


@frozen(kw_only=True)
class TokenCheck:
    """Checks the tokens of projects and applications.

    Attributes:
        projects: the secret of each project's API key.
        applications: the public key (PEM) of each application id.
        leeway: how many seconds in the future the `iat` of a token may be.
        max_lifetime: the longest lifetime of a token in seconds; None: any.
    """

    projects: Mapping[str, str] = field(repr=False)
    applications: Mapping[str, str] = field(repr=False)
    leeway: float = 5.0
    max_lifetime: float | None = None

    def has_project(self, project_id: str) -> bool:
        """Return whether the project or application exists."""
        return project_id in self.projects or project_id in self.applications

    def authenticate(self, headers: Headers, now: float, *, unified: bool) -> str:
        """Return the project or application of a request's token."""
        if token := headers.get("x-opentok-auth"):
            return self._project(token, now)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if unified and scheme.lower() == "bearer" and token:
            return self._application(token, now)
        raise OpenTokUnauthorised(1001)

    def claimed_holder(self, headers: Headers) -> str:
        """Return the project or application that a token names, valid or not; empty if it names none."""
        token = headers.get("x-opentok-auth") or headers.get("authorization", "").partition(" ")[2]
        try:
            claims = _unverified(token)
        except OpenTokUnauthorised:
            return ""
        return str(claims.get("iss") or claims.get("application_id") or "")

    def _project(self, token: str, now: float) -> str:
        key = str(_unverified(token).get("iss", ""))
        if key not in self.projects:
            raise OpenTokUnauthorised(1000)
        claims = _verified(token, self.projects[key], "HS256")
        self._check_times(claims, now)
        if claims.get("ist") != "project":
            raise OpenTokUnauthorised(1021, "ist must be project.")
        return key

    def _application(self, token: str, now: float) -> str:
        application_id = str(_unverified(token).get("application_id", ""))
        if application_id not in self.applications:
            raise OpenTokUnauthorised(1000)
        self._check_times(_verified(token, self.applications[application_id], "RS256"), now)
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


def _unverified(token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, options=_UNVERIFIED)
    except jwt.InvalidTokenError:
        raise OpenTokUnauthorised(1011) from None
    return claims


def _verified(token: str, key: str, algorithm: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], options=_OWN_CLOCK)
    except jwt.InvalidTokenError:
        raise OpenTokUnauthorised(1020) from None
    return claims
