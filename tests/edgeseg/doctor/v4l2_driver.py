"""A V4L2 driver that answers ioctls from a description, bytes and all, as the kernel lays them out."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, field

# From videodev2.h, by hand: the code under test has its own reading of it.
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B


@dataclass
class Driver:
    """formats: {fourcc: {(width, height): [(numerator, denominator), ...]}}, or {fourcc: six numbers} for a range."""

    card: str = "HD Webcam"
    name: str = "uvcvideo"
    capabilities: int = 0x84A00001
    device_capabilities: int = 0x04200001
    buffer_type: int = 1
    formats: dict[str, dict[tuple[int, int], list[tuple[int, int]]] | tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, device: int, request: int, answer: bytearray) -> int:
        index, first, second, third = struct.unpack_from("=4I", answer)
        names = list(self.formats)
        if request == QUERYCAP:
            texts = (self.name.encode(), self.card.encode(), b"usb-0000:01:00.0-1.4")
            struct.pack_into("=16s32s32s3I", answer, 0, *texts, 0x060C00, self.capabilities, self.device_capabilities)
            return 0
        if request == ENUM_FMT:
            # struct v4l2_fmtdesc: index, type, flags, description[32], pixelformat
            if first != self.buffer_type or index >= len(names):
                raise OSError(errno.EINVAL, "Invalid argument")
            struct.pack_into("=I", answer, 44, int.from_bytes(names[index].encode(), "little"))
            return 0
        sizes = self.formats[first.to_bytes(4, "little").decode()]
        if request == ENUM_FRAMESIZES:
            # struct v4l2_frmsizeenum: index, pixel_format, type, a union
            if isinstance(sizes, tuple):
                if index:
                    raise OSError(errno.EINVAL, "Invalid argument")
                struct.pack_into("=7I", answer, 8, 3, *sizes)
            else:
                if index >= len(sizes):
                    raise OSError(errno.EINVAL, "Invalid argument")
                struct.pack_into("=3I", answer, 8, 1, *list(sizes)[index])
            return 0
        if request == ENUM_FRAMEINTERVALS:
            # struct v4l2_frmivalenum: index, pixel_format, width, height, type, a union
            assert isinstance(sizes, dict)
            intervals = sizes[second, third]
            if index >= len(intervals):
                raise OSError(errno.EINVAL, "Invalid argument")
            struct.pack_into("=3I", answer, 16, 1, *intervals[index])
            return 0
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")


WEBCAM = Driver(
    formats={
        "MJPG": {(1920, 1080): [(1, 30)], (1280, 720): [(1, 30), (1, 15)]},
        "YUYV": {(640, 480): [(1, 30)], (1280, 720): [(1, 10)]},
    }
)
