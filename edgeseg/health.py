"""Health: what the device knows of itself while it runs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

State = Literal["starting", "running", "stalled", "stopped"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Health:
    """Whether the loop advances, and how old its last picture is. Any thread may tell it, any thread may ask.

    A loop that has not put out a result for `stall_after_s` seconds counts as stalled: that is judged by time, for a
    hung camera or a hung thread raises no error.
    """

    def __init__(self, *, stall_after_s: float = 5.0) -> None:
        self.stall_after_s = stall_after_s
        self._lock = threading.Lock()
        self._progress_ns = time.monotonic_ns()
        self._captured_ns: int | None = None
        self._stage: Literal["starting", "running", "stopped"] = "starting"

    def progressed(self, captured_ns: int) -> None:
        """Notes that the loop has put out a result of a picture captured at `captured_ns` (monotonic)."""
        with self._lock:
            self._progress_ns = time.monotonic_ns()
            self._captured_ns = captured_ns
            self._stage = "running"

    def stopped(self) -> None:
        """Notes that the loop has ended."""
        with self._lock:
            self._stage = "stopped"

    def state(self, now_ns: int | None = None) -> State:
        """Returns the state at `now_ns` (monotonic; now when it is left out)."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        with self._lock:
            if self._stage != "stopped" and now_ns - self._progress_ns > self.stall_after_s * 1e9:
                return "stalled"
            return self._stage

    def snapshot(self) -> dict[str, Any]:
        """Returns state, seconds since the last picture was taken (None before the first) and memory, for the page."""
        now_ns = time.monotonic_ns()
        state = self.state(now_ns)
        with self._lock:
            age_s = None if self._captured_ns is None else (now_ns - self._captured_ns) / 1e9
        return {"state": state, "picture_age_s": age_s, "rss_bytes": rss_bytes()}


def rss_bytes() -> int:
    """Returns the resident memory of this process, in bytes, from /proc."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
