"""Proxies and certificates of the environment: they are used, ignored with a warning, or an error names the variable."""

import logging
import os
import subprocess
import sys

import pytest

from agora_analytics.core.base_url import is_loopback
from agora_analytics.engine.transports.aiohttp import AiohttpTransport
from agora_analytics.engine.transports.environment import default_certificates
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import ConfigurationError
from agora_analytics.messages import FailureKind
from tests.conftest import CUSTOMER, SECRET
from tests.engine.test_transports import EchoServer, kind_of, listening, request

NOBODY = "http://127.0.0.1:1"  # a proxy that does not listen
CREDENTIALS = {"authorization": "Basic c2VjcmV0"}


class Proxy:
    """Records the requests that it receives; answers each itself, and refuses tunnels."""

    def __init__(self):
        self.heads = []

    async def __call__(self, reader, writer):
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = b"403 No" if self.heads[-1].startswith("CONNECT") else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()


async def opened(transport):
    try:
        await transport.open()
    finally:
        await transport.aclose()


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Remove the settings of the machine."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSLKEYLOGFILE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["httpx", "aiohttp"])
def certified(request):
    """Return each transport that reads certificates of the environment."""
    if request.param == "httpx":
        return HttpxTransport
    pytest.importorskip("aiohttp")
    return AiohttpTransport


# ---- values that cannot be used


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://",
        "ftp://proxy:21",
        "http://[::1",
        "http://a b:1",
        "::",
    ],
)
async def test_invalid_proxy_is_a_configuration_error_that_names_the_variable(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"^{variable} is not the URL of a proxy"):
        await opened(HttpxTransport())


async def test_error_about_a_proxy_does_not_contain_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass/word@proxy:80")
    with pytest.raises(ConfigurationError) as caught:
        await opened(HttpxTransport())
    shown, error = "", caught.value
    while error:
        shown, error = f"{shown} {error} {error!r}", error.__cause__
    assert "word" not in shown


async def test_socks_proxy_without_socksio_names_the_variable_and_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"^ALL_PROXY is a SOCKS proxy.*httpx\[socks\]"):
        await opened(HttpxTransport())


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_certificate_file_that_cannot_be_used_is_named(certified, content, tmp_path, monkeypatch):
    path = tmp_path / "cacert.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE=.*cacert\.pem"):
        await opened(certified())


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "SSLKEYLOGFILE", "SSL_CERT_FILE"])
async def test_path_that_does_not_exist_is_named(certified, variable, monkeypatch):
    monkeypatch.setenv(variable, "/nonexistent/folder/keys")
    with pytest.raises(ConfigurationError, match=f"^{variable}='/nonexistent/folder/keys' cannot be used"):
        await opened(certified())


