"""Whether H.264 can be written, and how fast: recordings and viewers need it."""

from __future__ import annotations

import time

import numpy as np

from edgeseg.doctor.finding import Finding
from edgeseg.sinks.h264 import HARDWARE, SOFTWARE, H264Encoder, choose_encoder
from edgeseg.sinks.mp4 import TIME_BASE

SIZE_WH = (1280, 720)
FRAMES = 20


def check_encoder() -> list[Finding]:
    """Opens the encoder that a run would take and encodes a few 720p pictures of a moving ramp with it."""
    width, height = SIZE_WH
    try:
        name = choose_encoder(width, height)
        milliseconds, size = _encode(name, width, height)
    except (OSError, ValueError) as error:
        return [
            Finding(
                "encoder",
                "problem",
                f"no H.264 encoder can be opened: {' '.join(str(error).split())}",
                "run: python -m pip install --force-reinstall av",
            )
        ]
    kind = "hardware" if name in HARDWARE else "software"
    return [
        Finding(
            "encoder",
            "ok",
            f"H.264 by {name} ({kind}): {milliseconds:.1f} ms a picture of {width}x{height}",
            details={"encoder": name, "hardware": name != SOFTWARE, "ms": milliseconds, "bytes": size},
        )
    ]


def _encode(name: str, width: int, height: int) -> tuple[float, int]:
    """Returns milliseconds of wall time a picture and the bytes of all."""
    encoder = H264Encoder(name, width, height)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    step = round(1 / TIME_BASE / 25)
    begun = time.perf_counter()
    packets = []
    for index in range(FRAMES):
        packets += encoder.encode(np.roll(picture, index * 8, axis=1), index * step)
    packets += encoder.finish()
    if not packets:
        raise ValueError(f"{name} takes pictures and gives nothing back")
    return (time.perf_counter() - begun) * 1e3 / FRAMES, sum(packet.size for packet in packets)
