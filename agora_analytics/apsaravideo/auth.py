"""The access key, and the signature of Alibaba Cloud's V3 requests, ACS3-HMAC-SHA256. Pure.

Source: Alibaba Cloud, "V3 request structure & signature".
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import field, frozen

from agora_analytics.apsaravideo.spec import ALGORITHM, VERSION
from agora_analytics.core.sent_text import credential, hidden, required_credential
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import iso

if TYPE_CHECKING:
    from agora_analytics.kit.config_file import Account

Pairs = Iterable[tuple[str, str]]
_required = required_credential("ALIBABA_CLOUD_")


def _ascii(_: Any, attribute: Any, value: Any) -> None:
    if value is not None and not value.isascii():
        raise ConfigurationError(f"{attribute.name} has characters that a key cannot have; copy it again")


def _or_none(token: str | None) -> str | None:
    return token or None


@frozen
class Credentials:
    """An access key. Its repr has no secret.

    Attributes:
        access_key_id: the id.
        access_key_secret: its secret.
        security_token: the token of a temporary key, from the Security Token Service (STS); None for a permanent key.

    Raises:
        ConfigurationError: the id or the secret is missing, or has whitespace or an invisible character.

    Example:
        >>> Credentials("key-id", "secret")
        Credentials(access_key_id='key-id', access_key_secret='***', security_token=None)
    """

    access_key_id: str = field(validator=[_required, _ascii])
    access_key_secret: str = field(validator=[_required, _ascii], repr=hidden)
    security_token: str | None = field(
        default=None,
        kw_only=True,
        converter=_or_none,
        validator=[credential, _ascii],
        repr=lambda token: "'***'" if token else "None",
    )


CredentialsSource = Callable[[], Awaitable[Credentials]]
"""Returns the current credentials. It is called for every attempt, so it should cache them itself."""


def with_access_key(account: "Account", given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client for the settings of an account of a configuration file."""
    account.require(given, "app_id")
    if given.get("credentials") is not None:
        for name in ("access_key_id", "access_key_secret", "security_token"):
            given.pop(name, None)
    else:
        account.require(given, "access_key_id", "access_key_secret")
    return given


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
    """Return the headers of a request, including its signature.

    Args:
        host: the `Host` header, with the port unless it is the default of the scheme.
        path: percent-encoded; `/` for this family of APIs.
        query: the parameters, decoded.
        now: the date to sign, in UTC epoch seconds; the server accepts a difference of 15 minutes.
        nonce: a text that is unique to the request.

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
    """Return the `Authorization` header of a request; all `headers` are signed, including the hash of the body."""
    canonical, names = canonical_request(method, path, query, headers)
    to_sign = f"{ALGORITHM}\n{sha256(canonical.encode()).hexdigest()}".encode()
    signature = hmac.new(credentials.access_key_secret.encode(), to_sign, sha256).hexdigest()
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signature}"


def canonical_request(method: str, path: str, query: Pairs, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the text that is hashed, and the names of the signed headers.

    The query is encoded from decoded pairs, as the server does, because the URL may be encoded in another way.
    """
    lowered = sorted((name.lower(), value.strip()) for name, value in headers.items())
    names = ";".join(name for name, _ in lowered)
    block = "".join(f"{name}:{value}\n" for name, value in lowered)
    pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query))
    content = dict(lowered).get("x-acs-content-sha256", sha256(b"").hexdigest())
    return f"{method}\n{path}\n{pairs}\n{block}\n{names}\n{content}", names


def _encoded(text: str) -> str:
    return quote(text, safe="")  # RFC 3986: letters, digits and - _ . ~ stay
