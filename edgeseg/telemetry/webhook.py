"""Webhook: posts events to a web address, as JSON."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from types import TracebackType
from urllib.parse import urlsplit

from edgeseg import __version__
from edgeseg.backoff import Backoff
from edgeseg.errors import ConfigError, explain
from edgeseg.events import Event, Events
from edgeseg.exposition import Family
from edgeseg.telemetry.event_queue import EventQueue
from edgeseg.telemetry.identity import make_client_id
from edgeseg.telemetry.secret import take_secret
from edgeseg.telemetry.subscriber import Subscriber
from edgeseg.telemetry.webhook_config import WebhookConfig, hide_path

TOKEN_VARIABLE = "EDGESEG_WEBHOOK_TOKEN"
#: Events that wait while nobody answers; the oldest goes when one more comes.
WAITING = 100
#: For so long an event is posted again and again before it is given up: longer ago, it is no news.
RETRY_FOR_S = 600.0
#: How long the end of a run waits for the last events to be taken.
CLOSE_LIMIT_S = 2.0
#: Answers that may be another one the next time: too slow, too many, and everything that is the server's fault (5xx).
PASSING = (408, 425, 429)


class RefusedError(Exception):
    """The server will not take this event however often it is posted."""


class Webhook:
    """Posts the events of the configured kinds, one after the other, from a thread of its own.

    The body is the event's `record()` with `device`, who we are. `Idempotency-Key` is the same whenever an event is
    posted anew, for one whose answer was lost comes twice. Redirections are not followed. What a server does not take
    is tried again for ten minutes, with growing pauses; that it does not is told once, by the event `webhook_lost`, and
    that it does again by `webhook_back`.
    """

    def __init__(
        self,
        config: WebhookConfig,
        events: Events,
        *,
        device: str | None = None,
        environment: MutableMapping[str, str] | None = None,
        retry_for_s: float = RETRY_FOR_S,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """`device` is who we are, a name made of the machine's id when it is left out.

        Raises ConfigError for a token file that cannot be read.
        """
        if config.url is None:
            raise ValueError("there is no address")
        self.name = hide_path(config.url)
        self._parts = parts = urlsplit(config.url)
        self._timeout_s = config.timeout
        self._retry_for_s, self._make_backoff = retry_for_s, backoff
        self._token = take_secret(
            "webhook.token_file", config.token_file, TOKEN_VARIABLE, os.environ if environment is None else environment
        )
        if self._token is not None and not (self._token.isascii() and self._token.isprintable()):
            raise ConfigError("webhook: the token holds signs that HTTP cannot send; it must be printable ASCII")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._events = events
        self._queue = EventQueue(WAITING, lambda event: event.kind in config.events)
        self._subscriber = Subscriber("webhook", self._queue, self._run)
        self._device, self._run_id = device or make_client_id(), uuid.uuid4().hex
        self._trouble = ""
        self._posted = 0
        self._given_up = 0

    @property
    def posted(self) -> int:
        """Events that were taken."""
        return self._posted

    @property
    def lost(self) -> int:
        """Events that were not taken and are not tried any more."""
        return self._given_up + self._queue.dropped

    def families(self) -> Iterator[Family]:
        """Yields its numbers for Prometheus."""
        yield Family("edgeseg_webhook_events_posted_total", "counter", "Events that were taken.").add(self.posted)
        yield Family("edgeseg_webhook_events_lost_total", "counter", "Events that were given up.").add(self.lost)

    def __enter__(self) -> Webhook:
        self._subscriber.start(self._events)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A name that is being looked up cannot be called off.
        self._subscriber.stop(CLOSE_LIMIT_S)

    def _run(self) -> None:
        while (event := self._queue.take()) is not None:
            if not self._deliver(event):
                self._given_up += 1

    def _deliver(self, event: Event) -> bool:
        """Posts an event until it is taken or given up; returns which of the two."""
        backoff = self._make_backoff()
        give_up_s = time.monotonic() + self._retry_for_s
        while True:
            try:
                self._post(event)
            except RefusedError as error:
                self._tell_lost(str(error))
                return False
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                # A host that cannot be a name fails while it is looked up, with UnicodeError.
                self._tell_lost(explain(error) if isinstance(error, OSError) else f"no sensible answer: {error!r}")
                wait_s = backoff.next_s()
                if time.monotonic() + wait_s >= give_up_s or self._queue.pause(wait_s):
                    return False
            else:
                self._tell_back()
                return True

    def _post(self, event: Event) -> None:
        """Posts once. Raises OSError for what may pass, RefusedError for what does not."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edgeseg/{__version__}",
            "Idempotency-Key": f"{self._run_id}-{event.number}",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        body = json.dumps({**event.record(), "device": self._device}, ensure_ascii=False).encode(
            errors="backslashreplace"
        )
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        connection = self._connect()
        try:
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if status in PASSING or status >= 500:
            raise OSError(f"it answers {status}")
        if not 200 <= status < 300:
            raise RefusedError(f"it answers {status}; see address and token")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _tell_lost(self, reason: str) -> None:
        if reason != self._trouble:
            self._trouble = reason
            text = f"the webhook {self.name} does not take events: {reason}"
            self._events.add("webhook_lost", text, level="warning", reason=reason)

    def _tell_back(self) -> None:
        self._posted += 1
        if self._trouble:
            self._trouble = ""
            text = f"the webhook {self.name} takes events again"
            self._events.add("webhook_back", text, lost=self.lost)
