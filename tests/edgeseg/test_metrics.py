"""Metrics: percentiles that are right within their promise, in memory that does not grow, and counts that add up."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.frame import Frame, Segmentation
from edgeseg.histogram import Histogram
from edgeseg.metrics import Metrics

SECOND_NS = 1_000_000_000


def segmentation(captured_ns: int = 0, road: int = 3, **timings: float) -> Segmentation:
    """A 4-cell result of which `road` cells are road."""
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, captured_ns, "test")
    class_ids = np.array([[1] * road + [0] * (4 - road)], np.uint8)
    return Segmentation(frame, class_ids, np.full_like(class_ids, 255), timings)


@given(st.lists(st.floats(0.02, 60_000), min_size=1, max_size=300), st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_within_two_and_a_half_per_cent(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    got = histogram.percentile(percent)
    assert got == pytest.approx(exact, rel=0.026)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile(50) is None
    assert Histogram().summary() is None


def test_values_off_the_scale_keep_their_order_and_their_extremes() -> None:
    histogram = Histogram()
    for value in (-1.0, 0.0, 1e12):
        histogram.add(value)
    assert histogram.smallest == 0.0
    assert histogram.largest == 1e12
    assert (histogram.percentile(1) or 0) < 0.011
    assert (histogram.percentile(100) or 0) > 900_000


def test_a_long_run_takes_no_more_memory_than_a_short_one() -> None:
    metrics = Metrics()
    result = segmentation(read=1.0)

    def run(frames: int) -> int:
        for n in range(frames):
            metrics.count_captured(dropped=0, read_ms=n % 7)
            metrics.count_segmented(result, finished_ns=n)
            metrics.count_written("a.mp4", dropped=0, age_ms=n % 50, write_ms=1)
        return sum(len(h._counts) for h in metrics._total.stage_ms.values()) + len(metrics._recent_ns)

    assert run(100) == run(2_000)


def test_the_summary_adds_everything_up() -> None:
    metrics = Metrics(source="clip.mp4", live=True)
    for _ in range(5):
        metrics.count_captured(dropped=0, read_ms=2)
    metrics.count_dropped(2)
    for n in range(3):
        at_ns = SECOND_NS * (n + 1)
        metrics.count_segmented(segmentation(captured_ns=at_ns - 10_000_000, road=n + 1, segment=8.0), at_ns)
        metrics.count_written("a.mp4", dropped=0, age_ms=30, write_ms=12)
        metrics.count_written("a.jsonl", dropped=1, age_ms=20, write_ms=1)
    summary = metrics.summary()
    assert (summary.frames_in, summary.segmented, summary.dropped) == (5, 3, 2)
    assert summary.fps == pytest.approx(1.0)
    assert summary.shares["road"] == pytest.approx(0.5)
    assert sum(summary.shares.values()) == pytest.approx(1)
    assert summary.age_at == "a.mp4"
    assert summary.age_ms is not None
    assert summary.age_ms["p50"] == pytest.approx(30, rel=0.026)
    assert summary.sinks["a.jsonl"]["dropped"] == 1
    assert summary.sinks["a.jsonl"]["written"] == 3
    assert summary.stage_ms["segment"]["p50"] == pytest.approx(8, rel=0.026)
    text = summary.text()
    assert "5 in, 3 segmented, 2 dropped" in text
    assert "1.0 frames per second" in text
    assert "p50 30.0 ms" in text
    assert "road 50.0%" in text
    assert "next frame 2.0, segment 8.0" in text
    assert "a.jsonl: 3 written, 1 dropped" in text


def test_without_sinks_the_age_is_that_of_the_segmented_frame() -> None:
    metrics = Metrics()
    metrics.count_segmented(segmentation(captured_ns=0), 40_000_000)
    summary = metrics.summary()
    assert summary.age_at == "segmented"
    assert summary.age_ms is not None
    assert summary.age_ms["p99"] == pytest.approx(40, rel=0.026)


def test_a_run_that_is_not_live_has_no_ages() -> None:
    metrics = Metrics(live=False)
    metrics.count_segmented(segmentation(captured_ns=0), 40_000_000)
    metrics.count_written("a.mp4", dropped=0, age_ms=1e6, write_ms=1)
    summary = metrics.summary()
    assert summary.age_ms is None
    assert "age" not in summary.text()


def test_an_interval_begins_anew_and_the_total_goes_on() -> None:
    metrics = Metrics()
    metrics.count_captured(dropped=0, read_ms=1)
    metrics.count_captured(dropped=1, read_ms=1)
    first = metrics.take_interval()
    metrics.count_captured(dropped=3, read_ms=1)
    second = metrics.take_interval()
    assert (first.frames_in, first.dropped) == (2, 1)
    assert (second.frames_in, second.dropped) == (1, 2)
    assert (metrics.summary().frames_in, metrics.summary().dropped) == (3, 3)
    assert "1 in, 0 segmented, 2 dropped" in second.line()


def test_the_recent_rate_falls_to_nothing_when_results_stop() -> None:
    metrics = Metrics()
    for n in range(100):
        metrics.count_segmented(segmentation(), n * SECOND_NS // 25)
    assert metrics.recent_fps(now_ns=4 * SECOND_NS) == pytest.approx(25)
    assert metrics.recent_fps(now_ns=7 * SECOND_NS) == 0
    assert metrics.recent_shares()["road"] == 0.75


def test_nothing_counted_makes_a_summary_that_says_so() -> None:
    summary = Metrics(source="x").summary()
    assert summary.fps is None
    assert "0 in, 0 segmented, 0 dropped" in summary.text()
    assert "no frames/s yet" in summary.line()


def test_threads_that_count_at_once_lose_nothing() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.count_written("a", dropped=0, age_ms=1, write_ms=1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.summary().sinks["a"]["written"] == 2000


def test_a_copy_of_what_was_counted_stays_as_it_was() -> None:
    metrics = Metrics()
    metrics.count_captured(2, 10.0)
    metrics.count_written("out", 1, 40.0, 3.0)
    copy = metrics.total()
    metrics.count_captured(3, 10.0)
    metrics.count_written("out", 1, 40.0, 3.0)
    assert (copy.frames_in, copy.dropped, copy.stage("next frame").count) == (1, 2, 1)
    assert (copy.sink("out").written, copy.sink("out").age_ms.count, copy.sink("out").write_ms.total) == (1, 1, 3.0)
    assert metrics.total().sink("out").write_ms.total == 6.0
