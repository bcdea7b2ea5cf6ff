"""VideoSink, read back with PyAV: frames, times, colours, sizes, and what a failing disk leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import SinkUnavailableError
from edgeseg.frame import Frame, Segmentation
from edgeseg.sinks import mp4
from edgeseg.sinks.mp4 import TIME_BASE
from edgeseg.sinks.sink import Result
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.results import list_names, make_drive, make_result, write_all

ROOT = Path(__file__).resolve().parents[3]


def _read(path: Path) -> tuple[list[Fraction], list[NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        frames = [
            (frame.pts * stream.time_base, frame.to_ndarray(format="bgr24")) for frame in container.decode(stream)
        ]
    return [time for time, _ in frames], [picture for _, picture in frames]


def _boxes(path: Path) -> list[str]:
    """The top-level boxes of an mp4, in order."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode("ascii"))
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        at += size
    return names


def _plain(picture: NDArray[np.uint8], captured_ns: int = 0) -> Result:
    """A result whose overlay is `picture` as it stands."""
    cells = np.zeros((2, 2), np.uint8)
    return Result(Segmentation(Frame(picture, 0, captured_ns, "plain"), cells, cells), lambda it: it.frame.image.copy())


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(12)])
def test_every_frame_keeps_its_time(tmp_path: Path, fps: Fraction) -> None:
    path = tmp_path / "drive.mp4"
    write_all(VideoSink(path), make_drive(60, fps=float(fps)))
    times, pictures = _read(path)
    assert len(pictures) == 60
    assert all(abs(time - index / fps) <= TIME_BASE for index, time in enumerate(times))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        assert abs(stream.average_rate - fps) < Fraction(1, 100)
        assert stream.frames == 60


def test_uneven_capture_times_are_kept(tmp_path: Path) -> None:
    """A live recording plays at the pace it was captured at, pauses included, and not at a nominal rate."""
    path = tmp_path / "live.mp4"
    captured_ms = [5_000, 5_033, 5_100, 6_000, 6_010]
    write_all(VideoSink(path), (make_result(i, captured_ns=ms * 1_000_000) for i, ms in enumerate(captured_ms)))
    times, _ = _read(path)
    assert [round(time * 1000) for time in times] == [0, 33, 100, 1000, 1010]


