"""Metrics: what a run counts, in memory that does not grow with the length of the run."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping

from edgeseg.frame import Segmentation
from edgeseg.summary import Summary
from edgeseg.tally import Tally


class Metrics:
    """The counters of one run. Any thread may count, any thread may read."""

    def __init__(self, *, source: str = "", live: bool = True) -> None:
        self.source = source
        self.live = live
        self._lock = threading.Lock()
        self._total = Tally(time.monotonic_ns())
        self._interval = Tally(self._total.started_ns)
        # The moments of the last results: the rate the page shows is theirs, not the mean since the start.
        self._recent_ns: deque[int] = deque(maxlen=60)
        self._recent_age_ms: deque[float] = deque(maxlen=60)
        self._last_shares: Mapping[str, float] = {}

    def count_captured(self, dropped: int, read_ms: float) -> None:
        """Counts a frame that took the source `read_ms` to give; `dropped` frames were passed over so far, in all."""
        with self._lock:
            for tally in self._tallies():
                tally.frames_in += 1
                tally.stage("next frame").add(read_ms)
            self._set_dropped(dropped)

    def count_rate_limited(self, read_ms: float) -> None:
        """Counts a frame that was left out because the rate is limited."""
        with self._lock:
            for tally in self._tallies():
                tally.frames_in += 1
                tally.rate_limited += 1
                tally.stage("next frame").add(read_ms)

    def count_too_old(self) -> None:
        """Counts a frame that was not segmented because its result would be dropped for its age."""
        with self._lock:
            for tally in self._tallies():
                tally.too_old += 1

    def count_stale(self, sink: str) -> None:
        """Counts a result that a sink was not given because of its age."""
        with self._lock:
            for tally in self._tallies():
                tally.sink(sink).stale += 1

    def count_dropped(self, dropped: int) -> None:
        """Sets how many frames were passed over so far, in all."""
        with self._lock:
            self._set_dropped(dropped)

    def count_segmented(self, segmentation: Segmentation, finished_ns: int) -> None:
        """Counts a frame that came out of the segmenter at `finished_ns` (monotonic)."""
        shares = segmentation.shares
        with self._lock:
            self._recent_ns.append(finished_ns)
            if self.live:
                self._recent_age_ms.append((finished_ns - segmentation.frame.captured_ns) / 1e6)
            self._last_shares = shares
            for tally in self._tallies():
                tally.segmented += 1
                tally.last_segmented_ns = finished_ns
                if tally.first_segmented_ns is None:
                    tally.first_segmented_ns = finished_ns
                if self.live:
                    tally.segmented_age_ms.add((finished_ns - segmentation.frame.captured_ns) / 1e6)
                for name, share in shares.items():
                    tally.share_sums[name] = tally.share_sums.get(name, 0.0) + share
                for name, spent_ms in segmentation.timings.items():
                    tally.stage(name).add(spent_ms)

    def count_stage(self, name: str, spent_ms: float) -> None:
        """Counts the time that one step of the work on one frame took."""
        with self._lock:
            for tally in self._tallies():
                tally.stage(name).add(spent_ms)

    def count_written(self, sink: str, dropped: int, age_ms: float, write_ms: float, *, stale: bool = False) -> None:
        """Counts a result that a sink took `write_ms` to write; `dropped` results were passed over so far, in all."""
        with self._lock:
            for tally in self._tallies():
                entry = tally.sink(sink)
                entry.written += 1
                entry.stale += stale
                entry.write_ms.add(write_ms)
                if self.live:
                    entry.age_ms.add(age_ms)
            self._set_sink_dropped(sink, dropped)

    def count_sink_dropped(self, sink: str, dropped: int) -> None:
        """Sets how many results a sink was not given so far, in all."""
        with self._lock:
            self._set_sink_dropped(sink, dropped)

    def recent_fps(self, now_ns: int | None = None) -> float:
        """Returns results a second over the last sixty; 0 when none has come for two seconds."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        with self._lock:
            if len(self._recent_ns) < 2 or now_ns - self._recent_ns[-1] > 2_000_000_000:
                return 0.0
            span_ns = self._recent_ns[-1] - self._recent_ns[0]
            return (len(self._recent_ns) - 1) * 1e9 / span_ns if span_ns else 0.0

    def recent_age_ms(self, now_ns: int | None = None) -> float | None:
        """Returns the 95th percentile of the last sixty results' ages; None when none has come for two seconds."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        with self._lock:
            if not self._recent_age_ms or now_ns - self._recent_ns[-1] > 2_000_000_000:
                return None
            ages = sorted(self._recent_age_ms)
            return ages[math.ceil(0.95 * len(ages)) - 1]

    def recent_shares(self) -> Mapping[str, float]:
        """Returns the share of the last picture, 0..1, of each class."""
        with self._lock:
            return self._last_shares

    def total(self) -> Tally:
        """Returns a copy of all that was counted since the start."""
        with self._lock:
            return self._total.copy()

    def summary(self) -> Summary:
        """Returns everything counted since the start."""
        with self._lock:
            return self._summarise(self._total)

    def take_interval(self) -> Summary:
        """Returns what was counted since the last call, and begins anew."""
        with self._lock:
            summary = self._summarise(self._interval)
            self._interval = Tally(time.monotonic_ns())
            return summary

    def _tallies(self) -> tuple[Tally, Tally]:
        return self._total, self._interval

    def _set_dropped(self, dropped: int) -> None:
        new = dropped - self._total.dropped
        for tally in self._tallies():
            tally.dropped += new

    def _set_sink_dropped(self, sink: str, dropped: int) -> None:
        new = dropped - self._total.sink(sink).dropped
        for tally in self._tallies():
            tally.sink(sink).dropped += new

    def _summarise(self, tally: Tally) -> Summary:
        age = tally.age()
        return Summary(
            source=self.source,
            live=self.live,
            seconds=(time.monotonic_ns() - tally.started_ns) / 1e9,
            frames_in=tally.frames_in,
            segmented=tally.segmented,
            dropped=tally.dropped + tally.rate_limited + tally.too_old,
            rate_limited=tally.rate_limited,
            too_old=tally.too_old,
            fps=tally.fps(),
            age_ms=age[1] if age else None,
            age_at=age[0] if age else None,
            shares=tally.shares(),
            stage_ms={name: ms for name, stage in tally.stage_ms.items() if (ms := stage.summary())},
            sinks={
                name: {
                    "written": sink.written,
                    "dropped": sink.dropped,
                    "stale": sink.stale,
                    "age_ms": sink.age_ms.summary(),
                    "write_ms": sink.write_ms.summary(),
                }
                for name, sink in tally.sinks.items()
            },
        )
