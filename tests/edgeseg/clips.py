"""Real video files for tests, made by the same encoder library that users' tools use."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray


def numbered_picture(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A BGR picture whose grey level tells its number below 28 (`number_of`), with a white corner in the upper left."""
    picture = np.full((height, width, 3), 16 + 8 * (index % 28), np.uint8)
    cv2.rectangle(picture, (0, 0), (width // 4, height // 4), (255, 255, 255), -1)
    return picture


def number_of(picture: NDArray[np.uint8]) -> int:
    """The number that a numbered picture shows, whatever compression did to it."""
    height, width = picture.shape[:2]
    return round((float(picture[height // 2 : height * 3 // 4, width // 2 : width * 3 // 4].mean()) - 16) / 8)


def write_clip(
    path: Path,
    frames: int = 10,
    *,
    width: int = 64,
    height: int = 48,
    fps: int = 25,
    container: str | None = None,
    times_ms: list[int] | None = None,
    sound: bool = False,
    video: bool = True,
    faststart: bool = False,
) -> Path:
    """Writes `frames` numbered pictures as H.264, at `fps` or at `times_ms`, with a tone beside them if asked."""
    # An AVI has no times, only a rate.
    tick = Fraction(1, fps) if container == "avi" else Fraction(1, 1000)
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", format=container, options=options) as target:
        if video:
            stream = target.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = tick
        if sound:
            tone = target.add_stream("aac", rate=16_000)
            tone.layout = "mono"
        if video:
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(numbered_picture(index, width, height), format="bgr24")
                frame.pts = round(Fraction(times_ms[index], 1000) / tick) if times_ms else round(index / fps / tick)
                frame.time_base = tick
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        if sound:
            samples = np.zeros((1, 16_000), np.float32)
            block = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            block.sample_rate, block.pts = 16_000, 0
            target.mux(tone.encode(block))
            target.mux(tone.encode(None))
    return path


def turn_clip(path: Path, degrees: int) -> None:
    """Makes an mp4 ask its player to turn it clockwise, as a phone held upright does, by its track header's matrix."""
    one = 1 << 16
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    # Version 0 of `tkhd`: 40 bytes from its name to the matrix.
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
    path.write_bytes(data)
