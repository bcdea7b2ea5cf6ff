"""Mailbox: the hand-over between two threads, latest-only or lossless.

The same class serves a live run (small, the newest item wins, what it pushed out is counted) and a file run (the
writer waits, nothing is lost). Closing is how every stage ends: a writer that closes lets the reader finish what is
queued, and a reader that closes makes the writer's next `put()` return False.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The mailbox is closed and empty: no item will ever come again."""


class Mailbox(Generic[T]):
    """A bounded queue between threads that can be closed from either side.

    `capacity` is a number of items. With `lossless` a full mailbox makes `put()` wait; without it a full mailbox drops
    its oldest item and counts it in `dropped`, so that `put()` never waits.
    """

    def __init__(self, capacity: int = 1, *, lossless: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for at least one item, got capacity={capacity}")
        self.capacity = capacity
        self.lossless = lossless
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0
        self._watchers: list[Callable[[], None]] = []

    @property
    def dropped(self) -> int:
        """How many items were put and will never be got: pushed out by newer ones, or discarded."""
        with self._changed:
            return self._dropped

    @property
    def closed(self) -> bool:
        """Whether no further item is accepted (items already inside can still be got)."""
        with self._changed:
            return self._closed

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def put(self, item: T, timeout_s: float | None = None) -> bool:
        """Puts an item in; returns False when the mailbox is closed.

        Raises TimeoutError when it is lossless and stays full for `timeout_s` seconds (None waits for ever).
        """
        with self._changed:
            if self.lossless:
                free = self._changed.wait_for(lambda: self._closed or len(self._items) < self.capacity, timeout_s)
                if not free:
                    raise TimeoutError(f"the mailbox stayed full for {timeout_s} s")
            if self._closed:
                return False
            while len(self._items) >= self.capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._tell()
            return True

    def get(self, timeout_s: float | None = None) -> T:
        """Takes the oldest item out, waiting for one up to `timeout_s` seconds (None waits for ever).

        Raises Closed when the mailbox is closed and empty, TimeoutError when nothing came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or bool(self._items), timeout_s):
                raise TimeoutError(f"nothing came within {timeout_s} s")
            if not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """Closes the mailbox for both sides; may be called again, from any thread.

        What is inside can still be got, unless `discard` is set: then it is dropped and counted, which is what a reader
        that has gone away wants (nobody will come for it).
        """
        with self._changed:
            self._closed = True
            if discard:
                self._dropped += len(self._items)
                self._items.clear()
            self._tell()

    def __iter__(self) -> Iterator[T]:
        """Gets items until the mailbox is closed and empty."""
        while True:
            try:
                yield self.get()
            except Closed:
                return

    def _tell(self) -> None:
        self._changed.notify_all()
        for changed in self._watchers:
            changed()

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed`, which must be quick, whenever an item was put in or the mailbox was closed."""
        with self._changed:
            self._watchers.append(changed)

    def take(self) -> T | None:
        """Takes the oldest item out if there is one. Raises Closed when none will ever come."""
        with self._changed:
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._closed:
                raise Closed
            return None


def take_in_turn(mailboxes: Sequence[Mailbox[T]]) -> Iterator[tuple[int, T | None]]:
    """Yields (index of the mailbox, item) from several mailboxes, one from each that has some before a second from any.

    A mailbox that has ended is yielded once with None; the iterator ends with the last of them.
    """
    something = threading.Event()
    for mailbox in mailboxes:
        mailbox.watch(something.set)
    waiting = deque(enumerate(mailboxes))
    something.set()
    while waiting:
        something.wait()
        # Before looking, so that what comes while we look is looked for again.
        something.clear()
        found = True
        while found and waiting:
            found = False
            for _ in range(len(waiting)):
                index, mailbox = waiting.popleft()
                try:
                    item = mailbox.take()
                except Closed:
                    yield index, None
                    continue
                waiting.append((index, mailbox))
                if item is not None:
                    found = True
                    yield index, item
                    del item
