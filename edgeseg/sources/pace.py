"""Pace: gives frames their times, and live holds each back until its time has come."""

from __future__ import annotations

import threading
import time

#: A live source that is later than this does not rush to catch up: a camera's frames of that time would be gone too.
LATEST_NS = 500_000_000


class Pace:
    """The clock of a source whose frames have a place in time but do not arrive by themselves.

    Live, a frame is released when as much time has passed on the monotonic clock as in the source. Otherwise it is
    released at once and its time is its place in the source.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self._start_ns: int | None = None
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        return self._interrupted.is_set()

    def wait_until(self, place_ns: int) -> int | None:
        """Waits for the moment `place_ns` nanoseconds into the source; returns when a frame there was captured.

        Live that is monotonic nanoseconds, never in the future. None when the wait was interrupted.
        """
        if self.interrupted:
            return None
        if not self.live:
            return place_ns
        now_ns = time.monotonic_ns()
        if self._start_ns is None or now_ns - (self._start_ns + place_ns) > LATEST_NS:
            self._start_ns = now_ns - place_ns
        due_ns = self._start_ns + place_ns
        while (wait_ns := due_ns - time.monotonic_ns()) > 0:
            if self._interrupted.wait(wait_ns / 1e9):
                return None
        return due_ns

    def interrupt(self) -> None:
        """Ends the wait of now and every later one; may come from any thread."""
        self._interrupted.set()
