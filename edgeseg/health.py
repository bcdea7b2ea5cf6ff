"""Health: what the device knows of itself while it runs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

from edgeseg.events import Events

State = Literal["starting", "running", "stalled", "stopped"]
Connection = Literal["connecting", "live", "lost"]

#: A source that is lost tells about once a second that it is looked for; one that hangs in a driver does not.
ALIVE_S = 10.0

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Health:
    """Whether the loop advances, and how old its last picture is. Any thread may tell it, any thread may ask.

    A loop that has not put out a result for `stall_after_s` seconds counts as stalled: that is judged by time, for a
    hung camera or a hung thread raises no error.
    """

    def __init__(self, *, stall_after_s: float = 5.0, events: Events | None = None, camera: str | None = None) -> None:
        """`events` hear of every loss, return and change of the picture of `camera`."""
        self.stall_after_s = stall_after_s
        #: Of the board it runs on, set by whoever reads it; None while unknown.
        self.temperature_c: float | None = None
        #: What people should know of the run for as long as it is so, in their words: less is done, nothing recorded.
        self.remarks: tuple[str, ...] = ()
        self._events, self._camera = events, camera
        self._lock = threading.Lock()
        self._progress_ns = time.monotonic_ns()
        self._captured_ns: int | None = None
        self._stage: Literal["starting", "running", "stopped"] = "starting"
        self._connection: Connection = "connecting"
        self._lost_ns: int | None = None
        self._lost_reason: str | None = None
        self._reconnects = 0
        self._condition = "ok"
        self._trying_ns = self._progress_ns

    def progressed(self, captured_ns: int) -> None:
        """Notes that the loop has put out a result of a picture captured at `captured_ns` (monotonic)."""
        with self._lock:
            self._progress_ns = time.monotonic_ns()
            self._captured_ns = captured_ns
            self._stage = "running"
            if self._connection == "connecting":
                # A source that cannot be lost (a file) tells nothing of itself.
                self._connection = "live"

    def lost(self, reason: str) -> None:
        """Notes that the source gives nothing, and why; called again while it is lost, why it still does not."""
        with self._lock:
            new = self._connection != "lost"
            self._connection, self._lost_reason = "lost", reason
            if new:
                self._lost_ns = self._captured_ns or time.monotonic_ns()
        if new and self._events is not None:
            self._events.add("camera_lost", reason, camera=self._camera, level="warning")

    def back(self) -> None:
        """Notes that the source gives pictures, for the first time or again."""
        now_ns = time.monotonic_ns()
        with self._lock:
            was, lost_ns = self._connection, self._lost_ns
            self._connection, self._lost_ns, self._lost_reason = "live", None, None
            self._reconnects += was == "lost"
        if was == "lost" and self._events is not None:
            away_s = (now_ns - (lost_ns or now_ns)) / 1e9
            self._events.add("camera_back", f"pictures again after {away_s:.1f} s", camera=self._camera, away_s=away_s)

    def trying(self) -> None:
        """Notes that the lost source is being looked for: whoever does that is alive, though no picture comes."""
        with self._lock:
            self._trying_ns = time.monotonic_ns()

    def judged(self, condition: str) -> None:
        """Notes what the picture looks like: "ok", or what is wrong with it."""
        with self._lock:
            was, self._condition = self._condition, condition
        if was != condition and self._events is not None:
            if condition == "ok":
                self._events.add("picture_ok", f"the picture is no longer {was}", camera=self._camera, was=was)
            else:
                text = f"the picture is {condition}"
                self._events.add(f"picture_{condition}", text, camera=self._camera, level="warning")

    @property
    def connection(self) -> Connection:
        """Whether the source gives pictures."""
        with self._lock:
            return self._connection

    @property
    def alive(self) -> bool:
        """Whether the loop of this camera does what it should: results come, or the lost source is being looked for.

        True too once it has ended: there is nothing left to do.
        """
        now_ns = time.monotonic_ns()
        with self._lock:
            latest_ns = max(self._progress_ns, self._trying_ns)
            return self._stage == "stopped" or now_ns - latest_ns <= ALIVE_S * 1e9

    def describe(self) -> str:
        """Returns the state in a few words for people."""
        now = self.snapshot()
        if now["connection"] == "lost":
            return f"no signal for {now['lost_for_s']:.0f} s ({now['lost_reason']})"
        if now["state"] != "running":
            return str(now["state"])
        return "live" if now["condition"] == "ok" else f"live, but the picture is {now['condition']}"

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
        """Returns what the page shows: JSON-ready values, None where nothing is known yet.

        `picture_age_s` counts from when the last picture was taken, `lost_for_s` from the last one before the loss.
        """
        now_ns = time.monotonic_ns()
        state = self.state(now_ns)
        with self._lock:
            age_s = None if self._captured_ns is None else (now_ns - self._captured_ns) / 1e9
            lost_s = None if self._lost_ns is None else (now_ns - self._lost_ns) / 1e9
            return {
                "state": state,
                "picture_age_s": age_s,
                "connection": self._connection,
                "lost_for_s": lost_s,
                "lost_reason": self._lost_reason,
                "reconnects": self._reconnects,
                "condition": self._condition,
                "temperature_c": self.temperature_c,
                "remarks": list(self.remarks),
                "rss_bytes": rss_bytes(),
            }


def rss_bytes() -> int:
    """Returns the resident memory of this process, in bytes, from /proc."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
