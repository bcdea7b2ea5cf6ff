"""Metrics: what a run counts, in memory that does not grow with the length of the run."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgeseg.frame import Segmentation

# Buckets of a histogram: each is 5 % wider than the one before, so a percentile is at most 2.5 % off; from 10 us to
# a quarter of an hour.
_SMALLEST = 0.01
_STEP = math.log(1.05)
_BUCKETS = 520


class Histogram:
    """Milliseconds counted in buckets that widen by 5 %: bounded memory, percentiles within 2.5 %."""

    __slots__ = ("_counts", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, value: float) -> None:
        value = max(0.0, value)
        bucket = 0 if value <= _SMALLEST else min(_BUCKETS - 1, int(math.log(value / _SMALLEST) / _STEP))
        self._counts[bucket] += 1
        self.count += 1
        self.total += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)

    def percentile(self, percent: float) -> float | None:
        """Returns the value below which `percent` per cent of the numbers lie, None when there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                middle = _SMALLEST * math.exp(_STEP * (bucket + 0.5))
                return min(self.largest, max(self.smallest, middle))
        raise AssertionError("the buckets do not add up to the count")

    def at_most(self, limits: Sequence[float]) -> list[int]:
        """Returns how many of the numbers are not above each of `limits`, which rise; right to 2.5 % of a limit."""
        found, bucket, seen = [], 0, 0
        for limit in limits:
            while bucket < _BUCKETS and _SMALLEST * math.exp(_STEP * (bucket + 0.5)) <= limit:
                seen += self._counts[bucket]
                bucket += 1
            found.append(seen)
        return found

    def copy(self) -> Histogram:
        """Returns one of its own that holds the same."""
        other = Histogram()
        other._counts = self._counts.copy()
        other.count, other.total, other.smallest, other.largest = self.count, self.total, self.smallest, self.largest
        return other

    def summary(self) -> dict[str, float] | None:
        """Returns p50, p95, p99 and max, None when there is nothing to sum up."""
        p50, p95, p99 = (self.percentile(percent) for percent in (50, 95, 99))
        if p50 is None or p95 is None or p99 is None:
            return None
        return {"p50": p50, "p95": p95, "p99": p99, "max": self.largest}


@dataclass
class SinkTally:
    """What one sink has done: results written, passed over and too old; age of each when written, time to write it."""

    written: int = 0
    dropped: int = 0
    stale: int = 0
    age_ms: Histogram = field(default_factory=Histogram)
    write_ms: Histogram = field(default_factory=Histogram)

    def copy(self) -> SinkTally:
        return replace(self, age_ms=self.age_ms.copy(), write_ms=self.write_ms.copy())


@dataclass
class Tally:
    """Everything counted over a span of time that began at `started_ns` (monotonic)."""

    started_ns: int
    frames_in: int = 0
    segmented: int = 0
    dropped: int = 0
    rate_limited: int = 0
    too_old: int = 0
    first_segmented_ns: int | None = None
    last_segmented_ns: int | None = None
    segmented_age_ms: Histogram = field(default_factory=Histogram)
    share_sums: dict[str, float] = field(default_factory=dict)
    stage_ms: dict[str, Histogram] = field(default_factory=dict)
    sinks: dict[str, SinkTally] = field(default_factory=dict)

    def copy(self) -> Tally:
        return replace(
            self,
            segmented_age_ms=self.segmented_age_ms.copy(),
            share_sums=dict(self.share_sums),
            stage_ms={name: stage.copy() for name, stage in self.stage_ms.items()},
            sinks={name: sink.copy() for name, sink in self.sinks.items()},
        )

    def stage(self, name: str) -> Histogram:
        return self.stage_ms.setdefault(name, Histogram())

    def sink(self, name: str) -> SinkTally:
        return self.sinks.setdefault(name, SinkTally())

    def age(self) -> tuple[str, dict[str, float]] | None:
        """Returns the sink whose results are oldest when written, with their ages; without sinks, ages when segmented.

        The slowest one is named so that the figure never flatters: every other sink is at least as fresh.
        """
        ages = [(name, summary) for name, sink in self.sinks.items() if (summary := sink.age_ms.summary())]
        if ages:
            return max(ages, key=lambda pair: pair[1]["p99"])
        summary = self.segmented_age_ms.summary()
        return ("segmented", summary) if summary else None

    def shares(self) -> dict[str, float]:
        """Returns the mean share of the picture, 0..1, of each class."""
        return {name: total / self.segmented for name, total in self.share_sums.items()} if self.segmented else {}

    def fps(self) -> float | None:
        """Returns segmented frames a second between the first and the last one, None with fewer than two."""
        if self.first_segmented_ns is None or self.last_segmented_ns is None or self.segmented < 2:
            return None
        span_ns = self.last_segmented_ns - self.first_segmented_ns
        return (self.segmented - 1) * 1e9 / span_ns if span_ns > 0 else None


@dataclass(frozen=True)
class Summary:
    """What came of a run, or of an interval of it.

    dropped: frames that were not segmented; of these, rate_limited were left out on purpose and too_old would only have
    given results older than allowed, the rest made way for newer ones.
    """

    source: str
    live: bool
    seconds: float
    frames_in: int
    segmented: int
    dropped: int
    rate_limited: int
    too_old: int
    fps: float | None
    age_ms: Mapping[str, float] | None
    age_at: str | None
    shares: Mapping[str, float]
    stage_ms: Mapping[str, Mapping[str, float]]
    sinks: Mapping[str, Mapping[str, Any]]

    def line(self) -> str:
        """Returns one line for the log."""
        parts = [f"{self.fps:.1f} frames/s" if self.fps else "no frames/s yet"]
        parts.append(f"{self.frames_in} in, {self.segmented} segmented, {self.dropped} dropped")
        if self.age_ms:
            parts.append(
                f"age p50 {self.age_ms['p50']:.0f} p95 {self.age_ms['p95']:.0f} p99 {self.age_ms['p99']:.0f} ms"
            )
        if self.shares:
            parts.append(" ".join(f"{name} {share:.1%}" for name, share in self.shares.items() if name != "other"))
        return "; ".join(parts)

    def text(self) -> str:
        """Returns the printed summary of a finished run, several lines."""
        lines = [
            f"source      {self.source}",
            f"frames      {self.frames_in} in, {self.segmented} segmented, {self.dropped} dropped",
            f"rate        {self.fps:.1f} frames per second over {self.seconds:.1f} s"
            if self.fps
            else f"rate        too few frames to tell, in {self.seconds:.1f} s",
        ]
        if self.age_ms:
            where = "when segmented" if self.age_at == "segmented" else f"when written to {self.age_at}"
            lines.append(
                f"age         p50 {self.age_ms['p50']:.1f} ms, p95 {self.age_ms['p95']:.1f} ms, "
                f"p99 {self.age_ms['p99']:.1f} ms, from capture {where}"
            )
        if self.shares:
            lines.append("picture     " + ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items()))
        if self.stage_ms:
            stages = ", ".join(f"{name} {stage['p50']:.1f}" for name, stage in self.stage_ms.items())
            lines.append(f"median ms   {stages}")
        for name, sink in self.sinks.items():
            stale = f", {sink['stale']} older than allowed" if sink["stale"] else ""
            lines.append(f"output      {name}: {sink['written']} written, {sink['dropped']} dropped{stale}")
        return "\n".join(lines)


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
