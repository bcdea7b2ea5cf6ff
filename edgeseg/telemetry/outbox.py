"""Outbox: what is still to be sent, in bounded memory: the newest state of each topic, the last events."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to a topic; retained messages are what a topic says until it is told otherwise."""

    topic: str
    payload: bytes
    retain: bool = False


class Outbox:
    """Messages of any thread, in the order in which they are to go: states first, then events, oldest first.

    A state takes the place of an older one of its topic. Of more than `events_kept` events the oldest is dropped and
    counted.
    """

    def __init__(self, events_kept: int) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, Message] = {}
        self._events: deque[Message] = deque()
        self._events_kept = events_kept
        self._dropped = 0

    def put_state(self, topic: str, payload: bytes) -> None:
        """Sets what a topic is to say."""
        with self._lock:
            # Where the older one stood, so that no topic is put off for ever by others that change often.
            self._states[topic] = Message(topic, payload, retain=True)

    def put_event(self, topic: str, payload: bytes) -> None:
        """Adds what has happened."""
        with self._lock:
            if len(self._events) == self._events_kept:
                self._events.popleft()
                self._dropped += 1
            self._events.append(Message(topic, payload))

    def take(self) -> Message | None:
        """Returns the next message and forgets it; None when there is none."""
        with self._lock:
            if self._states:
                return self._states.pop(next(iter(self._states)))
            return self._events.popleft() if self._events else None

    @property
    def dropped(self) -> int:
        """How many events were dropped so far."""
        with self._lock:
            return self._dropped

    def __len__(self) -> int:
        with self._lock:
            return len(self._states) + len(self._events)
