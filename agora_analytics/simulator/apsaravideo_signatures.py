"""Checks V3 signatures. It is written from the vendor's document, not from the client.

Source: Alibaba Cloud, "V3 request structure & signature".
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote_plus

from agora_analytics.apsaravideo.spec import ALGORITHM, CLOCK_WINDOW
from agora_analytics.simulator.simulated_api import Arrival

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^,\s]+),\s*SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{{64}})"
)
_ALWAYS_SIGNED = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce")
_HASH = "x-acs-content-sha256"


class ApsaraVideoRefused(Exception):
    """A request that ApsaraVideo refuses, with a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignatureCheck:
    """Checks the signatures of requests and that each nonce is used once.

    Args:
        keys: the secret of each access key id.
        tokens: the security token of each temporary key.

    Attributes:
        expired: the temporary keys that are no longer valid.
    """

    def __init__(self, keys: Mapping[str, str], tokens: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._tokens = dict(tokens)
        self._nonces: dict[str, float] = {}
        self.expired: set[str] = set()

    def verify(self, arrival: Arrival) -> str:
        """Return the access key id of a request. Refuse a missing or invalid signature."""
        for name in (*_ALWAYS_SIGNED, _HASH, "authorization"):
            if not arrival.headers.get(name):
                raise ApsaraVideoRefused(
                    "MissingParameter", f"The header {name} is mandatory for this action."
                )
        parts = _AUTHORIZATION.fullmatch(arrival.headers["authorization"])
        if parts is None:
            raise ApsaraVideoRefused("SignatureDoesNotMatch", "The Authorization header is malformed.")
        key, signed, signature = parts[1], parts[2].split(";"), parts[3]
        self._check_date(arrival)
        if key not in self._keys:
            raise ApsaraVideoRefused("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if key in self.expired:
            raise ApsaraVideoRefused("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        if arrival.headers.get("x-acs-security-token") != self._tokens.get(key):
            raise ApsaraVideoRefused(
                "InvalidSecurityToken.MismatchWithAccessKey", "The token is not the access key's."
            )
        _check_coverage(arrival, signed)
        if hashlib.sha256(arrival.body).hexdigest() != arrival.headers[_HASH]:
            raise ApsaraVideoRefused("SignatureDoesNotMatch", f"{_HASH} is not the hash of the body.")
        expected = _signature(self._keys[key], arrival, signed)
        if not hmac.compare_digest(expected, signature):
            raise ApsaraVideoRefused(
                "SignatureDoesNotMatch", "Specified signature does not match our calculation."
            )
        self._use_nonce(arrival)
        return key

    def _check_date(self, arrival: Arrival) -> None:
        try:
            date = datetime.strptime(arrival.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        except ValueError:
            raise ApsaraVideoRefused("IllegalTimestamp", "The input x-acs-date is not well formed.") from None
        if abs(date - arrival.now) > CLOCK_WINDOW:
            raise ApsaraVideoRefused(
                "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."
            )

    def _use_nonce(self, arrival: Arrival) -> None:
        """Refuse a used nonce. It is remembered for as long as a request with its date would be accepted."""
        nonce = arrival.headers["x-acs-signature-nonce"]
        while (
            self._nonces and (first := next(iter(self._nonces.items())))[1] < arrival.now - 2 * CLOCK_WINDOW
        ):
            del self._nonces[first[0]]
        if nonce in self._nonces:
            raise ApsaraVideoRefused("SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[nonce] = arrival.now


def _check_coverage(arrival: Arrival, signed: list[str]) -> None:
    required = {"host"} | {name for name in arrival.headers if name.startswith("x-acs-")}
    if arrival.body and "content-type" in arrival.headers:
        required.add("content-type")
    if missing := sorted(required - set(signed)):
        raise ApsaraVideoRefused("SignatureDoesNotMatch", f"Not signed: {', '.join(missing)}.")
    if signed != sorted(set(signed)):
        raise ApsaraVideoRefused("SignatureDoesNotMatch", "SignedHeaders is not sorted.")


def _signature(secret: str, arrival: Arrival, signed: list[str]) -> str:
    lines = [arrival.method, "/"]
    query = sorted(arrival.query.multi_items())
    lines.append("&".join(f"{_rfc3986(name)}={_rfc3986(value)}" for name, value in query))
    lines += [f"{name}:{arrival.headers.get(name, '').strip()}" for name in signed]
    lines += ["", ";".join(signed), arrival.headers[_HASH]]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return hmac.new(secret.encode(), f"{ALGORITHM}\n{digest}".encode(), "sha256").hexdigest()


def _rfc3986(text: str) -> str:
    return quote_plus(text).replace("+", "%20")
