"""Pause: whether a recording goes on, and what is said when that changes."""

from __future__ import annotations

import threading
import time

from edgeseg.events import Events
from edgeseg.sinks.files import FULL, say_why

#: How often a recording that is paused tries to go on.
RETRY_S = 2.0
#: A disk that is full again after so long is a new event.
FULL_AGAIN_S = 60.0


class Pause:
    """Why nothing is recorded, if nothing is. Any thread may set it and ask."""

    def __init__(self, events: Events, camera: str | None, place: str) -> None:
        """`place` is where it records."""
        self._events, self._camera, self._place = events, camera, place
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._retry_s = 0.0
        self._full_s: float | None = None

    @property
    def reason(self) -> str | None:
        return self._reason

    def begin(self, reason: OSError | str, *, full: bool = False) -> None:
        """Pauses the recording; `full` says that it is for want of room."""
        why = reason if isinstance(reason, str) else say_why(reason)
        full = full or (isinstance(reason, OSError) and reason.errno in FULL)
        with self._lock:
            if self._reason is not None:
                return
            self._reason = why
            self._retry_s = time.monotonic() + RETRY_S
        kind = "disk_full" if full else "recording_paused"
        self._events.add(kind, f"recording paused: {self._place}: {why}", camera=self._camera, level="warning")

    def is_due(self) -> bool:
        """Whether it is time to try again; not true again before another wait."""
        now_s = time.monotonic()
        with self._lock:
            if self._reason is None or now_s < self._retry_s:
                return False
            self._retry_s = now_s + RETRY_S
            return True

    def end(self) -> None:
        """Lets the recording go on."""
        self._reason = None
        self._events.add("recording_resumed", "recording again", camera=self._camera)

    def tell_full(self, error: OSError) -> None:
        """Says that a full disk costs the oldest segments, once for each time that it gets full."""
        now_s = time.monotonic()
        if self._full_s is None or now_s - self._full_s > FULL_AGAIN_S:
            text = f"{self._place}: {say_why(error)}; the oldest segments go to make room"
            self._events.add("disk_full", text, camera=self._camera, level="warning")
        self._full_s = now_s
