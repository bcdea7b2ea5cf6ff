"""Listener over raw sockets: clients that are too many, too slow, too large, or that say nothing."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from edgeseg.server import connections as module
from edgeseg.server.access_config import Access
from edgeseg.server.connections import LARGEST_REQUEST, network_of
from tests.edgeseg.server.live import Site, Viewer, wait_until

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.contextmanager
def connect(site: Site, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.port), 10, (source, 0)) as client:
        yield client


def read_all(client: socket.socket) -> bytes:
    """Returns what comes until the other side hangs up, in whatever way."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            content += part
    return content


def connect_once_there_is_room(site: Site, stack: contextlib.ExitStack) -> socket.socket:
    """Returns a connection that has been answered and is kept; one that was just closed may still be counted."""
    for _ in range(200):
        client = stack.enter_context(connect(site))
        client.sendall(HEAD + b"\r\n")
        with contextlib.suppress(ConnectionError):
            if client.recv(65536).startswith(b"HTTP/1.1 200"):
                return client
        client.close()
        time.sleep(0.05)
    raise AssertionError("there was never room")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a third of a second, so that it can run out in a test."""
    for name in ("HEAD_S", "STALLED_S", "HANDSHAKE_S"):
        monkeypatch.setattr(module, name, 0.3)
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    monkeypatch.setattr("edgeseg.server.login.BODY_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begin", [b"", b"GET", HEAD, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(begin: bytes) -> None:
    with Site() as site, connect(site) as client:
        client.sendall(begin)
        assert read_all(client) == b""


@pytest.mark.usefixtures("impatient")
def test_a_head_that_drips_is_not_waited_for() -> None:
    with Site() as site, connect(site) as client:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in HEAD + b"X-Slow: " + b"a" * 1000:
                client.sendall(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - began < 20
        assert read_all(client) == b""


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_kept_and_not_used_is_closed() -> None:
    with Site() as site, connect(site) as client:
        client.sendall(HEAD + b"\r\n")
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(b"ok\n")


@pytest.mark.usefixtures("impatient")
def test_a_body_that_does_not_come_to_its_end_is_not_waited_for() -> None:
    with Site() as site, connect(site) as client:
        client.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nname=")
        assert read_all(client).startswith(b"HTTP/1.1 408 Request Timeout")


@pytest.mark.usefixtures("impatient")
def test_a_viewer_that_takes_nothing_is_given_up_and_one_that_waits_is_not() -> None:
    with Site() as site, Viewer(site.port, buffer=4096), Viewer(site.port) as waits:
        site.wait_for_viewers(2)
        pictures = waits.pictures()
        for _ in range(30):
            site.publish(width=1280, height=720)
            next(pictures)
        # No picture for longer than the patience: a viewer cannot help that.
        wait_until(lambda: site.state()["viewers"] == 1)
        time.sleep(0.6)
        site.publish()
        assert next(pictures).shape == (180, 320, 3)


def test_a_large_head_is_refused() -> None:
    with Site() as site:
        for head in (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", HEAD + b"X: " + b"a" * 5000 + b"\r\n\r\n"):
            with connect(site) as client:
                client.sendall(head)
                assert read_all(client).startswith(b"HTTP/1.0 400 Bad Request")
        with connect(site) as client, contextlib.suppress(ConnectionError):
            client.sendall(HEAD)
            for number in range(LARGEST_REQUEST):
                client.sendall(b"X-%d: x\r\n" % number)
            assert not read_all(client).startswith(b"HTTP/1.1 200")


def test_requests_that_pile_up_behind_a_stream_do_not_fill_the_memory() -> None:
    with Site() as site, connect(site) as client:
        client.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        site.wait_for_viewers(1)
        client.settimeout(0.5)
        piled = 0
        # It is cut, or nobody reads on, which depends on aiohttp; either way only the kernel's buffers fill.
        with contextlib.suppress(ConnectionError, TimeoutError):
            while piled < 500 * LARGEST_REQUEST:
                piled += client.send(1000 * (HEAD + b"\r\n"))
        assert piled < 500 * LARGEST_REQUEST
        assert site.get("/healthz").status == 200


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"\x00" * 100,
        b"SSH-2.0-x\r\n\r\n",
        b"GET\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_and_not_logged(noise: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with Site() as site, connect(site) as client:
        client.sendall(noise)
        assert b"400" in read_all(client)[:30]
    assert not [record for record in caplog.records if record.levelname != "INFO"]


def test_a_secret_in_a_head_that_is_refused_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Site(token="not-to-be-guessed-by-anybody") as site, connect(site) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer not-to-be-guessed\x00\r\n\r\n")
        assert b" 400 " in read_all(client)[:30]
    assert "guessed" not in caplog.text


def test_more_connections_than_allowed_are_told_so_and_those_there_are_stay() -> None:
    with Site(access=Access(connections=8)) as site, contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(site.port)) for _ in range(7)]
        site.wait_for_viewers(7)
        one_more = connect_once_there_is_room(site, stack)
        for _ in range(3):
            with connect(site) as client:
                answer = read_all(client)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
            assert answer.endswith(b"too many connections; try again later\n")
        site.publish()
        assert all(next(viewer.pictures()).shape == (180, 320, 3) for viewer in viewers)
        one_more.close()
        connect_once_there_is_room(site, stack)


def test_one_machine_gets_half_of_the_connections_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    # All of them are this machine's here, which may have every one: to a proxy there are no others.
    monkeypatch.setattr("ipaddress.IPv4Address.is_loopback", property(lambda address: str(address) == "127.0.0.1"))
    with Site(access=Access(connections=8)) as site, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(site, "127.0.0.2")) for _ in range(5)]
        assert read_all(held[4]).startswith(b"HTTP/1.1 503")
        other = stack.enter_context(connect(site, "127.0.0.3"))
        other.sendall(HEAD + b"Connection: close\r\n\r\n")
        assert read_all(other).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_client(host: str, network: str) -> None:
    assert network_of(host) == network
