"""H.264: the encoder that this device has, and pictures as it wants them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Final, cast

import av
import av.error
import cv2
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgeseg.sinks.mp4 import TIME_BASE

logger = logging.getLogger(__name__)

#: H.264 level 5.2, the largest picture that browsers and boards decode; larger ones are reduced to fit (width, height).
LARGEST_WH = (4096, 2304)

#: The encoder that runs everywhere, and those of hardware, tried first: the Raspberry Pi up to the 4 has this one.
SOFTWARE: Final = "libx264"
HARDWARE = ("h264_v4l2m2m",)

#: Measured at 720p, CPU per frame as a multiple of `ultrafast` at the same CRF: superfast 2.0, veryfast 3.8; size in
#: kB a frame 37, 25 and 20. On two cores that also run the model the time is worth more than the bytes.
PRESET = "ultrafast"
CRF = 23

#: Threads share a picture instead of each having one of its own, and none is held back: the same CPU and bytes at this
#: preset, 4 MB less memory at 720p on two cores (more on four), and a picture is written when it comes.
TUNE = "zerolatency"
SOFTWARE_OPTIONS = {"preset": PRESET, "tune": TUNE, "crf": str(CRF)}

#: Hardware steers by a bit rate, not by a quality: so many bits for every pixel of a second of RATE pictures.
BITS_PER_PIXEL = 0.15
#: Steers the rate control only; the pictures' own times make the pace.
RATE = 25
#: Pictures from one that can be decoded by itself to the next.
GROUP = 50

#: ITU-T H.273 code of BT.601, the matrix that cv2 converts with. Untagged, players take BT.709 for HD: wrong colours.
BT601 = 6
LIMITED_RANGE = 1

#: How far the pictures that come back from a hardware encoder may be from those that went in, in grey levels: a coarse
#: picture is a few levels off, one whose rows were taken for longer than they are is off by tens.
PROBE_LIMIT = 16
PROBE_FRAMES = 8


class H264Encoder:
    """Encodes BGR pictures of any size at one size, without reordering them."""

    def __init__(self, name: str, width: int, height: int) -> None:
        """Opens the encoder `name`. Raises OSError or ValueError when this device has none of that name."""
        self.name, self.width, self.height = name, width, height
        self._codec = cast("VideoCodecContext", av.codec.CodecContext.create(name, "w"))
        configure(self._codec, name, width, height)
        with _as_os_error(name):
            self._codec.open()

    def encode(self, picture: NDArray[np.uint8], pts: int, *, keyframe: bool = False) -> list[Packet[VideoStream]]:
        """Takes a picture with its time in ticks of TIME_BASE; returns what is ready, Annex B. Raises OSError."""
        image = av.VideoFrame.from_ndarray(to_i420(picture, self.width, self.height), format="yuv420p")
        image.pts, image.time_base = pts, TIME_BASE
        if keyframe:
            image.pict_type = PictureType.I
        with _as_os_error(self.name):
            return self._codec.encode(image)

    def finish(self) -> list[Packet[VideoStream]]:
        """Returns what is left; the encoder takes no picture after that. Raises OSError."""
        with _as_os_error(self.name):
            return self._codec.encode(None)


@contextmanager
def _as_os_error(name: str) -> Iterator[None]:
    """Makes an OSError of whatever libav says: only some of its errors are one, a driver's often are not."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise OSError(f"{name}: {error}") from error


def configure(codec: VideoCodecContext, name: str, width: int, height: int) -> None:
    """Sets an encoder up before it is opened."""
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = TIME_BASE
    codec.framerate = Fraction(RATE)
    codec.gop_size = GROUP
    codec.colorspace = codec.color_primaries = codec.color_trc = BT601
    codec.color_range = LIMITED_RANGE
    if name == SOFTWARE:
        codec.options = dict(SOFTWARE_OPTIONS)
    else:
        codec.bit_rate = round(BITS_PER_PIXEL * RATE * width * height)


def choose_encoder(width: int, height: int, hardware: Sequence[str] = HARDWARE) -> str:
    """Returns the encoder for pictures of this size: one of hardware that gives pictures back, else the software one.

    Opening alone proves little: a driver may take pictures of a size it cannot do and give back nothing, or slanted
    stripes. So a few pictures go through it, and what comes out is decoded and compared.
    """
    for name in hardware:
        try:
            distance = _probe(name, width, height)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            logger.debug("%s: not used for %dx%d: %s", name, width, height, error)
            continue
        if distance <= PROBE_LIMIT:
            return name
        logger.warning(
            "%s: not used for %dx%d: its pictures come back wrong (by %.0f levels)", name, width, height, distance
        )
    return SOFTWARE


def _probe(name: str, width: int, height: int) -> float:
    """Returns how far pictures are, on average in grey levels, from what they were before this encoder had them."""
    ramp = np.linspace(32, 224, width, dtype=np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], height, axis=0), 3, axis=2)
    picture[height // 4 : height // 2, width // 4 : width // 2] = 255
    encoder = H264Encoder(name, width, height)
    packets = [packet for index in range(PROBE_FRAMES) for packet in encoder.encode(picture, index * 3600)]
    packets += encoder.finish()
    decoder = av.codec.CodecContext.create("h264", "r")
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    if not frames:
        return float("inf")
    seen = frames[-1].to_ndarray(format="bgr24")
    if seen.shape != picture.shape:
        return float("inf")
    return float(np.abs(seen.astype(np.int16) - picture).mean())


def even_size(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the (width, height) that a picture (H, W, 3) is encoded at."""
    height, width = picture.shape[:2]
    scale = min(1.0, LARGEST_WH[0] / width, LARGEST_WH[1] / height)
    if scale < 1.0:
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
    return width + width % 2, height + height % 2


def to_i420(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Returns BGR (H, W, 3) as planar 4:2:0 (height * 3 / 2, width); cv2 takes an eighth of swscale's time for it."""
    rows, columns = picture.shape[:2]
    if (columns + columns % 2, rows + rows % 2) != (width, height):
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    elif (columns, rows) != (width, height):
        border = (0, height - rows, 0, width - columns)
        picture = np.asarray(cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
