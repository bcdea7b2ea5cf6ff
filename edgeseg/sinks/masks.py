"""MaskSink: the class of every pixel as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.sinks.files import drop_folders, prepare_folder, write_bytes
from edgeseg.sinks.sink import Result


class MaskSink:
    """Writes one PNG a frame, single channel uint8: 0 other, 1 road, 2 vehicle, 3 person.

    Grey values and not a palette: OpenCV, and so `edgeseg eval` and the training, read a palette file as colours, while
    these files are labels as they stand (mapping `edgeseg`). They have the size of the frame.
    """

    lossless = True

    def __init__(self, folder: Path, name_file: Callable[[Frame], str] = lambda frame: f"{frame.index:06d}") -> None:
        """`name_file` gives a frame's file name, without its suffix."""
        self.name = str(folder)
        self._folder = folder
        self._name_file = name_file
        self._made: list[Path] = []

    def __enter__(self) -> MaskSink:
        self._made = prepare_folder(self._folder)
        return self

    def write(self, result: Result) -> None:
        """Writes one mask. Raises SinkUnavailableError when the disk is full; the masks before stay whole."""
        segmentation = result.segmentation
        _, png = cv2.imencode(".png", enlarge_classes(segmentation))
        write_bytes(self._folder / (self._name_file(segmentation.frame) + ".png"), png.tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Every file is complete already; without one the run has never begun.
        drop_folders(self._made)


def enlarge_classes(segmentation: Segmentation) -> NDArray[np.uint8]:
    """Returns the classes at frame size, (H, W) uint8, with smooth outlines.

    Each class's confidence is enlarged bilinearly and the highest wins, as scores would be; enlarging the classes
    themselves would leave stairs of as many pixels as a cell of scores covers.
    """
    size_wh = segmentation.frame.size_wh
    # A confidence of 0 would leave its cell to another class.
    confidence = np.maximum(segmentation.confidence, 1)
    winner = highest = None
    for index in np.unique(segmentation.class_ids):
        scores = cv2.resize(np.where(segmentation.class_ids == index, confidence, np.uint8(0)), size_wh)
        here = np.full(scores.shape, index, dtype=np.uint8)
        if winner is None or highest is None:
            winner, highest = here, scores
        else:
            # A fifth of the time of winner[scores > highest] = index.
            cv2.copyTo(here, cv2.compare(scores, highest, cv2.CMP_GT), winner)
            cv2.max(scores, highest, highest)
    assert winner is not None, "a segmentation has at least one cell"
    return winner
