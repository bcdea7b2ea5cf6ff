"""PictureSink: the overlay of every frame as a picture file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import cv2

from edgeseg.frame import Frame
from edgeseg.sinks.files import prepare_folder, write_bytes
from edgeseg.sinks.sink import Result

#: High enough that the edges of the classes stay clean.
JPEG_QUALITY = 92


class PictureSink:
    """Writes one JPEG a frame; `name_file` gives a frame's file name, without its suffix."""

    lossless = True

    def __init__(self, folder: Path, name_file: Callable[[Frame], str]) -> None:
        self.name = str(folder)
        self._folder = folder
        self._name_file = name_file

    def __enter__(self) -> PictureSink:
        prepare_folder(self._folder)
        return self

    def write(self, result: Result) -> None:
        """Writes one picture. Raises SinkUnavailableError when the disk is full; the pictures before stay whole."""
        _, jpeg = cv2.imencode(".jpg", result.overlay(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        write_bytes(self._folder / (self._name_file(result.segmentation.frame) + ".jpg"), jpeg.tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every file is complete already."""
