"""The cameras on a board's ribbon connector (CSI), through the program that each board has for them.

No program but the board's own reads them: they are no V4L2 cameras, and the OpenCV that pip installs has neither
libcamera nor GStreamer.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.sources.byte_pictures import RawPictures
from edgeseg.sources.camera import CameraMode
from edgeseg.sources.command import Command

#: What a camera is asked for when nobody says: every CSI camera has it.
SIZE_WH, FPS = (1280, 720), 30.0

#: The first is today's name, the second that of Raspberry Pi OS 11.
RASPBERRY_PROGRAMS = ("rpicam-vid", "libcamera-vid")
JETSON_PROGRAM = "gst-launch-1.0"
BOARD = Path("/proc/device-tree/model")


def parse_csi(uri: str, mode: CameraMode | None = None) -> tuple[str, Callable[[], Command]]:
    """Returns the name of the camera that `csi:` or `csi:NUMBER` means, and what tells how to read it on this board.

    Raises UsageError.
    """
    number = uri.removeprefix("csi:") or "0"
    if not (number.isdecimal() and len(number) < 3):
        raise UsageError(f"{uri}: is no CSI camera; write csi: or csi:1, its size is told apart")
    return f"csi:{int(number)}", partial(build_csi_command, int(number), mode or CameraMode())


def build_csi_command(camera: int, mode: CameraMode, board: Path = BOARD) -> Command:
    """Returns what reads a camera of this board. Raises SourceUnavailableError where nothing does.

    `board` holds the name that the device tree gives the board.
    """
    for program in RASPBERRY_PROGRAMS:
        if path := shutil.which(program):
            return _build_raspberry(path, camera, mode)
    try:
        model = board.read_text(encoding="utf-8", errors="replace").rstrip("\0\n")
    except OSError:
        model = ""
    if "NVIDIA" in model or "Jetson" in model:
        if path := shutil.which(JETSON_PROGRAM):
            return _build_jetson(path, camera, mode)
        raise SourceUnavailableError(
            f"csi:{camera}: {JETSON_PROGRAM} is missing; sudo apt install gstreamer1.0-tools nvidia-l4t-gstreamer"
        )
    if "Raspberry" in model:
        raise SourceUnavailableError(f"csi:{camera}: {RASPBERRY_PROGRAMS[0]} is missing; sudo apt install rpicam-apps")
    raise SourceUnavailableError(
        f"csi:{camera}: this is neither a Raspberry Pi with rpicam-vid nor a Jetson; "
        "for another board's camera give pipe:COMMAND"
    )


def _build_raspberry(program: str, camera: int, mode: CameraMode) -> Command:
    # MJPEG and not raw pictures: those have gaps between their rows at some widths, and the program does not say so.
    size, fps = mode.size_wh or SIZE_WH, mode.fps or FPS
    arguments = (
        *(program, "--nopreview", "--timeout", "0", "--verbose=0", "--codec", "mjpeg", "--flush"),
        *("--camera", str(camera), "--width", str(size[0]), "--height", str(size[1])),
        *("--framerate", f"{fps:g}", "--output", "-"),
    )
    return Command(arguments, fps=fps)


def _build_jetson(program: str, camera: int, mode: CameraMode) -> Command:
    size, fps = mode.size_wh or SIZE_WH, mode.fps or FPS
    rate = Fraction(fps).limit_denominator(1001)
    camera_caps = (
        f"video/x-raw(memory:NVMM),width={size[0]},height={size[1]},framerate={rate.numerator}/{rate.denominator}"
    )
    arguments = (
        *(program, "-q", "nvarguscamerasrc", f"sensor-id={camera}", "!", camera_caps),
        *("!", "nvvidconv", "!", "video/x-raw,format=NV12", "!", "fdsink", "sync=false", "fd={fd}"),
    )
    # nvarguscamerasrc talks on its standard output.
    return Command(arguments, partial(RawPictures, size, "nv12"), fps, apart=True)
