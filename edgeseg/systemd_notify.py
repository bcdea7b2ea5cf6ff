"""What the program tells systemd: that it is ready, how it is doing, that it is alive, that it ends (sd_notify(3)).

A datagram of KEY=VALUE lines to the socket that NOTIFY_SOCKET names; no library is needed for that. Outside of a
service there is no socket, and nothing is told.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, MutableMapping
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

#: How often the status is told at most, and readiness looked for.
TELL_EVERY_S = 1.0
#: How long the page may take to answer while readiness is looked for.
ANSWER_LIMIT_S = 1.0


class NotifySocket:
    """Sends to systemd. A failure is logged once and never ends the run: systemd's own time limits say the rest."""

    def __init__(self, address: str) -> None:
        """`address` is a path, or with a leading @ a name in the abstract namespace."""
        self.address = address
        self._failed = False

    def send(self, **fields: str | int) -> None:
        """Sends the fields in one datagram, so that they count together."""
        lines = "\n".join(f"{key}={_one_line(str(value))}" for key, value in fields.items())
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # systemd takes datagrams at once; should it not, the loop must not wait for it.
                channel.settimeout(TELL_EVERY_S)
                channel.sendto(lines.encode(), address)
        except OSError as error:
            if not self._failed:
                log.warning("systemd's socket %s takes no news: %s", self.address, error)
            self._failed = True


class Notifier:
    """Tells systemd what is true, whenever `tick()` is called: once a second or so, from the thread that must not hang.

    ready: whether the run is up (the model is loaded, the page answers); asked until it says so. alive: whether
    something has advanced: results come, or a lost camera is being looked for. Only while it says so is the watchdog
    fed, and so a run that hangs anywhere, this thread included, is killed and started anew. status: one line for
    `systemctl status`.
    """

    def __init__(
        self,
        channel: NotifySocket,
        *,
        ready: Callable[[], bool],
        alive: Callable[[], bool],
        status: Callable[[], str],
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`watchdog_s` is systemd's WatchdogSec, None when it has none; it is fed four times in that time."""
        self._channel = channel
        self._ready, self._alive, self._status = ready, alive, status
        self._feed_every_s = None if watchdog_s is None else watchdog_s / 4
        self._clock = clock
        self._is_ready = False
        self._told_status: str | None = None
        self._told_s = self._fed_s = -float("inf")

    @classmethod
    def from_environment(
        cls,
        *,
        ready: Callable[[], bool],
        alive: Callable[[], bool],
        status: Callable[[], str],
        environment: MutableMapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Notifier | None:
        """Returns the notifier of the service this runs in, None outside of one.

        Takes the variables out of the environment: what is started from here (a camera's program) must not tell
        systemd anything in our name.
        """
        environment = os.environ if environment is None else environment
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        for_us = not watched or watched == str(os.getpid())
        watchdog_s = int(watchdog) / 1e6 if for_us and watchdog.isdecimal() and int(watchdog) > 0 else None
        channel = NotifySocket(address)
        return cls(channel, ready=ready, alive=alive, status=status, watchdog_s=watchdog_s, clock=clock)

    def tick(self) -> None:
        """Tells what there is to tell; takes no time when that is nothing, a second at most while a page is awaited."""
        now = self._clock()
        if now - self._told_s >= TELL_EVERY_S:
            self._told_s = now
            self._tell()
        if self._feed_every_s is not None and now - self._fed_s >= self._feed_every_s and self._alive():
            self._fed_s = now
            self._channel.send(WATCHDOG=1)

    def stopping(self) -> None:
        """Tells that the run has ended."""
        self._channel.send(STOPPING=1, STATUS="ended")

    def _tell(self) -> None:
        fields: dict[str, str | int] = {}
        if not self._is_ready and self._ready():
            self._is_ready = True
            fields["READY"] = 1
        status = self._status()
        if status != self._told_status:
            self._told_status = status
            fields["STATUS"] = status
        if fields:
            self._channel.send(**fields)


def page_answers(url: str) -> bool:
    """Whether the live page at `url` answers a request, with whatever status: a login or "no picture yet" is one."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    # It listens everywhere; from here it is reached there.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # Its certificate is for others: whether it answers is asked, not who it is.
        connection = http.client.HTTPSConnection(
            host, port, timeout=ANSWER_LIMIT_S, context=ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_LIMIT_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
    return True


def _one_line(text: str) -> str:
    return " ".join(text.split())
