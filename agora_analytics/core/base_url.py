"""The base URL that a user passes: validated, and encrypted unless it is this machine."""

from ipaddress import IPv6Address, ip_address
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
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in {"http", "https"}
            and (parts.hostname or "").encode("idna")
            and (parts.port is None or parts.port > 0)
            and url.isprintable()
            and " " not in url
        )
    except ValueError:  # a malformed IPv6 address, port or host name
        usable = False
    if not usable or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is not a base URL; give one such as https://api.example.com")
    return url.rstrip("/")


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
