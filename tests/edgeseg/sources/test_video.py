"""VideoFileSource against real files: whole and cut, still and turned, with sound, without pictures."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.frame import Frame
from edgeseg.sources.video import VideoFileSource
from tests.edgeseg.clips import number_of, turn_clip, write_clip


def read_all(source: VideoFileSource, frames: list[Frame] | None = None) -> list[Frame]:
    frames = [] if frames is None else frames
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def test_it_gives_every_picture_once_in_order(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 12)
    source = VideoFileSource(path, live=False)
    frames = read_all(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert {frame.source for frame in frames} == {str(path)}
    assert source.fps == 25
    assert source.frame_count == 12
    assert frames[0].image.shape == (48, 64, 3)


def test_a_real_drive(bundled_clip: Path) -> None:
    frames = read_all(VideoFileSource(bundled_clip, live=False))
    assert len(frames) == 221
    assert frames[0].size_wh == (960, 540)
    assert [frame.captured_ns for frame in frames[:3]] == [0, 40_000_000, 80_000_000]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi"])
def test_a_file_with_a_variable_rate_keeps_its_times(tmp_path: Path, container: str) -> None:
    times_ms = [0, 40, 80, 240, 280, 1000]
    path = write_clip(tmp_path / "clip", 6, container=container, times_ms=times_ms if container != "avi" else None)
    frames = read_all(VideoFileSource(path, live=False))
    expected_ms = times_ms if container != "avi" else [0, 40, 80, 120, 160, 200]
    assert [frame.captured_ns / 1e6 for frame in frames] == pytest.approx(expected_ms, abs=0.1)


def test_live_it_keeps_its_own_pace_and_stamps_with_the_clock(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 4, times_ms=[0, 20, 60, 100])
    before_ns = time.monotonic_ns()
    frames = read_all(VideoFileSource(path, live=True))
    after_ns = time.monotonic_ns()
    stamps = [frame.captured_ns for frame in frames]
    assert before_ns <= stamps[0]
    assert stamps[-1] <= after_ns
    assert [round((stamp - stamps[0]) / 1e6) for stamp in stamps] == [0, 20, 60, 100]


def test_a_loop_of_a_stream_that_cannot_be_sought_begins_anew(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.h264", 3, container="h264")
    with VideoFileSource(path, live=False, loop=True) as source:
        frames = [source.read() for _ in range(8)]
    assert [number_of(frame.image) for frame in frames if frame is not None] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_loop_begins_anew_and_time_goes_on(tmp_path: Path) -> None:
    source = VideoFileSource(write_clip(tmp_path / "clip.mp4", 3), live=False, loop=True)
    with source:
        frames = [source.read() for _ in range(8)]
    assert source.frame_count is None
    assert [number_of(frame.image) for frame in frames if frame] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [frame.index for frame in frames if frame] == list(range(8))
    assert [round(frame.captured_ns / 1e6) for frame in frames if frame] == [n * 40 for n in range(8)]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_file_comes_upright(tmp_path: Path, degrees: int) -> None:
    path = write_clip(tmp_path / "phone.mp4", 1)
    turn_clip(path, degrees)
    (frame,) = read_all(VideoFileSource(path, live=False))
    assert frame.size_wh == ((48, 64) if degrees % 180 else (64, 48))
    # OpenCV's player, as a second opinion.
    expected = cv2.VideoCapture(str(path)).read()[1]
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 3


def test_every_picture_has_the_size_of_the_first(tmp_path: Path) -> None:
    first, second = write_clip(tmp_path / "a.ts", 3), write_clip(tmp_path / "b.ts", 3, width=128, height=96)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read_all(VideoFileSource(both, live=False))
    assert len(frames) == 6
    assert {frame.size_wh for frame in frames} == {(64, 48)}
    stamps = [frame.captured_ns for frame in frames]
    assert stamps == sorted(set(stamps))


def test_sound_beside_the_pictures_does_not_matter(tmp_path: Path) -> None:
    assert len(read_all(VideoFileSource(write_clip(tmp_path / "clip.mp4", 5, sound=True), live=False))) == 5
    assert len(read_all(VideoFileSource(write_clip(tmp_path / "clip.mkv", 5, sound=True), live=False))) == 5


def test_a_name_with_a_colon_spaces_and_foreign_letters(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 2).rename(tmp_path / "data: Fahrt über Łódź 東京.mp4")
    assert len(read_all(VideoFileSource(path, live=False))) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"nowhere\.mp4: no such file"):
        VideoFileSource(tmp_path / "nowhere.mp4", live=False).__enter__()


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match=r"empty\.mp4: is empty"):
        VideoFileSource(tmp_path / "empty.mp4", live=False).__enter__()


def test_text_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("dear diary\n" * 100)
    with pytest.raises(DataError, match=r"notes\.mp4: cannot be read as a video"):
        VideoFileSource(tmp_path / "notes.mp4", live=False).__enter__()


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "song.mp4", video=False, sound=True)
    with pytest.raises(DataError, match=r"song\.mp4: holds no video, only audio"):
        VideoFileSource(path, live=False).__enter__()


@pytest.mark.parametrize(("container", "faststart"), [("mp4", True), ("matroska", False), ("avi", False)])
def test_a_cut_file_gives_what_it_has_and_then_says_so(tmp_path: Path, container: str, faststart: bool) -> None:
    path = write_clip(tmp_path / "clip", 200, container=container, faststart=faststart)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames: list[Frame] = []
    with pytest.raises(DataError, match=r"clip: is cut off, it ends at \d\.\d s of \d\.\d s"):
        read_all(VideoFileSource(path, live=False), frames)
    assert 40 < len(frames) < 180
    # The last one may be half a picture.
    assert [number_of(frame.image) for frame in frames[:-1]] == [n % 28 for n in range(len(frames) - 1)]


def test_a_file_cut_before_its_index_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cut off before its index"):
        VideoFileSource(path, live=False).__enter__()


def test_damage_in_the_middle_is_passed_over_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "clip.mp4", 100)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 4 + (len(data) // 4)
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    caplog.set_level(logging.WARNING)
    frames = read_all(VideoFileSource(path, live=False))
    assert 50 < len(frames) < 100
    assert "damaged pieces were passed over" in caplog.text


def test_a_file_without_one_good_picture_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    source = VideoFileSource(path, live=False)
    with source, pytest.raises(DataError, match="not one picture"):
        source.read()


def test_interrupting_ends_a_long_wait(tmp_path: Path) -> None:
    source = VideoFileSource(write_clip(tmp_path / "slow.mp4", 2, times_ms=[0, 60_000]), live=True)
    with source:
        assert source.read() is not None
        threading.Timer(0.05, source.interrupt).start()
        assert source.read() is None
        assert source.read() is None


def test_it_can_be_interrupted_before_it_is_open(tmp_path: Path) -> None:
    source = VideoFileSource(write_clip(tmp_path / "clip.mp4", 2), live=True)
    source.interrupt()
    assert read_all(source) == []
