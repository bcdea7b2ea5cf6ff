"""Events: what happened, in words and in data, for the page, the log, the broker and whoever else wants to know."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

logger = logging.getLogger(__name__)

Level = Literal["info", "warning"]
Listener = Callable[["Event"], None]

#: How many events are remembered: some hours of a bad day, a few hundred kilobytes at most.
REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at_ns` is monotonic, `at` the wall clock's word for it, which may be wrong.

    kind: in snake_case, what programs go by. text: one line for people. details: JSON-ready values.
    """

    number: int
    kind: str
    camera: str | None
    text: str
    level: Level
    at_ns: int
    at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Returns the event as JSON-ready values."""
        return {
            "number": self.number,
            "kind": self.kind,
            "camera": self.camera,
            "text": self.text,
            "level": self.level,
            "at": self.at.isoformat(timespec="milliseconds"),
            "at_s": self.at_ns / 1e9,
            "details": dict(self.details),
        }


class Events:
    """Takes events from any thread, remembers the last ones, logs each and tells those who subscribed.

    A listener runs in the thread that adds the event and must only hand it on; one that raises is logged and keeps its
    place, for what happened must reach the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[Event] = deque(maxlen=REMEMBERED)
        self._listeners: list[Listener] = []
        self._counts: dict[str, int] = {}
        self._number = 0

    def add(self, kind: str, text: str, *, camera: str | None = None, level: Level = "info", **details: Any) -> Event:
        """Notes that something happened just now, and returns what was noted."""
        at_ns, at = time.monotonic_ns(), datetime.now(timezone.utc)
        with self._lock:
            self._number += 1
            event = Event(self._number, kind, camera, text, level, at_ns, at, details)
            self._recent.append(event)
            self._counts[kind] = self._counts.get(kind, 0) + 1
            listeners = tuple(self._listeners)
        place = f"{camera}: " if camera else ""
        logger.log(logging.WARNING if level == "warning" else logging.INFO, "%s%s", place, text)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("an event's listener failed")
        return event

    def recent(self, count: int = 50) -> list[Event]:
        """Returns the last `count` events, the newest last."""
        with self._lock:
            return list(self._recent)[-count:] if count > 0 else []

    def counts(self) -> dict[str, int]:
        """Returns how many events of each kind there were since the start."""
        with self._lock:
            return dict(self._counts)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe
