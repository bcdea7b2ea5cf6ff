"""View: when what was published last is no live picture, and how that is said."""

from __future__ import annotations

import time

import pytest

from edgeseg.server.view import PageSink, find_silence
from tests.edgeseg.server.live import Camera


def test_a_camera_from_its_start_to_its_end() -> None:
    camera = Camera()
    assert find_silence(camera.view) == ("waiting", "Waiting for the first picture")
    camera.publish()
    assert find_silence(camera.view) is None
    camera.health.lost("unplugged")
    assert find_silence(camera.view) == ("lost", "No signal for 0 s")
    camera.health.back()
    camera.publish()
    assert find_silence(camera.view) is None
    camera.health.stopped()
    assert find_silence(camera.view) == ("stopped", "The run has ended")


def test_a_loop_that_hangs_is_told_apart_from_a_camera_that_is_lost() -> None:
    camera = Camera(stall_after_s=0.0)
    camera.publish()
    time.sleep(0.01)
    assert find_silence(camera.view) == ("stalled", "No new picture for 0 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (12.9, "12 s"),
        (119.0, "119 s"),
        (120.0, "2 min 0 s"),
        (3725.0, "62 min 5 s"),
        (9000.0, "2 h 30 min"),
    ],
)
def test_how_long_is_said_so_that_it_counts_up(seconds: float, text: str) -> None:
    camera = Camera()
    result = camera.publish()
    camera.health.progressed(result.captured_ns - round(seconds * 1e9))
    camera.health.lost("unplugged")
    silence = find_silence(camera.view)
    assert silence is not None
    assert silence.text == f"No signal for {text}"


def test_the_sink_only_hands_on() -> None:
    camera = Camera()
    with PageSink(camera.view) as sink:
        assert not sink.lossless
        result = camera.publish()
    assert camera.view.feed.newest is not None
    assert camera.view.feed.newest.result is result
