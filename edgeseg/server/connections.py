"""Listener: takes connections, so many and no more, and lets go of those that do nothing."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import struct
from collections import Counter
from typing import Any, cast

from aiohttp import web

from edgeseg.server.address import Address

logger = logging.getLogger(__name__)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Seconds in which a connection must have sent the head of its (next) request, and its body after that.
HEAD_S = 15.0
#: Seconds in which a viewer must have taken what was written to it: one that takes nothing is gone, whatever its
#: connection says.
STALLED_S = 30.0
#: Bytes that one request may have, head and body. A log-in has hundreds, a WebRTC offer has some thousands.
LARGEST_REQUEST = 128 * 1024
HANDSHAKE_S = 10.0
#: How often it is looked whose time is up.
SWEEP_S = 0.5
#: Bytes the kernel may hold for a viewer that were not sent yet. Left to itself it takes megabytes: seconds of old
#: pictures.
UNSENT_BYTES = 16 * 1024


class Connection(asyncio.Protocol):
    """A client's connection. Passes everything on to aiohttp's protocol, and knows how long what takes."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting_since: float | None = self._loop.time()
        self._paused_since: float | None = None
        self._received = 0
        self._drained: asyncio.Future[None] | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @staticmethod
    def of(request: web.BaseRequest) -> Connection:
        """Returns the connection that a request came in on. Raises ConnectionResetError when it is gone."""
        if request.transport is None:
            raise ConnectionResetError("the connection is gone")
        return cast("Connection", request.transport.get_protocol())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # What is written counts as written when the kernel has it.
        self._transport.set_write_buffer_limits(high=1)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > LARGEST_REQUEST:
            self.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._paused_since = self._loop.time()
        self._drained = self._loop.create_future()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        self._end_drain()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_drain()
        if not self.lost.done():
            self.lost.set_result(None)
        self._inner.connection_lost(exc)

    def begin(self) -> None:
        """Notes that the head of a request is complete and its answer is being made."""
        self._waiting_since = None

    def end(self) -> None:
        """Notes that the answer is made: the next request, if there is one, may come."""
        self._waiting_since, self._received = self._loop.time(), 0

    async def drain(self) -> None:
        """Waits until the kernel has everything that was written: what is taken next is then the newest."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def check(self, now: float) -> None:
        """Cuts the connection when it has been waited for too long."""
        if self._paused_since is not None:
            if now - self._paused_since > STALLED_S:
                self.abort()
        elif self._waiting_since is not None and now - self._waiting_since > HEAD_S:
            self.abort()

    def abort(self) -> None:
        """Cuts the connection; what was written and not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def _end_drain(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None


class Listener:
    """Listens at an address and takes up to `most` connections, half of them from one other machine at most.

    What is beyond that is refused before anything is spent on it, an encryption's handshake least of all.
    """

    def __init__(self, server: web.Server, most: int, tls: ssl.SSLContext | None = None) -> None:
        self._server, self._tls, self._most = server, tls, most
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self.refused_count = 0

    @property
    def count(self) -> int:
        """How many connections there are."""
        return self._by_address.total()

    async def open(self, address: Address) -> int:
        """Begins to listen and returns the port. Raises OSError, or UnicodeError for what can be no host name."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        port, error = address.port, None
        for family, *_, place in dict.fromkeys(found):
            try:
                listening = socket.create_server((place[0], port, *place[2:]), family=family, backlog=128)
            except OSError as failure:
                # `localhost` also stands for ::1, which a machine may not have.
                error = failure
                continue
            listening.setblocking(False)
            port = listening.getsockname()[1]
            self._sockets.append(listening)
            self._start(self._accept(listening))
        if not self._sockets:
            raise error or OSError(f"{address.host}: no such address")
        self._start(self._sweep())
        return port

    def close(self) -> None:
        """Takes no more connections; those there are stay."""
        for task in self._tasks:
            task.cancel()
        for listening in self._sockets:
            listening.close()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, place = await loop.sock_accept(listening)
            except OSError as error:
                # It may have hung up already; or there are no file descriptors left, which time may mend.
                logger.debug("a connection could not be taken: %s", error)
                await asyncio.sleep(0.1)
                continue
            key = network_of(place[0])
            share = self._most if read_ip(place[0]).is_loopback else self._most // 2
            if self.count >= self._most or self._by_address[key] >= share:
                self.refused_count += 1
                _refuse(client, plain=self._tls is None)
                continue
            self._by_address[key] += 1
            self._start(self._serve(client, key))

    async def _serve(self, client: socket.socket, key: str) -> None:
        connection = None
        try:
            with contextlib.suppress(OSError, AttributeError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            loop = asyncio.get_running_loop()
            # A handshake that fails or takes too long raises an OSError of one kind or another.
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                _, connection = await loop.connect_accepted_socket(
                    lambda: Connection(self._server()),
                    client,
                    ssl=self._tls,
                    ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
                )
            if connection is not None:
                self._connections.add(connection)
                await connection.lost
        finally:
            if connection is not None:
                self._connections.discard(connection)
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            for connection in list(self._connections):
                connection.check(loop.time())


def read_ip(text: str) -> IPAddress:
    """Returns the address that a socket's text means, IPv4 also where it came in over IPv6. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def network_of(host: str) -> str:
    """Returns what stands for one client: its address, or the half of an IPv6 one that its owner cannot choose."""
    address = read_ip(host)
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def _refuse(client: socket.socket, *, plain: bool) -> None:
    """Says that there are too many, if that takes no time, and hangs up."""
    with client, contextlib.suppress(OSError):
        if plain:
            client.setblocking(False)
            text = b"too many connections; try again later\n"
            client.send(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 10\r\n"
                b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
            )
            client.shutdown(socket.SHUT_WR)
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
