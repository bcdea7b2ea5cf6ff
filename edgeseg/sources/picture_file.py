"""What can be told of a picture file before it is decoded: whether it is whole, and whether it is too large."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import DataError

#: 64 megapixels, twice 8K: with its overlay a picture of that size takes 400 MB, all that a 1 GB board can give.
LARGEST_PIXELS = 64 * 2**20

_PNG = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers; C4, C8 and CC lie between them and mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def check_size(name: str, width: int, height: int) -> None:
    """Raises DataError for a picture that would not fit in a small board's memory."""
    if width * height > LARGEST_PIXELS:
        raise DataError(
            f"{name}: {width}x{height} is too large, {width * height / 1e6:.0f} megapixels where "
            f"{LARGEST_PIXELS / 1e6:.0f} are the limit; scale it down first"
        )


def check_picture_file(path: Path) -> None:
    """Raises DataError for a picture file that is too large or cut off, as far as can be told without decoding it."""
    if size := read_size(path):
        check_size(str(path), *size)
    if _is_cut_png(path):
        raise DataError(f"{path}: the picture is cut off; copy the file again")


def read_size(path: Path) -> tuple[int, int] | None:
    """Returns (width, height) from the header of a PNG, JPEG or BMP file, None when it is none of them or damaged."""
    try:
        with path.open("rb") as file:
            start = file.read(26)
            if start[:8] == _PNG:
                return struct.unpack(">II", start[16:24])
            if start[:2] == b"BM":
                width, height = struct.unpack("<ii", start[18:26])
                return abs(width), abs(height)
            if start[:2] == b"\xff\xd8":
                return _jpeg_size(file)
    except (OSError, struct.error):
        pass
    return None


def _is_cut_png(path: Path) -> bool:
    # Of all formats only libpng would tell the user itself, on stderr, beside our own message.
    try:
        with path.open("rb") as file:
            if file.read(8) != _PNG:
                return False
            file.seek(0, 2)
            file.seek(max(8, file.tell() - 4096))
            return b"IEND" not in file.read()
    except OSError:
        return False


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    position = 2
    while True:
        file.seek(position)
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return None
        if kind in _JPEG_FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        position += 2 + length
