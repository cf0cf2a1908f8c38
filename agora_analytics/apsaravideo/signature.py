"""The signature of Alibaba Cloud's V3 requests, ACS3-HMAC-SHA256: pure, of everything that it depends on.

Source: `reference/apsaravideo.md`, section 3.
"""

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import quote

from agora_analytics.apsaravideo.credentials import Credentials
from agora_analytics.apsaravideo.facts import ALGORITHM, VERSION
from agora_analytics.instants import iso

Pairs = Iterable[tuple[str, str]]


def signed_headers(
    *,
    method: str,
    host: str,
    path: str = "/",
    query: Pairs = (),
    body: bytes = b"",
    content_type: str | None = None,
    action: str,
    version: str = VERSION,
    credentials: Credentials,
    now: float,
    nonce: str,
) -> dict[str, str]:
    """Return the headers that a request needs, its signature among them.

    Args:
        method: the HTTP method.
        host: the `Host` that is sent, with its port where that is not the scheme's own.
        path: the path, percent-encoded; `/` for this family of APIs.
        query: the parameters, decoded.
        body: the bytes of the body.
        content_type: that of the body, where it has one.
        action: the operation.
        version: the version of the API.
        credentials: who asks.
        now: the date to sign, in UTC epoch seconds; the server takes 15 minutes of difference.
        nonce: a text that no other request has.

    Example:
        >>> headers = signed_headers(method="POST", host="live.aliyuncs.com", action="X", nonce="n", now=0,
        ...     credentials=Credentials("id", "secret"))
        >>> headers["authorization"].partition(",Signature=")[0]  # doctest: +ELLIPSIS
        'ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host;x-acs-action;x-acs-content-sha256;...;x-acs-version'
    """
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": sha256(body).hexdigest(),
        "x-acs-date": iso(now),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    if content_type is not None:
        headers["content-type"] = content_type
    if credentials.security_token is not None:
        headers["x-acs-security-token"] = credentials.security_token
    return headers | {"authorization": authorization(method, path, query, headers, credentials)}


def authorization(
    method: str, path: str, query: Pairs, headers: Mapping[str, str], credentials: Credentials
) -> str:
    """Return the `Authorization` header of a request whose `headers` are all signed, the body's hash among them."""
    canonical, names = canonical_request(method, path, query, headers)
    signature = hmac.new(credentials.access_key_secret.encode(), _to_sign(canonical), sha256).hexdigest()
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signature}"


def canonical_request(method: str, path: str, query: Pairs, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the text that is hashed, and the names of the signed headers.

    The query is made from decoded pairs: what travels may be encoded otherwise, and the server encodes it again.
    """
    lowered = sorted((name.lower(), value.strip()) for name, value in headers.items())
    names = ";".join(name for name, _ in lowered)
    block = "".join(f"{name}:{value}\n" for name, value in lowered)
    pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query))
    content = dict(lowered).get("x-acs-content-sha256", sha256(b"").hexdigest())
    return f"{method}\n{path}\n{pairs}\n{block}\n{names}\n{content}", names


def _to_sign(canonical: str) -> bytes:
    return f"{ALGORITHM}\n{sha256(canonical.encode()).hexdigest()}".encode()


def _encoded(text: str) -> str:
    return quote(text, safe="")  # leaves letters, digits and - _ . ~ as they are, as RFC 3986 has it
