"""Subscriber: a thread that does something slow with a run's events, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgeseg.events import Events
from edgeseg.telemetry.event_queue import EventQueue


class Subscriber:
    """Puts a run's events into `queue`, and runs `work`, which takes them until it is closed, in a thread."""

    def __init__(self, name: str, queue: EventQueue, work: Callable[[], None]) -> None:
        self._queue = queue
        # A daemon: the program ends without one that hangs.
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self, events: Events) -> None:
        """Subscribes to `events` and starts the thread."""
        self._unsubscribe = events.subscribe(self._queue.put)
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """Ends the subscription, closes the queue and waits at most `limit_s` for `work` to return."""
        self._unsubscribe()
        self._queue.close()
        self._thread.join(limit_s)
