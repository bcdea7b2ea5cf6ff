"""SyntheticSource: a drawn drive that moves, for trying things out where there is no camera."""

from __future__ import annotations

import re
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.frame import Frame
from edgeseg.sources.pace import Pace
from edgeseg.sources.picture_file import check_size

SKY, GRASS, ASPHALT, LINE, CAR = (214, 180, 140), (60, 110, 70), (85, 85, 85), (230, 230, 230), (40, 30, 150)


class SyntheticSource:
    """Draws a road with running lane marks, a car that drifts from side to side and the number of the frame.

    Always live and without an end. A frame's picture depends on its number alone.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, uri: str = "synthetic:") -> None:
        """`synthetic:` or `synthetic:WIDTHxHEIGHT@FPS`, by default 1280x720@30. Raises UsageError."""
        match = re.fullmatch(r"synthetic:(?:(\d{1,5})x(\d{1,5}))?(?:@(\d{1,3}(?:\.\d+)?))?", uri)
        width, height = (int(match[1] or 1280), int(match[2] or 720)) if match else (0, 0)
        fps = float(match[3] or 30) if match else 0.0
        if not (width and height and fps):
            raise UsageError(f"{uri}: is not synthetic:WIDTHxHEIGHT@FPS; write for instance synthetic:1280x720@30")
        check_size(uri, width, height)
        self.name = uri
        self.fps: float | None = fps
        self._step_ns = round(1e9 / fps)
        self._pace = Pace(live=True)
        self._scene = _draw_scene(width, height)
        self._index = 0

    def __enter__(self) -> SyntheticSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    def read(self) -> Frame | None:
        captured_ns = self._pace.wait_until(self._index * self._step_ns)
        if captured_ns is None:
            return None
        frame = Frame(self._draw(self._index), self._index, captured_ns, self.name)
        self._index += 1
        return frame

    def interrupt(self) -> None:
        self._pace.interrupt()

    def _draw(self, index: int) -> NDArray[np.uint8]:
        picture = self._scene.copy()
        height, width = picture.shape[:2]
        horizon = height // 2
        for mark in range(6):
            # Evenly spaced on the ground, so their distance to the horizon goes with 1 / distance.
            depth = mark + 1 - (index % 15) / 15
            top, bottom = (horizon + int((height - horizon) / (depth + part)) for part in (0.5, 0.0))
            half = max(1, (bottom - horizon) // 30)
            cv2.rectangle(picture, (width // 2 - half, top), (width // 2 + half, min(bottom, height)), LINE, -1)
        left = width // 4 + int(width / 3 * abs((index % 120) / 60 - 1))
        size = max(1, height // 8)
        cv2.rectangle(picture, (left, horizon + size // 2), (left + size * 3 // 2, horizon + size * 3 // 2), CAR, -1)
        cv2.putText(picture, str(index), (size // 4, size), cv2.FONT_HERSHEY_SIMPLEX, height / 360, LINE, 2)
        return picture


def _draw_scene(width: int, height: int) -> NDArray[np.uint8]:
    """Returns what stays the same from frame to frame, BGR uint8 (height, width, 3)."""
    scene = np.empty((height, width, 3), np.uint8)
    horizon = height // 2
    scene[:horizon], scene[horizon:] = SKY, GRASS
    corners = [(width * 45 // 100, horizon), (width * 55 // 100, horizon), (width, height), (0, height)]
    cv2.fillPoly(scene, [np.array(corners, np.int32)], ASPHALT)
    return scene
