"""The proxy between a client and a server, in front of a server that sends back what it receives."""

import socket
import socketserver
import threading
import time

import pytest

from tests.services.server import HOST

HELD = 0.3
"""Seconds in which an answer would have arrived: an answer that is not held back takes less than a millisecond."""


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65_536):
            self.server.received.append(data)
            self.request.sendall(data)
        self.server.closed.set()


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__((HOST, 0), Echo)
        self.received = []
        self.closed = threading.Event()

    def handle_error(self, *_):
        self.closed.set()  # a reset


@pytest.fixture
def echo():
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def link(echo, proxy):
    return proxy(echo.server_address[1])


@pytest.fixture
def connection(link):
    with connect(link) as opened:
        yield opened


def connect(link):
    return socket.create_connection((HOST, link.port), timeout=30)


def ask(connection, data=b"question"):
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection, size):
    received = b""
    while len(received) < size:
        received += connection.recv(65_536)
    return received


def test_proxy_forwards_both_ways(link, connection):
    data = bytes(range(256)) * 4_000
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    assert receive(connection, len(data)) == data
    sender.join()
    assert link.connections == 1


def test_closed_connection_is_closed_at_the_server(echo, connection):
    ask(connection)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    assert echo.closed.wait(30)


def test_latency_is_added_each_way(link, connection):
    ask(connection)
    link.latency = 0.05
    before = time.monotonic()
    ask(connection)
    assert time.monotonic() - before >= 0.1


def test_latency_does_not_limit_the_throughput(link, connection):
    """A later chunk does not wait for the arrival of an earlier one: 50 of them would take 10 s."""
    link.latency = 0.2
    before = time.monotonic()
    for number in range(50):
        connection.sendall(b"%02d" % number)
        time.sleep(0.001)
    assert receive(connection, 100) == b"".join(b"%02d" % number for number in range(50))
    assert time.monotonic() - before < 10


def test_frozen_network_delivers_nothing_until_it_heals(echo, link, connection):
    ask(connection)
    link.freeze()
    connection.sendall(b"held back")
    connection.settimeout(HELD)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    assert echo.received == [b"question"]
    link.heal()
    connection.settimeout(30)
    assert receive(connection, 9) == b"held back"


def test_frozen_network_holds_back_a_closed_connection(echo, link, connection):
    ask(connection)
    link.freeze()
    connection.sendall(b"last words")
    connection.close()
    assert not echo.closed.wait(HELD)
    link.heal()
    assert echo.closed.wait(30)
    assert echo.received == [b"question", b"last words"]


def test_connection_to_a_frozen_network_waits_for_the_heal(echo, link):
    link.freeze()
    with connect(link) as connection:
        connection.sendall(b"question")
        connection.settimeout(HELD)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert echo.received == []
        link.heal()
        connection.settimeout(30)
        assert receive(connection, 8) == b"question"


@pytest.mark.parametrize("frozen", [False, True])
def test_cut_resets_both_sides(echo, link, connection, frozen):
    ask(connection)
    if frozen:
        link.freeze()
        connection.sendall(b"lost")
    link.cut()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert echo.closed.wait(30)
    link.heal()
    with connect(link) as another:
        assert ask(another) == b"question"
    assert b"lost" not in echo.received


def test_connection_to_a_stopped_server_is_reset(proxy):
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        link = proxy(unused.getsockname()[1])
        with pytest.raises(ConnectionResetError):
            reset_of(link)


def reset_of(link):
    """Connect and wait for the reset, which may arrive before the connection is reported as open."""
    with connect(link) as connection:
        connection.recv(1)
