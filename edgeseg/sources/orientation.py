"""Orientation: how a camera is mounted, and the source that turns its pictures upright."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import cv2
import numpy as np

from edgeseg.frame import Frame
from edgeseg.sources.source import Source

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
FLIPS = {"horizontal": 1, "vertical": 0}


@dataclass(frozen=True, slots=True)
class Orientation:
    """What is done to every picture: turned clockwise by `rotate` degrees first, mirrored then.

    flip: "horizontal" exchanges left and right, "vertical" top and bottom.
    """

    rotate: Literal[0, 90, 180, 270] = 0
    flip: Literal["horizontal", "vertical"] | None = None

    @property
    def is_upright(self) -> bool:
        """Whether pictures stay as they are."""
        return not self.rotate and self.flip is None

    def apply(self, frame: Frame) -> Frame:
        """Returns the frame upright; its place and its time stay what they are."""
        image = frame.image
        if self.rotate:
            image = np.asarray(cv2.rotate(image, TURNS[self.rotate]), dtype=np.uint8)
        if self.flip:
            image = np.asarray(cv2.flip(image, FLIPS[self.flip]), dtype=np.uint8)
        return frame if image is frame.image else dataclasses.replace(frame, image=image)


class OrientedSource:
    """Any source, its pictures turned and mirrored."""

    def __init__(self, source: Source, orientation: Orientation) -> None:
        self._source = source
        self._orientation = orientation

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def live(self) -> bool:
        return self._source.live

    @property
    def fps(self) -> float | None:
        return self._source.fps

    @property
    def frame_count(self) -> int | None:
        return self._source.frame_count

    def __enter__(self) -> OrientedSource:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else self._orientation.apply(frame)

    def interrupt(self) -> None:
        self._source.interrupt()