async def test_folder_of_certificates_is_used(certified, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    await opened(certified())
    assert default_certificates().keylog_filename == str(tmp_path / "keys")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "http://127.0.0.1:port"), ("SSL_CERT_FILE", "/nonexistent/cacert.pem")],
)
def test_command_line_names_the_variable_and_exits_with_78(variable, value):
    pytest.importorskip("typer")
    account = {"AGORA_CUSTOMER_ID": CUSTOMER, "AGORA_CUSTOMER_SECRET": SECRET, "AGORA_APP_ID": "0" * 32}
    done = subprocess.run(
        [sys.executable, "-m", "agora_analytics", "calls", "--since", "6h"],
        env=os.environ | account | {"AGORA_BASE_URL": NOBODY, variable: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, variable in done.stderr) == (78, True), done.stderr


@pytest.mark.parametrize("value", ["127.0.0.1:8080", "http://", "socks5://proxy:1", "http://proxy:port", ""])
def test_invalid_proxy_of_aiohttp_is_refused(value):
    pytest.importorskip("aiohttp")
    with pytest.raises(ConfigurationError, match="not the URL of a proxy"):
        AiohttpTransport(proxy=value)


# ---- NO_PROXY


@pytest.mark.parametrize(
    "entry", ["fd07:b51a:cc66:f0::/64", "192.168.0.0/16", "http://[::1", "a b", "host:port"]
)
async def test_entry_of_no_proxy_that_cannot_be_matched_is_ignored_with_a_warning(entry, monkeypatch, caplog):
    monkeypatch.setenv("HTTPS_PROXY", NOBODY)
    monkeypatch.setenv("NO_PROXY", f"localhost, {entry},127.0.0.1")
    transport = HttpxTransport()
    await opened(transport)
    assert [
        (r.levelno, repr(entry) in r.getMessage()) for r in caplog.records if "NO_PROXY" in r.getMessage()
    ] == [(logging.WARNING, True)]


@pytest.mark.parametrize(
    ("entries", "direct"),
    [
        ("", False),
        ("other.invalid", False),
        ("api.invalid", True),
        (".invalid", True),
        ("a.b,invalid", True),
        ("*", True),
        ("https://api.invalid", True),
        ("api.invalid:443", False),
        ("[::1],::1,10.0.0.1,localhost,api.invalid", True),
    ],
)
async def test_hosts_of_no_proxy_are_reached_directly(entries, direct, monkeypatch, caplog):
    proxy = Proxy()
    async with listening(proxy) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("NO_PROXY", entries)
        transport = HttpxTransport()
        kind = await kind_of(transport, "https://api.invalid:8443")
        await transport.aclose()
    assert (kind is FailureKind.DNS, proxy.heads == []) == (direct, direct)
    assert "NO_PROXY" not in caplog.text


async def test_unusable_proxy_does_not_matter_if_no_host_uses_it(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:port")
    monkeypatch.setenv("NO_PROXY", "*")
    await opened(HttpxTransport())


# ---- this machine


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(
            (host, True)
            for host in ("127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST", "localhost.")
        ),
        ("::ffff:127.0.0.1", True),
        *(
            (host, False)
            for host in ("128.0.0.1", "::2", "::ffff:10.0.0.1", "localhost.example", "127.1", "", "0.0.0.0")
        ),
    ],
)
def test_loopback_addresses(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost"])
async def test_any_loopback_address_bypasses_the_proxy(variable, host, monkeypatch):
    if host == "127.1.2.3" and sys.platform != "linux":
        pytest.skip("this system has one loopback address")
    monkeypatch.setenv(variable, NOBODY)
    async with listening(EchoServer().serve, host=host) as url:
        transport = HttpxTransport()
        assert (await transport.send(request(url))).status == 200
        await transport.aclose()


# ---- credentials


async def send_through(library, proxy, base_url, monkeypatch, headers=CREDENTIALS):
    if library == "aiohttp":
        pytest.importorskip("aiohttp")
        transport = AiohttpTransport(proxy=proxy)
    else:
        monkeypatch.setenv(library, proxy)
        transport = HttpxTransport()
    try:
        return await transport.send(request(base_url, headers=headers))
    finally:
        await transport.aclose()


LIBRARY = pytest.mark.parametrize("library", ["HTTP_PROXY", "ALL_PROXY", "aiohttp"])


@LIBRARY
async def test_plain_http_with_credentials_bypasses_the_proxy_with_a_warning(library, monkeypatch, caplog):
    proxy = Proxy()
    async with listening(proxy) as url:
        with pytest.raises(Exception, match="DNS"):
            await send_through(
                library, url, f"http://{library.lower().replace('_', '-')}.invalid", monkeypatch
            )
    assert proxy.heads == []
    assert "do not use the proxy" in caplog.text


@LIBRARY
async def test_plain_http_without_credentials_uses_the_proxy(library, monkeypatch):
    proxy = Proxy()
    async with listening(proxy) as url:
        assert (await send_through(library, url, "http://api.invalid", monkeypatch, headers={})).body == b"{}"
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("library", ["HTTPS_PROXY", "ALL_PROXY", "aiohttp"])
async def test_https_uses_a_tunnel_that_does_not_show_the_credentials(library, monkeypatch):
    proxy = Proxy()
    async with listening(proxy) as url:
        with pytest.raises(Exception, match="403"):
            await send_through(library, url, "https://api.invalid", monkeypatch)
    assert proxy.heads[0].startswith("CONNECT api.invalid:443 ")
    assert "authorization" not in proxy.heads[0].lower()
