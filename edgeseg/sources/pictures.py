"""PictureSource: a picture file, or the pictures of a folder in the order of their names."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

from edgeseg.errors import InputNotFoundError, explain
from edgeseg.frame import Frame
from edgeseg.labels import read_image
from edgeseg.sources import PICTURE_SUFFIXES
from edgeseg.sources.pace import Pace

#: Pictures a second when a folder is played live and nobody says how fast: quick enough to look like a drive.
DEFAULT_FPS = 10.0


class PictureSource:
    """Shows pictures at `fps` a second when live, as fast as they are read otherwise; once, or in a loop.

    Every frame carries the path of its own picture as its source. Opening raises InputNotFoundError; `read()` raises
    DataError, which names the file, for a picture that is damaged or too large.
    """

    def __init__(self, path: Path, *, live: bool, loop: bool = False, fps: float = DEFAULT_FPS) -> None:
        self.name = str(path)
        self.live = live
        self.fps: float | None = fps
        self.frame_count: int | None = None
        self._path = path
        self._loop = loop
        self._step_ns = round(1e9 / fps)
        self._pace = Pace(live=live)
        self._paths: list[Path] = []
        self._index = 0

    def __enter__(self) -> PictureSource:
        if not self._path.exists():
            raise InputNotFoundError(f"{self._path}: no such picture; check the path")
        self._paths = list_pictures(self._path) if self._path.is_dir() else [self._path]
        self.frame_count = None if self._loop else len(self._paths)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._paths = []

    def read(self) -> Frame | None:
        if self._index >= len(self._paths) and not self._loop:
            return None
        path = self._paths[self._index % len(self._paths)]
        image = read_image(path)
        captured_ns = self._pace.wait_until(self._index * self._step_ns)
        if captured_ns is None:
            return None
        self._index += 1
        return Frame(image, self._index - 1, captured_ns, str(path))

    def interrupt(self) -> None:
        self._pace.interrupt()


def list_pictures(folder: Path) -> list[Path]:
    """Returns the pictures right inside a folder, frame2 before frame10. Raises InputNotFoundError when it has none."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    except OSError as error:
        raise InputNotFoundError(f"{folder}: cannot be read: {explain(error)}") from error
    if not paths:
        raise InputNotFoundError(f"{folder}: holds no pictures ({', '.join(PICTURE_SUFFIXES)}); give their folder")
    return sorted(paths, key=lambda path: _by_number(path.name))


def _by_number(name: str) -> list[tuple[int, str]]:
    """A key that sorts the numbers in names by value: text pieces as (0, text), numbers as (value, "")."""
    return [(int(piece), "") if piece.isdecimal() else (0, piece) for piece in re.split(r"(\d+)", name)]
