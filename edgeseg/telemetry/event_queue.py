"""EventQueue: hands events from whoever adds them to the thread that does something slow with them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edgeseg.events import Event


class EventQueue:
    """The last `size` events that nobody has taken yet; when one more comes the oldest is dropped and counted.

    `wanted` tells which events go into it.
    """

    def __init__(self, size: int, wanted: Callable[[Event], bool] = lambda event: True) -> None:
        self._events: deque[Event] = deque()
        self._size = size
        self._wanted = wanted
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0

    def put(self, event: Event) -> None:
        """Adds an event; never waits."""
        if not self._wanted(event):
            return
        with self._changed:
            if len(self._events) == self._size:
                self._events.popleft()
                self._dropped += 1
            self._events.append(event)
            self._changed.notify_all()

    def take(self) -> Event | None:
        """Waits for the next event and returns it; None once the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Lets `take()` return what is left, and then None; nobody waits in `pause()` any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Waits so long, or until the queue is closed; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, seconds)

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    @property
    def dropped(self) -> int:
        """How many events were dropped."""
        with self._changed:
            return self._dropped

    def __len__(self) -> int:
        with self._changed:
            return len(self._events)
