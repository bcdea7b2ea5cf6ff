"""Pipeline: what flows, what is dropped, and how it ends, whichever part ends it. Counts and order, never timings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg import pipeline as pipeline_module
from edgeseg.errors import DataError, SinkUnavailableError, SourceUnavailableError
from edgeseg.frame import Segmentation
from edgeseg.lane import RECORDING_RESULTS, Lane
from edgeseg.pipeline import Pipeline
from edgeseg.summary import Summary
from tests.fakes import FakeSegmenter, FakeSink, FakeSource, nothing


def draw(segmentation: Segmentation) -> NDArray[np.uint8]:
    return segmentation.frame.image.copy()


def raising(error: BaseException, *, at: int | None = None) -> Callable[..., None]:
    def raise_it(index: int | None = None) -> None:
        if at is None or index == at:
            raise error

    return raise_it


def in_thread(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def build(
    source: FakeSource, *sinks: FakeSink, segmenter: FakeSegmenter | None = None
) -> tuple[Pipeline, FakeSegmenter]:
    segmenter = segmenter or FakeSegmenter()
    return Pipeline([Lane(source, sinks, draw=draw)], segmenter), segmenter


def assert_all_closed(*parts: FakeSource | FakeSegmenter | FakeSink) -> None:
    assert [part.closed for part in parts] == [part.opened for part in parts]


def test_a_file_run_loses_nothing_and_keeps_the_order() -> None:
    source, sink = FakeSource(50), FakeSink(before=lambda index: time.sleep(0.002))
    pipeline, segmenter = build(source, sink)
    (summary,) = pipeline.run()
    assert sink.written == segmenter.seen == list(range(50))
    assert (summary.frames_in, summary.segmented, summary.dropped) == (50, 50, 0)
    assert summary.sinks["sink"]["written"] == 50
    assert summary.shares["road"] == 0.5
    assert_all_closed(source, segmenter, sink)


def test_one_frame_is_enough_to_go_all_the_way() -> None:
    # A source that ends before the other stages have woken up must not take its only frame with it.
    for _ in range(50):
        source, sink = FakeSource(1, live=True), FakeSink()
        pipeline, _ = build(source, sink)
        pipeline.run()
        assert sink.written == [0]


class Hold:
    """Keeps a stage inside its first frame until `release` is set; `taken` says that it is there."""

    def __init__(self) -> None:
        self.taken = threading.Event()
        self.release = threading.Event()

    def __call__(self, index: int) -> None:
        self.taken.set()
        self.release.wait(60)


def test_live_a_slow_segmenter_sees_the_newest_frame_and_the_rest_is_counted() -> None:
    hold = Hold()
    source = FakeSource(20, live=True, before_read=lambda index: index == 1 and hold.taken.wait(60))
    segmenter = FakeSegmenter(before=hold)
    pipeline, _ = build(source, segmenter=segmenter)
    in_thread(lambda: (wait_for(lambda: source.closed == 1), hold.release.set()))
    (summary,) = pipeline.run()
    assert segmenter.seen == [0, 19]
    assert (summary.frames_in, summary.segmented, summary.dropped) == (20, 2, 18)


def run_with_a_slow_sink(slow: FakeSink, hold: Hold) -> Summary:
    """Runs 30 live frames of which a quick sink gets every one, while `slow` is held in its first."""
    quick = FakeSink("quick", lossless=False, before=lambda index: index == 29 and hold.release.set())

    def in_step(index: int) -> None:
        wait_for(lambda: len(quick.written) == index)
        if index == 1:
            hold.taken.wait(60)

    (summary,) = build(FakeSource(30, live=True, before_read=in_step), slow, quick)[0].run()
    assert quick.written == list(range(30))
    assert summary.dropped == 0
    return summary


def test_live_a_slow_sink_holds_up_nobody() -> None:
    hold = Hold()
    slow = FakeSink("slow", lossless=False, before=hold)
    summary = run_with_a_slow_sink(slow, hold)
    assert slow.written == [0, 29]
    assert summary.sinks["slow"]["dropped"] == 28


def test_live_a_recording_rides_out_a_pause_and_then_drops_the_oldest() -> None:
    hold = Hold()
    recording = FakeSink("recording", lossless=True, before=hold)
    summary = run_with_a_slow_sink(recording, hold)
    assert recording.written == [0, *range(30 - RECORDING_RESULTS, 30)]
    assert summary.sinks["recording"]["dropped"] == 29 - RECORDING_RESULTS


def test_the_overlay_is_drawn_once_however_many_want_it() -> None:
    drawn: list[int] = []

    def count(segmentation: Segmentation) -> NDArray[np.uint8]:
        drawn.append(segmentation.frame.index)
        return draw(segmentation)

    sinks = [FakeSink(f"sink {n}", wants_overlay=True) for n in range(3)]
    pipeline = Pipeline([Lane(FakeSource(8), sinks, draw=count)], FakeSegmenter())
    (summary,) = pipeline.run()
    assert drawn == list(range(8))
    assert summary.stage_ms["overlay"]["p50"] > 0
    for first, *others in zip(*(sink.overlays for sink in sinks), strict=True):
        assert all(other is first for other in others)
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 0


def test_no_overlay_is_drawn_when_no_sink_asks() -> None:
    lane = Lane(FakeSource(3), [FakeSink()], draw=raising(AssertionError("drawn")))
    (summary,) = Pipeline([lane], FakeSegmenter()).run()
    assert summary.segmented == 3


def test_it_runs_without_any_sink() -> None:
    pipeline, _ = build(FakeSource(3))
    (summary,) = pipeline.run()
    assert summary.segmented == 3


def test_two_sinks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        build(FakeSource(1), FakeSink("a"), FakeSink("a"))


def test_nothing_flows_before_every_part_is_open() -> None:
    opened = threading.Event()
    source = FakeSource(1, live=True, before_read=lambda index: order.append("read"))
    order: list[str] = []

    def open_slowly() -> None:
        opened.wait(0.1)
        order.append("open")

    pipeline, _ = build(source, FakeSink(on_open=open_slowly))
    pipeline.run()
    assert order == ["open", "read"]


@pytest.mark.parametrize("place", ["source opens", "source reads", "segmenter opens", "segmenter", "sink opens"])
@pytest.mark.parametrize("live", [True, False])
def test_the_error_of_any_stage_comes_out_of_run_and_everything_is_closed(place: str, live: bool) -> None:
    error = SourceUnavailableError("camera 7: gone")
    # Live, the segmenter may never see frame 3.
    on = {place: raising(error, at=3 if place == "source reads" or (place == "segmenter" and not live) else None)}
    source = FakeSource(
        None, live=live, on_open=on.get("source opens", nothing), before_read=on.get("source reads", nothing)
    )
    segmenter = FakeSegmenter(on_open=on.get("segmenter opens", nothing), before=on.get("segmenter", nothing))
    sink = FakeSink(on_open=on.get("sink opens", nothing))
    pipeline, _ = build(source, sink, segmenter=segmenter)
    with pytest.raises(SourceUnavailableError, match="camera 7: gone") as raised:
        pipeline.run()
    assert raised.value is error
    assert_all_closed(source, segmenter, sink)


def test_a_sink_that_fails_ends_the_run_and_the_other_is_complete() -> None:
    bad = FakeSink("bad", before=raising(SinkUnavailableError("disk full"), at=5))
    good = FakeSink("good")
    source = FakeSource(None)
    pipeline, segmenter = build(source, bad, good)
    with pytest.raises(SinkUnavailableError, match="disk full"):
        pipeline.run()
    assert bad.written == list(range(5))
    assert good.written == list(range(len(good.written)))
    assert good.written == segmenter.seen
    assert_all_closed(source, segmenter, bad, good)


def test_frames_before_a_damaged_one_still_reach_the_sinks() -> None:
    sink = FakeSink()
    pipeline, _ = build(FakeSource(None, before_read=raising(DataError("ends early"), at=6)), sink)
    with pytest.raises(DataError, match="ends early"):
        pipeline.run()
    assert sink.written == list(range(6))


def test_an_error_while_a_sink_is_completed_comes_out_too() -> None:
    sink = FakeSink(on_close=raising(SinkUnavailableError("no room for the index")))
    pipeline, _ = build(FakeSource(3), sink)
    with pytest.raises(SinkUnavailableError, match="no room"):
        pipeline.run()


def test_the_first_error_wins_over_those_it_causes() -> None:
    sink = FakeSink(on_close=raising(SinkUnavailableError("and the disk is full")))
    pipeline, _ = build(FakeSource(None, before_read=raising(DataError("ends early"), at=2)), sink)
    with pytest.raises(DataError, match="ends early"):
        pipeline.run()
    assert sink.closed == 1


def test_a_bug_in_a_stage_comes_out_as_it_is() -> None:
    pipeline, _ = build(FakeSource(None), segmenter=FakeSegmenter(before=raising(ZeroDivisionError("bug"))))
    with pytest.raises(ZeroDivisionError):
        pipeline.run()


@pytest.mark.parametrize("live", [True, False])
def test_stop_ends_an_endless_run_as_the_end_of_the_source_would(live: bool) -> None:
    sink = FakeSink(before=lambda index: pipeline.stop() if index >= 5 else None)

    def in_step(index: int) -> None:
        wait_for(lambda: source.interrupted.is_set() or len(sink.written) >= index)

    source = FakeSource(None, live=live, before_read=in_step)
    pipeline, segmenter = build(source, sink)
    (summary,) = pipeline.run()
    pipeline.stop()
    assert sink.written == segmenter.seen
    assert summary.frames_in == summary.segmented + summary.dropped
    assert source.interrupted.is_set()
    assert_all_closed(source, segmenter, sink)


def test_stop_before_run_ends_it_at_once() -> None:
    source, sink = FakeSource(None), FakeSink()
    pipeline, segmenter = build(source, sink)
    pipeline.stop()
    pipeline.run()
    assert_all_closed(source, segmenter, sink)


def test_stop_while_a_part_is_still_opening_closes_the_others() -> None:
    release = threading.Event()
    source, sink = FakeSource(None, on_open=lambda: wait_for(release.is_set)), FakeSink()
    pipeline, _ = build(source, sink)
    source.interrupt = release.set  # type: ignore[method-assign]
    threading.Timer(0.05, pipeline.stop).start()
    (summary,) = pipeline.run()
    assert summary.frames_in == 0
    assert_all_closed(source, sink)


def test_the_duration_ends_a_run() -> None:
    source, sink = FakeSource(None, live=True, before_read=lambda index: time.sleep(0.005)), FakeSink()
    pipeline, _ = build(source, sink)
    (summary,) = pipeline.run(duration_s=0.1)
    assert summary.segmented > 0
    assert_all_closed(source, sink)


def test_a_camera_that_hangs_does_not_keep_the_outputs_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline_module, "END_LIMIT_S", 0.05)
    hanging, go_on = threading.Event(), threading.Event()

    def hang(index: int) -> None:
        if index == 3:
            hanging.set()
            go_on.wait(60)

    source = FakeSource(None, live=True, before_read=hang)
    sink = FakeSink(before=lambda index: (hanging.wait(60), pipeline.stop())[1])
    pipeline, _ = build(source, sink)
    pipeline.run()
    assert sink.closed == 1
    assert source.closed == 0
    assert "capture did not end" in caplog.text
    go_on.set()
    wait_for(lambda: source.closed == 1)


def test_a_keyboard_interrupt_still_completes_the_outputs() -> None:
    sink = FakeSink()
    pipeline, _ = build(FakeSource(None, live=True, before_read=raising(KeyboardInterrupt(), at=2)), sink)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert sink.closed == 1


def test_it_logs_a_line_an_interval_and_none_a_frame(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="edgeseg")
    pipeline, _ = build(FakeSource(None, live=True, before_read=lambda index: time.sleep(0.001)))
    (summary,) = pipeline.run(duration_s=0.3, log_every_s=0.1)
    lines = [record.message for record in caplog.records]
    assert 1 <= len(lines) <= 3
    assert all("segmented" in line and "dropped" in line for line in lines)
    assert summary.segmented > len(lines)


def test_health_follows_the_run() -> None:
    states: list[str] = []
    sink = FakeSink(before=lambda index: states.append(pipeline.lanes[0].health.state()))
    source = FakeSource(4, before_read=lambda index: wait_for(lambda: len(sink.written) == index))
    pipeline, _ = build(source, sink)
    assert pipeline.lanes[0].health.state() == "starting"
    pipeline.run()
    assert states[:3] == ["running"] * 3
    assert pipeline.lanes[0].health.state() == "stopped"


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until something is true; what depends on it fails when that never happens."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
