"""Lanes: several cameras on one segmenter, and what may be set anew while they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.lane import AgeLimit, Lane, RateLimit
from edgeseg.pipeline import Pipeline
from edgeseg.sinks.sink import PassedOver, Result
from tests.fakes import FakeSegmenter, FakeSink, FakeSource


def draw(segmentation: Segmentation) -> NDArray[np.uint8]:
    return segmentation.frame.image.copy()


def make_lane(source: FakeSource, *sinks: FakeSink, name: str = "") -> Lane:
    return Lane(source, sinks, draw=draw, name=name)


def test_every_camera_gets_its_turn_however_fast_another_is() -> None:
    slow_sink = FakeSink(before=lambda index: pipeline.stop() if index == 20 else None)
    fast = FakeSource(None, live=True, name="fast")

    def wait_for_the_last(index: int) -> None:
        while len(slow_sink.written) < index and not slow.interrupted.is_set():
            time.sleep(0.0005)

    slow = FakeSource(None, live=True, name="slow", before_read=wait_for_the_last)
    # Slower than the fast camera, which therefore always has a frame waiting.
    segmenter = FakeSegmenter(before=lambda index: time.sleep(0.001))
    pipeline = Pipeline([make_lane(fast, FakeSink(), name="fast"), make_lane(slow, slow_sink, name="slow")], segmenter)
    # The slow one waits for ever for a frame that was pushed out.
    of_fast, of_slow = pipeline.run(duration_s=20)
    assert of_fast.dropped > of_fast.segmented
    # Whatever the fast one puts in, it pushes out nothing of the slow one's; the stop may meet one that waits.
    assert slow_sink.written[:21] == list(range(21))
    assert of_slow.dropped <= 1


def test_a_camera_that_ends_leaves_the_others_running_and_its_sinks_complete() -> None:
    short_sink, long_sink = FakeSink(), FakeSink(before=lambda index: short_sink.closed or time.sleep(0.01))
    lanes = [make_lane(FakeSource(3), short_sink, name="short"), make_lane(FakeSource(60), long_sink, name="long")]
    summaries = Pipeline(lanes, FakeSegmenter()).run()
    assert [summary.segmented for summary in summaries] == [3, 60]
    assert short_sink.written == [0, 1, 2]
    assert long_sink.written == list(range(60))


def test_lanes_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="name of its own"):
        Pipeline([make_lane(FakeSource(1)), make_lane(FakeSource(1))], FakeSegmenter())
    with pytest.raises(ValueError, match="needs lanes"):
        Pipeline([], FakeSegmenter())


def test_another_source_takes_over_and_the_sinks_notice_nothing() -> None:
    taken_over = threading.Event()
    first = FakeSource(None, live=True, before_read=lambda index: time.sleep(0.002))
    second = FakeSource(5, live=True, before_read=lambda index: (taken_over.set(), time.sleep(0.01)), name="second")
    sink = FakeSink(before=lambda index: lane.replace_source(second) if not taken_over.is_set() else None)
    lane = make_lane(first, sink)
    Pipeline([lane], FakeSegmenter()).run()
    assert (first.closed, second.opened, second.closed, sink.opened) == (1, 1, 1, 1)
    # Numbered on and on: masks, say, are named by it.
    assert sink.written == sorted(set(sink.written))
    assert sink.written[-1] >= 5
    assert lane.metrics.summary().source == "second"
    with pytest.raises(ValueError, match="cannot take the place"):
        lane.replace_source(FakeSource(1, live=False))


def test_a_source_in_the_place_of_a_lost_one_is_not_lost() -> None:
    first = FakeSource(None, live=True, before_read=lambda index: first.interrupted.wait(20))
    second = FakeSource(3, live=True)
    lane = make_lane(first)
    lane.health.lost("unplugged")
    lane.replace_source(second)
    Pipeline([lane], FakeSegmenter()).run()
    assert (lane.health.connection, lane.health.snapshot()["lost_reason"]) == ("live", None)


def test_a_source_that_comes_after_the_end_is_never_opened() -> None:
    first, second = FakeSource(None, live=True, before_read=lambda index: time.sleep(0.001)), FakeSource(1, live=True)
    lane = make_lane(first)
    pipeline = Pipeline([lane], FakeSegmenter())
    pipeline.run(duration_s=0.02)
    lane.replace_source(second)
    assert second.opened == 0


def test_another_segmenter_takes_over_between_two_frames() -> None:
    second = FakeSegmenter()
    first = FakeSegmenter(before=lambda index: index == 3 and pipeline.replace_segmenter(second))
    sink = FakeSink()
    pipeline = Pipeline([make_lane(FakeSource(10), sink)], first)
    pipeline.run()
    assert first.seen == [0, 1, 2, 3]
    assert second.seen == list(range(4, 10))
    assert sink.written == list(range(10))
    assert (first.closed, second.closed) == (1, 1)


def aging(seconds: float) -> Callable[[int], object]:
    return lambda index: time.sleep(seconds)


def test_results_older_than_allowed_are_marked_and_counted() -> None:
    stale: list[bool] = []

    class Noting(FakeSink):
        def write(self, result: Result) -> None:
            stale.append(result.stale)
            super().write(result)

    lane = make_lane(FakeSource(3, live=True, before_read=aging(0.05)), Noting())
    lane.age_limit = AgeLimit(max_age_ms=5)
    (summary,) = Pipeline([lane], FakeSegmenter(before=aging(0.02))).run()
    assert stale == [True] * 3
    assert summary.sinks["sink"]["stale"] == summary.sinks["sink"]["written"] == 3
    assert "3 older than allowed" in summary.text()


def test_results_older_than_allowed_are_dropped_and_counted() -> None:
    sink = FakeSink()
    lane = make_lane(FakeSource(3, live=True, before_read=aging(0.05)), sink)
    lane.age_limit = AgeLimit(max_age_ms=5, drop=True)
    (summary,) = Pipeline([lane], FakeSegmenter(before=aging(0.02))).run()
    assert sink.written == []
    assert summary.sinks["sink"]["stale"] + summary.too_old == 3


def test_a_frame_that_is_too_old_already_costs_no_inference() -> None:
    class Late(FakeSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return frame and replace(frame, captured_ns=frame.captured_ns - 10**9)

    segmenter = FakeSegmenter()
    lane = make_lane(Late(4, live=True, before_read=aging(0.01)), FakeSink())
    lane.age_limit = AgeLimit(max_age_ms=100, drop=True)
    (summary,) = Pipeline([lane], segmenter).run()
    assert segmenter.seen == []
    assert summary.too_old == summary.dropped == summary.frames_in == 4


def test_what_files_hold_never_grows_old() -> None:
    sink = FakeSink()
    lane = make_lane(FakeSource(3), sink)
    lane.age_limit = AgeLimit(max_age_ms=0.001, drop=True)
    Pipeline([lane], FakeSegmenter(before=aging(0.01))).run()
    assert sink.written == [0, 1, 2]


def test_the_rate_limit_lets_frames_through_evenly() -> None:
    limit = RateLimit(10)
    taken = [index for index in range(300) if limit.allows(round(index * 1e9 / 30))]
    assert len(taken) == 100
    assert {b - a for a, b in pairwise(taken)} == {3}
    # After a gap nothing is made up for.
    later = [index for index in range(900, 930) if limit.allows(round(index * 1e9 / 30))]
    assert len(later) == 10
    uneven = RateLimit(20)
    assert sum(uneven.allows(round(index * 1e9 / 30)) for index in range(300)) == pytest.approx(200, abs=2)


def test_a_limited_rate_passes_frames_over_and_counts_them() -> None:
    lane = make_lane(FakeSource(30, live=True, before_read=aging(0.002)), FakeSink())
    pipeline = Pipeline([lane], FakeSegmenter())
    pipeline.limit_rate(1)
    (summary,) = pipeline.run()
    assert summary.segmented == 1
    assert summary.rate_limited == summary.dropped == 29


def test_what_is_seen_can_be_treated_before_anybody_gets_it() -> None:
    def blacken(segmentation: Segmentation) -> Segmentation:
        return replace(segmentation, frame=replace(segmentation.frame, image=np.zeros((4, 4, 3), np.uint8)))

    sink = FakeSink(wants_overlay=True)
    lane = Lane(FakeSource(2), [sink], draw=draw, treat=blacken)
    Pipeline([lane], FakeSegmenter()).run()
    assert [picture.shape for picture in sink.overlays] == [(4, 4, 3)] * 2


def test_the_picture_is_judged_and_health_knows() -> None:
    lane = Lane(FakeSource(3), draw=draw, judge=lambda frame: "black" if frame.index == 2 else "ok")
    Pipeline([lane], FakeSegmenter()).run()
    assert lane.health.snapshot()["condition"] == "black"


def test_the_caller_may_do_something_beside_the_loop() -> None:
    ticks: list[str] = []
    source = FakeSource(None, live=True, before_read=aging(0.001))
    pipeline = Pipeline([make_lane(source)], FakeSegmenter())
    pipeline.run(duration_s=1.2, tick=lambda: ticks.append(threading.current_thread().name))
    assert 2 <= len(ticks) <= 4
    assert set(ticks) == {"MainThread"}


def test_a_result_that_a_sink_passes_over_counts_as_dropped_and_ends_nothing() -> None:
    def refuse_odd_ones(index: int) -> None:
        if index % 2:
            raise PassedOver

    picky, other = FakeSink("picky", before=refuse_odd_ones), FakeSink("other")
    (summary,) = Pipeline([make_lane(FakeSource(10), picky, other)], FakeSegmenter()).run()
    assert picky.written == [0, 2, 4, 6, 8]
    assert (summary.sinks["picky"]["written"], summary.sinks["picky"]["dropped"]) == (5, 5)
    assert (summary.sinks["other"]["written"], summary.sinks["other"]["dropped"]) == (10, 0)
