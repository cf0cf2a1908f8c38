"""A base URL that a user gives: one host to ask, and never in the open."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from agora_analytics.errors import ConfigurationError


def checked_base_url(url: str | None) -> str | None:
    """Return a base URL without the slash at its end, and the space around it; None if none is given.

    Raises:
        ConfigurationError: if it is none, or holds credentials.

    Example:
        >>> checked_base_url("http://127.0.0.1:8080/")
        'http://127.0.0.1:8080'
    """
    if not (url := (url or "").strip()):
        return None
    if "@" in url:  # before the URL is looked at, for no error may show them
        raise ConfigurationError("the base URL holds credentials; pass them by their own names")
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in {"http", "https"}
            and (parts.hostname or "").encode("idna")
            and (parts.port is None or parts.port > 0)
            and url.isprintable()
            and " " not in url
        )
    except ValueError:  # half an IPv6 address, a port that is no number, a name that cannot be one
        usable = False
    if not usable or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is not a base URL; give one such as https://api.example.com")
    return url.rstrip("/")


def refuse_open(url: str | None, *, allow_http: bool) -> None:
    """Refuse plain http to another machine.

    Raises:
        ConfigurationError: if the URL would send what is secret unencrypted.
    """
    parts = urlsplit(url or "")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(f"{url!r} would send secrets unencrypted; use https, or allow_http=True")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
