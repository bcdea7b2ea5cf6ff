"""CameraSource, as far as it goes without a camera: devices that are not there or are something else, and being lost.

The capture itself is cv2's own, fed from a file; a real V4L2 device needs the kernel's `vivid` (tests marked `device`).
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import pytest

from edgeseg.errors import SourceUnavailableError
from edgeseg.sources.camera import CameraMode, CameraSource, check_device, describe_cameras
from tests.edgeseg.clips import number_of, write_clip


class FileFedCamera(CameraSource):
    """A camera whose pictures come from a file: it is unplugged at the file's end."""

    def __init__(self, path: Path) -> None:
        super().__init__("/dev/null")
        self._path = path

    def _open(self, path: Path) -> cv2.VideoCapture:
        return cv2.VideoCapture(str(self._path))


class FakeProperties:
    """Settings that are noted, and a driver's time stamp."""

    def __init__(self, stamp_ms: float = 0.0) -> None:
        self.stamp_ms = stamp_ms
        self.asked: list[tuple[int, float]] = []

    def get(self, key: int, /) -> float:
        return self.stamp_ms

    def set(self, key: int, value: float, /) -> bool:
        self.asked.append((key, value))
        return True


def test_pictures_come_stamped_and_counted_until_the_camera_is_lost(tmp_path: Path) -> None:
    with FileFedCamera(write_clip(tmp_path / "clip.mp4", 3)) as camera:
        before_ns = time.monotonic_ns()
        frames = [camera.read() for _ in range(3)]
        after_ns = time.monotonic_ns()
        with pytest.raises(SourceUnavailableError, match="/dev/null: the camera gives no more pictures"):
            camera.read()
    assert [frame and number_of(frame.image) for frame in frames] == [0, 1, 2]
    assert all(frame and before_ns <= frame.captured_ns <= after_ns for frame in frames)
    assert [frame and frame.source for frame in frames] == ["/dev/null"] * 3
    assert camera.fps == 25


def test_a_drivers_time_stamp_is_believed_only_while_it_makes_sense() -> None:
    def stamp_ns(stamp_ms: float) -> int:
        return CameraSource._stamp_ns(FakeProperties(stamp_ms), now_ns)

    now_ns = 10_000_000_000
    assert stamp_ns(9_980.0) == 9_980_000_000
    assert stamp_ns(0.0) == now_ns
    assert stamp_ns(1.7e12) == now_ns


def test_an_interrupted_camera_gives_nothing_more(tmp_path: Path) -> None:
    with FileFedCamera(write_clip(tmp_path / "clip.mp4", 3)) as camera:
        assert camera.read() is not None
        camera.interrupt()
        assert camera.read() is None


def test_a_number_is_a_video_device() -> None:
    assert CameraSource("3").name == "/dev/video3"
    assert CameraSource("/dev/v4l/by-id/usb-cam").name == "/dev/v4l/by-id/usb-cam"


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceUnavailableError, match=r"/dev/video99: no such camera; (there is|this machine has no)"):
        CameraSource("99").__enter__()


def test_a_device_that_is_no_camera_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceUnavailableError, match="/dev/null: gives no pictures"):
        CameraSource("/dev/null", CameraMode(size_wh=(640, 480), fps=30)).__enter__()
    assert capfd.readouterr().err == ""


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(SourceUnavailableError, match="is not a camera"):
        check_device(path)


def test_the_cameras_the_kernel_knows_are_listed(tmp_path: Path) -> None:
    assert "no camera" in describe_cameras(tmp_path / "none")
    for device, name in (("video0", "HD Webcam"), ("video2", "Rückfahrkamera")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(name + "\n", encoding="utf-8")
    (tmp_path / "video9").mkdir()
    assert describe_cameras(tmp_path) == "there is /dev/video0 (HD Webcam), /dev/video2 (Rückfahrkamera)"


def test_it_asks_for_the_format_first() -> None:
    capture = FakeProperties()
    CameraSource._ask_for(capture, CameraMode(size_wh=(1280, 720), fps=30))
    assert capture.asked == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 30),
    ]
