"""CameraSource: a V4L2 camera through OpenCV."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SourceUnavailableError
from edgeseg.frame import Frame
from edgeseg.sources.camera_place import CameraPlace
from edgeseg.sources.source import SourceAbsentError

#: A driver's time stamp is believed when it is at most this old: some drivers give another clock's, or none.
OLDEST_STAMP_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class CameraMode:
    """What a camera is asked for; what is None it decides itself, and it may decide otherwise anyway.

    MJPG comes first: over USB 2 raw pictures of 720p arrive ten times a second, MJPG ones thirty times.
    """

    size_wh: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str = "MJPG"


class Properties(Protocol):
    """The part of cv2.VideoCapture that tells and takes settings."""

    def get(self, key: int, /) -> float: ...

    def set(self, key: int, value: float, /) -> bool: ...


class CameraSource:
    """Pictures of one camera, each with the moment its exposure reached the driver.

    Raises SourceUnavailableError when the camera is not there, is no camera, is in use, or is lost while it runs.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, device: str | CameraPlace, mode: CameraMode | None = None) -> None:
        """`device` is a number N for /dev/videoN, or a path; one under /dev/v4l/by-id stays the same camera.

        A CameraPlace that several sources share, one after the other, finds the first one's camera again.
        """
        self._place = CameraPlace(device) if isinstance(device, str) else device
        self.name = self._place.name
        self.fps: float | None = None
        self._mode = mode or CameraMode()
        self._capture: cv2.VideoCapture | None = None
        self._interrupted = threading.Event()
        self._index = 0

    def __enter__(self) -> CameraSource:
        path = self._place.find()
        if path is None:
            raise SourceAbsentError(f"{self.name}: the camera is gone; {describe_cameras()}")
        check_device(path)
        # OpenCV's own words about a device would stand beside ours.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        capture = self._open(path)
        if not capture.isOpened():
            raise SourceUnavailableError(
                f"{path}: gives no pictures; another program uses it, or it is not a camera's picture device; "
                f"{describe_cameras()}"
            )
        self._place.remember(path)
        self._ask_for(capture, self._mode)
        self.fps = capture.get(cv2.CAP_PROP_FPS) or None
        self._capture = capture
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def read(self) -> Frame | None:
        """Returns the next picture. A stalled camera is given two seconds, then it counts as lost."""
        if self._interrupted.is_set() or self._capture is None:
            return None
        ok, image = self._capture.read()
        now_ns = time.monotonic_ns()
        if self._interrupted.is_set():
            return None
        if not ok:
            raise SourceUnavailableError(
                f"{self.name}: the camera gives no more pictures; it was unplugged or hangs, plug it in again"
            )
        self._index += 1
        picture: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
        return Frame(picture, self._index - 1, self._stamp_ns(self._capture, now_ns), self.name)

    def interrupt(self) -> None:
        self._interrupted.set()

    def _open(self, path: Path) -> cv2.VideoCapture:
        return cv2.VideoCapture(str(path), cv2.CAP_V4L2)

    @staticmethod
    def _ask_for(capture: Properties, mode: CameraMode) -> None:
        # The format first: it decides which sizes and rates there are. A refusal leaves what the camera had.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.pixel_format))
        if mode.size_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.size_wh[1])
        if mode.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, mode.fps)

    @staticmethod
    def _stamp_ns(capture: Properties, now_ns: int) -> int:
        """Returns the driver's time stamp (monotonic, of the exposure) when it is one, else `now_ns`."""
        stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        return stamp_ns if 0 <= now_ns - stamp_ns <= OLDEST_STAMP_NS else now_ns


def check_device(path: Path) -> None:
    """Raises SourceUnavailableError unless `path` is a device that this user may read."""
    try:
        is_device = stat.S_ISCHR(path.stat().st_mode)
    except OSError as error:
        raise SourceAbsentError(f"{path}: no such camera; {describe_cameras()}") from error
    if not is_device:
        raise SourceUnavailableError(f"{path}: is not a camera; {describe_cameras()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceUnavailableError(f"{path}: no permission to use it; add yourself to its group: usermod -aG video")


def describe_cameras(sys_root: Path = Path("/sys/class/video4linux")) -> str:
    """Returns which video devices the kernel knows, in words."""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for entry in sorted(sys_root.iterdir()):
            with contextlib.suppress(OSError):
                names[f"/dev/{entry.name}"] = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
    if not names:
        return "this machine has no camera that the kernel knows, check the cable"
    return "there is " + ", ".join(f"{device} ({name})" for device, name in names.items())
