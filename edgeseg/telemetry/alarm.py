"""Alarm: wakes a thread that waits for a socket."""

from __future__ import annotations

import os
import threading


class Alarm:
    """Something to wait for beside a socket (poll(2) for reading); any thread may ring it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ear, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False

    def fileno(self) -> int:
        """What to wait for."""
        return self._ear

    def ring(self) -> None:
        """Wakes who waits, or will; does nothing once it is closed."""
        with self._lock:
            if self._closed:
                return
            try:
                os.write(self._bell, b"!")
            except BlockingIOError:
                # It has been rung so often that the pipe is full: whoever waits will look.
                return

    def clear(self) -> None:
        """Forgets that it was rung."""
        try:
            while os.read(self._ear, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Frees what it has of the system."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._ear)
                os.close(self._bell)
