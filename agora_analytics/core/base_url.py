"""The base URL that a user passes: validated, and encrypted unless it is this machine."""

import re
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from agora_analytics.errors import ConfigurationError


def checked_base_url(url: str | None) -> str | None:
    """Return a base URL without a trailing slash and surrounding space; None if it is empty.

    Raises:
        ConfigurationError: it is not a base URL, or contains credentials.

    Example:
        >>> checked_base_url("http://127.0.0.1:8080/")
        'http://127.0.0.1:8080'
    """
    if not (url := (url or "").strip()):
        return None
    if "@" in url:  # checked first, because no error may show them
        raise ConfigurationError("the base URL contains credentials; pass them as arguments of their own")
    if not is_url(url) or "?" in url or "#" in url:
        raise ConfigurationError(
            f"{url!r} is not a base URL; give one with its scheme, such as https://api.example.com or "
            "http://127.0.0.1:8080"
        )
    return url.rstrip("/")


def is_url(text: str, schemes: Collection[str] = ("http", "https")) -> bool:
    """Return whether a text is a URL with one of the schemes and a valid host."""
    try:
        url = urlsplit(text)
        named = bool((url.hostname or "").encode("idna")) and url.port != 0
    except ValueError:  # a malformed IPv6 address, port or host name
        return False
    return named and url.scheme in schemes and text.isprintable() and " " not in text


def path_as_url(path: str | Path) -> str | None:
    """Return the URL that was given where a path belongs; None if it is a path.

    Example:
        >>> path_as_url(Path("s3://bucket/calls.store"))
        's3://bucket/calls.store'
    """
    # A path has one slash where a URL has two. A drive of Windows has one letter.
    url = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]{1,2}(.*)", str(path), re.DOTALL)
    return None if url is None else f"{url[1]}://{url[2]}"


def refuse_open(url: str | None, *, allow_http: bool) -> None:
    """Refuse plain http to another machine.

    Raises:
        ConfigurationError: the URL would send credentials unencrypted.
    """
    parts = urlsplit(url or "")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"{url!r} would send credentials unencrypted; use https, or pass allow_http=True"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: 127.0.0.0/8, ::1, the same as ::ffff:127.0.0.1, or localhost."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
