"""Tally: what is counted over a span of time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgeseg.histogram import Histogram


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
