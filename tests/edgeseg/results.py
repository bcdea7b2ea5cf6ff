"""Results of a made-up drive for the tests of sinks and page: a picture that moves, a road, a car, a person."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.overlay import draw_overlay
from edgeseg.sinks.sink import Result, Sink


def draw_scene(index: int, width: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns a BGR picture (height, width, 3) and its class ids at a quarter of the size; the car moves."""
    classes = np.zeros((max(1, height // 4), max(1, width // 4)), np.uint8)
    rows, columns = classes.shape
    road = np.array([[0, rows], [columns, rows], [columns * 5 // 8, rows // 2], [columns * 3 // 8, rows // 2]])
    cv2.fillPoly(classes, [road.astype(np.int32)], 1)
    left = columns * (index % 20) // 40
    cv2.rectangle(classes, (left, rows // 2), (left + columns // 5, rows * 3 // 4), 2, -1)
    cv2.rectangle(classes, (columns * 7 // 8, rows // 2), (columns * 15 // 16, rows * 7 // 8), 3, -1)
    grey = np.array([[200, 190, 180], [90, 90, 90], [60, 60, 140], [120, 150, 200]], np.uint8)
    picture = cv2.resize(grey[classes], (width, height), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(picture), classes


def make_result(
    index: int = 0, *, width: int = 320, height: int = 180, captured_ns: int | None = None, source: str = "drive"
) -> Result:
    """Returns one result; `captured_ns` is now when it is left out."""
    picture, classes = draw_scene(index, width, height)
    frame = Frame(picture, index, time.monotonic_ns() if captured_ns is None else captured_ns, source)
    scores = np.eye(4, dtype=np.float32)[classes] * 4
    segmentation = Segmentation(frame, classes, np.full_like(classes, 220), {"inference": 4.5}, scores=scores)
    return Result(segmentation, lambda it: draw_overlay(it.frame.image, it))


def make_drive(count: int, *, fps: float = 25.0, width: int = 320, height: int = 180) -> Iterator[Result]:
    """Yields `count` results whose capture times are a file's: 0, 1/fps, 2/fps seconds."""
    for index in range(count):
        yield make_result(index, width=width, height=height, captured_ns=round(index / fps * 1e9))


def write_all(sink: Sink, results: Iterable[Result]) -> None:
    """Opens a sink, writes every result and closes it."""
    with sink:
        for result in results:
            sink.write(result)


def list_names(folder: Path) -> list[str]:
    """Returns what lies in a folder, by name."""
    return sorted(path.name for path in folder.iterdir())
