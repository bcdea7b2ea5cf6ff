"""Subscriber: a thread that does something slow with a run's events, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgeseg.events import Events
from edgeseg.telemetry.event_queue import EventQueue


class Subscriber:
    """Lets `work`, which takes from `queue` until that is closed, hear a run's events from a thread of its own."""

    def __init__(self, name: str, queue: EventQueue, work: Callable[[], None]) -> None:
        self._name, self._queue, self._work = name, queue, work
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self, events: Events) -> None:
        """Begins to listen."""
        self._unsubscribe = events.subscribe(self._queue.put)
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """Hears no more, and waits so long for what was heard to be done; what hangs then is left to hang."""
        self._unsubscribe()
        self._queue.close()
        if self._thread is not None:
            self._thread.join(limit_s)
