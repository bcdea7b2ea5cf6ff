"""LivePage: the sink that a browser watches."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from concurrent.futures import Future
from types import TracebackType

from aiohttp import web

from edgeseg.classes import CLASSES, SegmentClass
from edgeseg.errors import SinkUnavailableError, UsageError, explain
from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.server.address import Address
from edgeseg.server.feed import PictureFeed
from edgeseg.server.routes import build_app
from edgeseg.sinks.sink import Result

log = logging.getLogger(__name__)

#: Seconds that viewers get to take their last bytes when a run ends.
SHUTDOWN_S = 0.5


class LivePage:
    """Serves the overlay and the run's numbers over HTTP, from a thread with an event loop of its own.

    There is no login yet: with anything but a loopback address entering raises UsageError, unless `allow_remote` says
    that everybody who can reach the machine may watch.
    """

    lossless = False

    def __init__(
        self,
        address: Address,
        *,
        metrics: Metrics,
        health: Health,
        classes: tuple[SegmentClass, ...] = CLASSES,
        allow_remote: bool = False,
    ) -> None:
        self.name = address.url
        self.url = address.url
        self._address = address
        self._allow_remote = allow_remote
        self._metrics, self._health, self._classes = metrics, health, classes
        self._feed = PictureFeed()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def __enter__(self) -> LivePage:
        if not self._address.loopback:
            if not self._allow_remote:
                raise UsageError(
                    f"{self.name}: everybody in the network could watch, for there is no login yet; serve 127.0.0.1 "
                    f"and reach it with: ssh -L {self._address.port}:127.0.0.1:{self._address.port} THIS_MACHINE"
                )
            log.warning("%s: everybody who can reach this machine can watch, there is no login", self.name)
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="live-page", daemon=True)
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
        self.url = Address(self._address.host, port).url
        log.info("watch at %s", self.url)
        return self

    def write(self, result: Result) -> None:
        self._feed.publish(result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except Exception as error:
            if started.done():
                raise
            # Start-up failed, and the caller of __enter__ waits to hear of it.
            started.set_exception(error)

    async def _serve(self, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        app = build_app(self._feed, self._metrics, self._health, self._classes)
        # With handler_cancellation a viewer that leaves while no picture comes is let go at once.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._address.host, self._address.port)
            await site.start()
            async with self._feed.running():
                started.set_result(runner.addresses[0][1])
                await self._stop.wait()
        finally:
            await runner.cleanup()


def _say_why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the program that has it or choose another port"
    if error.errno == errno.EACCES:
        return "not allowed to listen there; ports below 1024 belong to root, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; serve 127.0.0.1"
    return explain(error)
