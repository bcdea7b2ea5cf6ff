"""What a V4L2 camera says of itself and of what it can give, asked by ioctl: no tool has to be installed.

The structures are those of the kernel's videodev2.h; they hold 32-bit numbers only and are the same on every machine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Ioctl = Callable[[int, int, bytearray], Any]

CAPABILITY = struct.Struct("=16s32s32s3I12x")
FORMAT = struct.Struct("=3I32s2I12x")
FRAME_SIZE = struct.Struct("=3I6I8x")
FRAME_INTERVAL = struct.Struct("=5I6I8x")

# _IOR and _IOWR of the kernel's ioctl.h, as they are on ARM and x86.
_READ, _WRITE = 2, 1


def _request(direction: int, number: int, layout: struct.Struct) -> int:
    return direction << 30 | layout.size << 16 | ord("V") << 8 | number


QUERY_CAPABILITY = _request(_READ, 0, CAPABILITY)
ENUMERATE_FORMATS = _request(_READ | _WRITE, 2, FORMAT)
ENUMERATE_FRAME_SIZES = _request(_READ | _WRITE, 74, FRAME_SIZE)
ENUMERATE_FRAME_INTERVALS = _request(_READ | _WRITE, 75, FRAME_INTERVAL)

CAN_CAPTURE = 0x1
CAN_CAPTURE_PLANES = 0x1000
HAS_DEVICE_CAPABILITIES = 0x80000000
#: By capability: the type of buffer whose formats are asked for.
BUFFER_TYPES = {CAN_CAPTURE: 1, CAN_CAPTURE_PLANES: 9}

DISCRETE = 1
#: No driver lists as many of anything; one that does not end is broken.
MOST = 256


@dataclass(frozen=True, slots=True)
class PictureSize:
    """A size a camera can give, with its rates, the fastest first; or a range of sizes, up to `largest_wh`."""

    width: int
    height: int
    fps: tuple[float, ...] = ()
    largest_wh: tuple[int, int] | None = None

    def holds(self, width: int, height: int) -> bool:
        """Whether that size is this one, or in the range."""
        if self.largest_wh is None:
            return (width, height) == (self.width, self.height)
        return self.width <= width <= self.largest_wh[0] and self.height <= height <= self.largest_wh[1]

    def __str__(self) -> str:
        text = f"{self.width}x{self.height}"
        if self.largest_wh is not None:
            text += f" to {self.largest_wh[0]}x{self.largest_wh[1]}"
        return text + (f"@{self.fps[0]:g}" if self.fps else "")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A pixel format by its four letters, with the sizes there are in it."""

    name: str
    sizes: tuple[PictureSize, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A video device. Without formats it is no camera: metadata, an encoder, a radio."""

    path: Path
    card: str
    driver: str
    bus: str
    captures: bool
    formats: tuple[PixelFormat, ...] = ()


def query_camera(path: Path, ioctl: Ioctl = fcntl.ioctl) -> CameraInfo:
    """Asks the device at `path`. Raises OSError when it cannot be opened or is no video device."""
    # Without waiting, and for reading only: this disturbs nobody who has it.
    device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(CAPABILITY.size)
        ioctl(device, QUERY_CAPABILITY, answer)
        driver, card, bus, _, capabilities, device_capabilities = CAPABILITY.unpack(answer)
        if capabilities & HAS_DEVICE_CAPABILITIES:
            # What this node can do, not what the whole device can.
            capabilities = device_capabilities
        formats: list[PixelFormat] = []
        for capability, kind in BUFFER_TYPES.items():
            if capabilities & capability:
                formats += _formats(device, kind, ioctl)
        captures = bool(capabilities & (CAN_CAPTURE | CAN_CAPTURE_PLANES))
        return CameraInfo(path, _text(card), _text(driver), _text(bus), captures, tuple(formats))
    finally:
        os.close(device)


def _formats(device: int, kind: int, ioctl: Ioctl) -> Iterator[PixelFormat]:
    for answer in _enumerate(device, ENUMERATE_FORMATS, FORMAT, ioctl, (kind, 0, b"", 0, 0)):
        fourcc = answer[4]
        name = fourcc.to_bytes(4, "little").decode("ascii", errors="replace").strip()
        yield PixelFormat(name, tuple(_sizes(device, fourcc, ioctl)))


def _sizes(device: int, fourcc: int, ioctl: Ioctl) -> Iterator[PictureSize]:
    for answer in _enumerate(device, ENUMERATE_FRAME_SIZES, FRAME_SIZE, ioctl, (fourcc, 0, *[0] * 6)):
        _, _, kind, *numbers = answer
        if kind == DISCRETE:
            width, height, *_ = numbers
            yield PictureSize(width, height, _rates(device, fourcc, width, height, ioctl))
        else:
            # Stepwise or continuous: one answer for all.
            width, largest_width, _, height, largest_height, _ = numbers
            yield PictureSize(width, height, largest_wh=(largest_width, largest_height))
            return


def _rates(device: int, fourcc: int, width: int, height: int, ioctl: Ioctl) -> tuple[float, ...]:
    rates = []
    fields = (fourcc, width, height, 0, *[0] * 6)
    for answer in _enumerate(device, ENUMERATE_FRAME_INTERVALS, FRAME_INTERVAL, ioctl, fields):
        numerator, denominator = answer[5], answer[6]
        if numerator and denominator:
            rates.append(round(denominator / numerator, 2))
        if answer[4] != DISCRETE:
            break
    return tuple(sorted(set(rates), reverse=True))


def _enumerate(
    device: int, request: int, layout: struct.Struct, ioctl: Ioctl, fields: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    """Yields the answers for index 0, 1 and so on, until the driver knows no more."""
    for index in range(MOST):
        answer = bytearray(layout.pack(index, *fields))
        try:
            ioctl(device, request, answer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield layout.unpack(answer)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", errors="replace")
