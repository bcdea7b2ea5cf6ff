"""Histogram: numbers counted in memory that does not grow with how many there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
