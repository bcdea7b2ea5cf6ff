"""Keeper: the thread that looks after an archive, so that no recorder waits while segments are counted and deleted."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: How often limits, names and the clock are looked at, in seconds.
TEND_S = 5.0


class Keeper:
    """Does a piece of work every TEND_S seconds, and at once when it is woken, between `start()` and `stop()`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._woken = threading.Event()
        self._stopped = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Has the work done soon; returns at once."""
        self._woken.set()

    def stop(self, limit_s: float) -> None:
        """Ends the thread, or leaves it behind when the disk hangs for longer than `limit_s`."""
        self._stopped = True
        self._woken.set()
        self._thread.join(limit_s)

    def check(self) -> None:
        """Raises what ended the thread before its time, which would be our bug."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._woken.wait(TEND_S)
                self._woken.clear()
                if not self._stopped:
                    self._work()
        except Exception as error:  # noqa: BLE001 - it travels to whoever asks, who raises it
            self._failure = error