def test_a_clock_that_stands_still_or_steps_back_does_not_break_the_file(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    write_all(
        VideoSink(path), (make_result(i, captured_ns=ns) for i, ns in enumerate([10**9, 10**9, 9 * 10**8, 2 * 10**9]))
    )
    times, _ = _read(path)
    assert len(times) == 4
    assert times == sorted(set(times))


def test_it_is_a_file_that_browsers_open(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    write_all(VideoSink(path), make_drive(30))
    boxes = _boxes(path)
    assert boxes.index("moov") < boxes.index("mdat")
    assert "moof" not in boxes
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert list_names(tmp_path) == ["drive.mp4"]


def test_colours_survive(tmp_path: Path) -> None:
    """The file says which matrix made its colours; a reader that follows it gets them back."""
    path = tmp_path / "colours.mp4"
    colours = np.array([[(120, 190, 38), (255, 120, 45), (20, 150, 255), (60, 60, 60)]], np.uint8)
    picture = cv2.resize(colours, (1280, 720), interpolation=cv2.INTER_NEAREST)
    write_all(VideoSink(path), [_plain(picture)])
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (6, 1)
    _, [back] = _read(path)
    for column in (160, 480, 800, 1120):
        assert np.abs(back[360, column].astype(int) - picture[360, column]).max() <= 4


@pytest.mark.parametrize(
    ("width", "height", "stored"), [(321, 181, (322, 182)), (1, 1, (2, 2)), (640, 359, (640, 360)), (2, 2, (2, 2))]
)
def test_odd_sizes_are_made_even(tmp_path: Path, width: int, height: int, stored: tuple[int, int]) -> None:
    path = tmp_path / "odd.mp4"
    picture = np.full((height, width, 3), 200, np.uint8)
    write_all(VideoSink(path), (_plain(picture, i * 40_000_000) for i in range(3)))
    _, pictures = _read(path)
    assert len(pictures) == 3
    assert pictures[0].shape == (stored[1], stored[0], 3)
    assert pictures[0].min() > 190


def test_a_picture_too_large_for_h264_is_reduced(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    write_all(VideoSink(path), [_plain(np.full((2400, 8000, 3), 90, np.uint8))])
    _, [picture] = _read(path)
    assert picture.shape == (1228, 4096, 3)


def test_a_change_of_size_on_the_way_is_scaled(tmp_path: Path) -> None:
    path = tmp_path / "change.mp4"
    sizes = [(320, 180), (640, 360), (320, 240)]
    results = [make_result(i, width=w, height=h, captured_ns=i * 40_000_000) for i, (w, h) in enumerate(sizes)]
    write_all(VideoSink(path), results)
    _, pictures = _read(path)
    assert [picture.shape for picture in pictures] == [(180, 320, 3)] * 3


def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    write_all(VideoSink(tmp_path / "none.mp4"), [])
    assert list_names(tmp_path) == []


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "Straße" / "drive.mp4"
    write_all(VideoSink(path), make_drive(3))
    assert len(_read(path)[0]) == 3


def test_the_file_has_its_name_only_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes(b"of yesterday")
    with VideoSink(path) as sink:
        for result in make_drive(5):
            sink.write(result)
        assert path.read_bytes() == b"of yesterday"
    assert len(_read(path)[0]) == 5


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "drive.mp4"
    with pytest.raises(SinkUnavailableError, match=r"drive\.mp4: cannot be written: ") as caught, VideoSink(path):
        pass
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_by_the_files_name_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.mkdir()
    with pytest.raises(SinkUnavailableError, match="folder"), VideoSink(path):
        pass


def _noise(index: int) -> Result:
    rng = np.random.default_rng(index)
    return _plain(rng.integers(0, 255, (360, 640, 3), np.uint8), index * 40_000_000)


def test_what_was_written_before_the_disk_refused_can_be_played(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "full.mp4"
    said = r"writing stopped.*what was written before stays in "
    with file_size_limit(12_000_000), pytest.raises(SinkUnavailableError, match=said):
        write_all(VideoSink(path), (_noise(index) for index in range(400)))
    assert list_names(tmp_path) == ["full.mp4"]
    readable = 0
    with av.open(str(path)) as container:
        try:
            for _ in container.decode(video=0):
                readable += 1
        except av.error.InvalidDataError:
            pass  # The last picture is cut off.
    assert readable >= 25


def test_a_full_disk_is_told_in_one_line(small_disk: Path) -> None:
    path = small_disk / "full.mp4"
    with pytest.raises(SinkUnavailableError) as caught:
        write_all(VideoSink(path), (_noise(index) for index in range(400)))
    assert str(caught.value).startswith(f"{path}: writing stopped: no space left on the disk; free some")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", ["LARGEST_INDEX_FIRST", "MOST_INDEX_FIRST", "COPY_LIMIT_S"])
def test_a_long_recording_stays_in_fragments_and_keeps_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Rewriting it would take longer than a run may take to end."""
    monkeypatch.setattr(mp4, limit, 0)
    path = tmp_path / "long.mp4"
    write_all(VideoSink(path), make_drive(130))
    assert "moof" in _boxes(path)
    times, _ = _read(path)
    assert times == pytest.approx([index / 25 for index in range(130)], abs=1e-4)
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(130 / 25 * 1e6, abs=1000)
    assert list_names(tmp_path) == ["long.mp4"]


def test_a_recording_takes_no_memory_that_grows_with_it(tmp_path: Path) -> None:
    """An index of these 200 000 pictures, of two hours, would be 14 MB."""
    write_all(VideoSink(tmp_path / "short.mp4"), make_drive(50, width=64, height=64))
    with av.open(str(tmp_path / "short.mp4")) as short:
        pictures = short.streams.video[0]
        packets = [bytes(packet) for packet in short.demux(pictures) if packet.size]
        with av.open(str(tmp_path / "long.mp4"), "w", format="mp4", options=mp4.GROWING) as container:
            stream = container.add_stream_from_template(pictures)
            for number in range(200_000):
                if number == 2000:
                    before = _resident_kb()
                packet = av.Packet(packets[0 if number % 50 == 0 else 1])
                packet.is_keyframe = number % 50 == 0
                packet.pts = packet.dts = number * 3600
                packet.duration, packet.time_base, packet.stream = 3600, TIME_BASE, stream
                container.mux(packet)
            assert _resident_kb() - before < 4000


def _resident_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_a_kill_leaves_the_fragments_playable(tmp_path: Path) -> None:
    """Not the recorder that survives a power cut, but no recording is lost as a whole."""
    path = tmp_path / "killed.mp4"
    script = f"""
        import os, signal
        from pathlib import Path
        from edgeseg.sinks.video import VideoSink
        from tests.edgeseg.results import make_drive
        with VideoSink(Path({str(path)!r})) as sink:
            for index, result in enumerate(make_drive(500)):
                sink.write(result)
                if index == 199:
                    os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()
    times, _ = _read(path.with_name("killed.mp4.part"))
    assert len(times) >= 150
