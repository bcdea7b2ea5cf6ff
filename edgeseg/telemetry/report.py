"""Report: how a camera and the device do, as JSON-ready values, since the last time somebody asked."""

from __future__ import annotations

import time
from typing import Any

from edgeseg import __version__
from edgeseg.board import BoardReading
from edgeseg.health import rss_bytes
from edgeseg.lane import Lane
from edgeseg.summary import Summary


class CameraReport:
    """How one camera does; each `take()` tells of the time since the one before."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._last = lane.metrics.summary()

    def take(self) -> dict[str, Any]:
        """Returns the state of the camera; None where nothing is known.

        shares are those of the classes, 0..1 of the picture, on average since the last call; age_ms is the 95th
        percentile of the last results, from capture until they were segmented; frames are counted from the start.
        """
        metrics = self._lane.metrics
        now, before = metrics.summary(), self._last
        self._last = now
        vitals = self._lane.health.snapshot()
        fps = metrics.recent_fps()
        shares = mean_shares(before, now) or (metrics.recent_shares() if fps else {})
        return {
            "state": vitals["state"],
            "connection": vitals["connection"],
            "lost_reason": vitals["lost_reason"],
            "condition": vitals["condition"],
            "reconnects": vitals["reconnects"],
            "picture_age_s": _rounded(vitals["picture_age_s"], 3),
            "age_ms": _rounded(metrics.recent_age_ms(), 1),
            "fps": round(fps, 2),
            "shares": {name: round(share, 4) for name, share in shares.items()},
            "frames": {"in": now.frames_in, "segmented": now.segmented, "dropped": now.dropped},
        }


def mean_shares(before: Summary, now: Summary) -> dict[str, float]:
    """Returns the mean share of the picture, 0..1, of each class between two summaries; empty without a picture."""
    count = now.segmented - before.segmented
    if count <= 0:
        return {}
    return {
        name: max(0.0, share * now.segmented - before.shares.get(name, 0.0) * before.segmented) / count
        for name, share in now.shares.items()
    }


def device_report(started_s: float, board: BoardReading) -> dict[str, Any]:
    """Returns the state of the device; `started_s` (monotonic) is when the run began."""
    return {
        "version": __version__,
        "uptime_s": round(time.monotonic() - started_s, 1),
        "rss_bytes": rss_bytes(),
        "temperature_c": _rounded(board.temperature_c, 1),
        "throttled": board.throttled,
        "under_voltage": board.under_voltage,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
