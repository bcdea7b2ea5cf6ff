"""PictureFeed: where a run leaves its newest result for whoever wants to show it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.server.history import ShareHistory
from edgeseg.sinks.sink import Result


@dataclass(frozen=True, slots=True)
class Published:
    """A result and its number, counted from 1; `stale` is whether it was older than allowed when it was published."""

    number: int
    result: Result
    stale: bool


class PictureFeed:
    """Holds the newest result. Publishing swaps a reference and wakes a listener, so no viewer can hold up the run."""

    def __init__(self) -> None:
        self.history = ShareHistory()
        self._lock = threading.Lock()
        self._newest: Published | None = None
        self._number = 0
        self._listener: Callable[[], object] | None = None

    @property
    def newest(self) -> Published | None:
        """The last result that was published, None before the first and when it was forgotten."""
        with self._lock:
            return self._newest

    @property
    def number(self) -> int:
        """The number of the last result, 0 before the first."""
        with self._lock:
            return self._number

    def forget(self) -> None:
        """Drops the newest result, which must not be shown any more; the count goes on."""
        with self._lock:
            self._newest = None

    def publish(self, result: Result) -> None:
        """Makes `result` the newest; from any thread."""
        self.history.add(result.segmentation.shares, time.monotonic())
        stale = result.stale
        with self._lock:
            self._number += 1
            self._newest = Published(self._number, result, stale)
            # Inside the lock: once `listen(None)` has returned, nobody is called.
            if self._listener is not None:
                self._listener()

    def listen(self, listener: Callable[[], object] | None) -> None:
        """Calls `listener` in the publishing thread after every result; it must only hand on. None ends that."""
        with self._lock:
            self._listener = listener
