"""Reads the proxies and certificates that the environment names, as httpx does, and refuses what cannot be used."""

import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies

from agora_analytics.core.base_url import is_loopback, is_url
from agora_analytics.engine.transports.dns import is_address
from agora_analytics.errors import ConfigurationError
from agora_analytics.logs import logger_of
from agora_analytics.messages import SECRET_HEADERS, Request

if TYPE_CHECKING:
    import httpx

_log = logger_of("requests")


def default_certificates() -> ssl.SSLContext:
    """Return the TLS context of httpx: the CAs of `SSL_CERT_FILE`, of `SSL_CERT_DIR`, or else of certifi.

    Raises:
        ConfigurationError: `SSL_CERT_FILE`, `SSL_CERT_DIR` or `SSLKEYLOGFILE` cannot be used.
    """
    import httpx

    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise _unusable("SSL_CERT_DIR", folders, "it is not a folder")
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        try:
            with Path(key_log).open("ab"):
                pass
        except OSError as error:
            raise _unusable("SSLKEYLOGFILE", key_log, error.strerror or str(error)) from error
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # also ssl.SSLError
        if not file:
            raise
        raise _unusable("SSL_CERT_FILE", file, error.strerror or str(error)) from error


def _unusable(variable: str, value: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable}={value!r} cannot be used: {reason}; correct the variable, or unset it"
    )


def environment_proxies(
    *, certificates: ssl.SSLContext, limits: "httpx.Limits", http2: bool
) -> "dict[str, httpx.AsyncHTTPTransport | None]":
    """Return the `mounts` of an httpx client for `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

    Entries of `NO_PROXY` that httpx cannot match are skipped with a warning. The dict is empty without a proxy.

    Raises:
        ConfigurationError: a variable is not the URL of a proxy.
    """
    import httpx

    proxies, exempt = _proxies()
    mounts: dict[str, httpx.AsyncHTTPTransport | None] = {}
    for scheme, text in proxies.items():
        url = text.strip() if "://" in text else f"http://{text.strip()}"
        try:
            if not is_url(url, ("http", "https", "socks5", "socks5h")):
                raise ValueError  # noqa: TRY301 - the same message as for a URL that httpx refuses
            mounts[f"{scheme}://"] = httpx.AsyncHTTPTransport(
                verify=certificates, limits=limits, http2=http2, proxy=httpx.Proxy(url)
            )
        except ImportError as error:
            raise ConfigurationError(
                f"{_variable(scheme)} is a SOCKS proxy, which needs socksio: pip install 'httpx[socks]'"
            ) from error
        except (ValueError, httpx.InvalidURL):  # the value may contain a password, so no error shows it
            raise ConfigurationError(
                f"{_variable(scheme)} is not the URL of a proxy; set it to http://HOST:PORT, or unset it"
            ) from None
    for entry in exempt:
        pattern = _exemption(entry)
        try:
            if not httpx.URL(pattern).host or " " in entry or ("/" in entry and "://" not in entry):
                raise ValueError  # noqa: TRY301 - httpx accepts a network, but compares names and addresses only
        except (ValueError, httpx.InvalidURL):
            _log.warning("the entry %r of NO_PROXY is ignored: it is not a host name or an address", entry)
        else:
            mounts[pattern] = None
    return mounts


def has_proxies() -> bool:
    """Return whether the environment names a proxy."""
    return bool(_proxies()[0])


def _proxies() -> tuple[dict[str, str], list[str]]:
    """Return the proxies of the environment by scheme, and the entries of `NO_PROXY`."""
    found = getproxies()
    exempt = [entry.strip() for entry in found.get("no", "").split(",") if entry.strip()]
    proxies = {scheme: found[scheme] for scheme in ("http", "https", "all") if found.get(scheme)}
    return ({}, []) if not proxies or "*" in exempt else (proxies, exempt)


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_PROXY".upper())
    return next((name for name in names if os.environ.get(name)), f"the system's {scheme} proxy")


def _exemption(entry: str) -> str:
    """Return the pattern of httpx for an entry of `NO_PROXY`."""
    bare = entry.strip("[]")
    if "://" in entry:
        return entry
    if is_address(bare):
        return f"all://[{bare}]" if ":" in bare else f"all://{bare}"
    return f"all://{entry}" if entry.lower() == "localhost" else f"all://*{entry}"


def may_use_proxy(request: Request, host: str, *, encrypted: bool) -> bool:
    """Return whether a request may be sent through a proxy.

    A proxy cannot reach this machine's loopback. It can read what is sent over http, so a request with credentials uses a
    proxy only over https, where the proxy forwards encrypted bytes.
    """
    if is_loopback(host):
        return False
    if encrypted or SECRET_HEADERS.isdisjoint(map(str.lower, request.headers)):
        return True
    _warn_of_bypass(host)
    return False


@lru_cache(maxsize=64)
def _warn_of_bypass(host: str) -> None:
    _log.warning(
        "requests to http://%s do not use the proxy, which could read the credentials; use https", host
    )
