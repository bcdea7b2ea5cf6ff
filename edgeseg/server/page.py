"""LivePage: the server that browsers watch, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from edgeseg.errors import ConfigError, SinkUnavailableError, UsageError, explain
from edgeseg.events import Events
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.server.broadcast import Broadcast
from edgeseg.server.connections import Listener
from edgeseg.server.guard import Guard
from edgeseg.server.hosts import Hosts
from edgeseg.server.keys import Keys
from edgeseg.server.routes import build_app
from edgeseg.server.tls import load_certificate, open_tls
from edgeseg.server.view import View

if TYPE_CHECKING:
    from edgeseg.server.webrtc import Peers

log = logging.getLogger(__name__)

#: Seconds that viewers get to take their last bytes when a run ends.
SHUTDOWN_S = 0.5
#: Bytes of a request's first line and of one of its header fields.
LARGEST_LINE = 4096


class LivePage:
    """Serves the pictures and numbers of one or several cameras over HTTP or HTTPS.

    Entering raises UsageError for an address that others can reach while no key is needed, ConfigError for a token or
    a certificate that is no good, and SinkUnavailableError when the address cannot be had.
    """

    def __init__(
        self,
        address: Address,
        views: Sequence[View],
        *,
        events: Events,
        access: Access | None = None,
        token: str | None = None,
        routes: Sequence[web.AbstractRouteDef] = (),
        webrtc: bool = False,
    ) -> None:
        """`token` is the environment's (EDGESEG_TOKEN) and goes before the one of `access`.

        `routes` are answered beside the page's own, to whoever has logged in. `webrtc` offers video that way too, from
        UDP ports of every address of this machine but loopback.
        """
        self._access = access or Access()
        self.name = self.url = address.url_over(tls=self._access.certificate is not None)
        self._address, self._views, self._events, self._routes = address, views, events, routes
        self._token, self._webrtc = token, webrtc
        self._tls: ssl.SSLContext | None = None
        self._guard: Guard | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def __enter__(self) -> LivePage:
        keys = Keys.load(self._access, self._address, self._token)
        if self._webrtc and find_spec("aiortc") is None:
            raise UsageError("http.webrtc: needs aiortc; pip install 'edgeseg[webrtc]'")
        if self._access.certificate is not None:
            self._tls = open_tls(self._access.certificate, self._access.key)
        elif not self._address.loopback:
            log.warning("%s: log-ins and pictures cross the network in the clear; give http: certificate", self.name)
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(keys, started), name="live-page", daemon=True)
        self._thread.start()
        try:
            port = started.result()
        except OSError as error:
            self._thread.join()
            self._thread = None
            raise SinkUnavailableError(f"{self.name}: {_say_why(error)}") from error
        except UnicodeError as error:
            self._thread.join()
            self._thread = None
            raise UsageError(f"{self.name}: {self._address.host!r} is no host name; write PORT or HOST:PORT") from error
        self.url = Address(self._address.host, port).url_over(tls=self._tls is not None)
        log.info("watch at %s%s", self.url, " after a log-in" if keys.required else "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None or self._loop is None:
            return
        # A loop that a bug of ours has ended takes no calls; what it was is told by then.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def use_access(self, access: Access) -> None:
        """Takes other keys, names and certificate files; viewers whose log-in still holds stay.

        Raises ConfigError or UsageError, and changes nothing then. Turning TLS on or off, and the number of
        connections, need a new start, which it says.
        """
        if (access.certificate is None) != (self._access.certificate is None):
            raise ConfigError("http.certificate: TLS cannot be turned on or off while it runs; start edgeseg anew")
        if access.connections != self._access.connections:
            raise ConfigError("http.connections: cannot change while it runs; start edgeseg anew")
        if self._thread is None or self._loop is None or self._guard is None:
            raise RuntimeError("the page is not open")
        keys, hosts = Keys.load(access, self._address, self._token), Hosts(self._address, access.hosts)
        if self._tls is not None and access.certificate is not None:
            load_certificate(self._tls, access.certificate, access.key)
        done: Future[None] = Future()
        guard = self._guard

        def change() -> None:
            guard.use(keys, hosts)
            done.set_result(None)

        self._loop.call_soon_threadsafe(change)
        done.result()
        self._access = access

    def _run(self, keys: Keys, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(keys, started))
        except Exception as error:
            if started.done():
                raise
            # Start-up failed, and the caller of __enter__ waits to hear of it.
            started.set_exception(error)

    async def _serve(self, keys: Keys, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            # One thread each: so much the pictures take of the processor and no more, whoever asks for whatever.
            pictures = stack.enter_context(ThreadPoolExecutor(1, "page-jpeg"))
            logins = stack.enter_context(ThreadPoolExecutor(1, "page-login", initializer=_stand_back))
            hosts = Hosts(self._address, self._access.hosts)
            guard = self._guard = Guard(keys, hosts, logins, tls=self._tls is not None)
            broadcasts = {view.name: Broadcast(view, pictures) for view in self._views}
            peers = self._make_peers(pictures)
            runner = web.AppRunner(
                build_app(broadcasts, self._events, guard, self._routes, peers),
                # A viewer that leaves while no picture comes is let go at once.
                handler_cancellation=True,
                access_log=None,
                shutdown_timeout=SHUTDOWN_S,
                logger=_quiet_logger(),
                max_line_size=LARGEST_LINE,
                max_field_size=LARGEST_LINE,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            assert runner.server is not None, "it has just been set up"
            listener = Listener(runner.server, self._access.connections, self._tls)
            guard.set_port(port := await listener.open(self._address))
            stack.callback(listener.close)
            if peers is not None:
                stack.push_async_callback(peers.close)
            for broadcast in broadcasts.values():
                await stack.enter_async_context(broadcast.running())
            started.set_result(port)
            await self._stop.wait()

    def _make_peers(self, executor: Executor) -> Peers | None:
        if not self._webrtc:
            return None
        from edgeseg.server.webrtc import Peers

        return Peers(executor)


def _stand_back() -> None:
    """Lets the other threads go first: a log-in may take its time, a camera's picture may not."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


def _quiet_logger() -> logging.Logger:
    """aiohttp's own words, less those about requests that are no HTTP: anybody can send such, and they quote them."""
    logger = log.getChild("http")
    logger.addFilter(_is_ours_to_mend)
    return logger


def _is_ours_to_mend(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def _say_why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the program that has it or choose another port"
    if error.errno == errno.EACCES:
        return "not allowed to listen there; ports below 1024 belong to root, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; serve 127.0.0.1"
    return explain(error)
