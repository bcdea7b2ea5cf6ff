"""Where frames come from: cameras, video files, pictures, a drawn drive. `open_source` picks by what the user wrote."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import InputNotFoundError, UsageError, explain
from edgeseg.redact import redact
from edgeseg.sources.source import Signal, Source

if TYPE_CHECKING:
    from edgeseg.sources.attempt import Patience
    from edgeseg.sources.camera import CameraMode
    from edgeseg.sources.orientation import Orientation

__all__ = [
    "PICTURE_SUFFIXES",
    "SOURCE_HELP",
    "VIDEO_SUFFIXES",
    "Signal",
    "Source",
    "is_camera",
    "is_folder",
    "open_source",
]

SOURCE_HELP = (
    "a camera (0, /dev/v4l/by-id/..., csi:), a stream (rtsp://, http://, udp://), a video file, a picture or a folder "
    "of them, pipe:COMMAND or synthetic:1280x720@30"
)

#: What addresses without an end begin with; those of streams have "://" in them.
ENDLESS = ("synthetic:", "csi:", "pipe:")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
#: Which files of a folder are taken for videos. A file that is named is opened whatever it is called.
VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".ts",
    ".m2ts",
    ".mts",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".3gp",
)


def open_source(
    uri: str,
    *,
    live: bool,
    loop: bool = False,
    camera: CameraMode | None = None,
    pictures_fps: float | None = None,
    orientation: Orientation | None = None,
    signal: Signal | None = None,
    wait_for_it: bool = False,
    patience: Patience | None = None,
) -> Source:
    """Returns the source that `uri` names; entering it as a context opens it.

    `live` plays files at their own pace, frames stamped with the clock; without it they come as fast as they are read,
    stamped with their place in the file. `loop` begins files anew at their end. `pictures_fps` is for pictures, which
    have no pace of their own. `orientation` is how the camera is mounted.

    What can be lost (a camera, a stream, a command) is opened again whenever it is, with `patience`; `signal` hears of
    it. With `wait_for_it` it may be absent at the start too; without it that is an error when the source is opened.

    Raises UsageError for an address of no known kind, and for an endless one without `live`; InputNotFoundError for a
    file that may not even be looked for.
    """
    source = _open_endless(uri, camera, signal, wait_for_it, patience) if live else None
    if source is None:
        source = _open_file(uri, live, loop, pictures_fps)
    if orientation is None or orientation.is_upright:
        return source
    from edgeseg.sources.orientation import OrientedSource

    return OrientedSource(source, orientation)


def _open_endless(
    uri: str, camera: CameraMode | None, signal: Signal | None, wait_for_it: bool, patience: Patience | None
) -> Source | None:
    """Returns the source that `uri` names when it is one without an end, else None."""
    if uri.startswith("synthetic:"):
        from edgeseg.sources.synthetic import SyntheticSource

        return SyntheticSource(uri)
    if not is_endless(uri):
        return None
    from edgeseg.sources.reconnecting import ReconnectingSource

    wrap = partial(ReconnectingSource, signal=signal, wait_for_it=wait_for_it, patience=patience)
    if uri.startswith(("pipe:", "csi:")):
        from edgeseg.sources.command import CommandSource, parse_pipe
        from edgeseg.sources.csi import parse_csi

        called, build = parse_csi(uri, camera) if uri.startswith("csi:") else parse_pipe(uri)
        return wrap(lambda: CommandSource(called, build), name=called)
    if "://" in uri:
        from edgeseg.sources.network import NetworkSource
        from edgeseg.sources.stream_address import StreamAddress

        address = StreamAddress.parse(uri)
        return wrap(lambda: NetworkSource(address), name=address.name, is_there=address.is_there)
    from edgeseg.sources.camera import CameraSource
    from edgeseg.sources.camera_place import CameraPlace

    place = CameraPlace(uri)
    return wrap(lambda: CameraSource(place, camera), name=place.name, is_there=place.is_there)


def _open_file(uri: str, live: bool, loop: bool, pictures_fps: float | None) -> Source:
    if is_endless(uri):
        raise UsageError(f"{redact(uri)}: has no end; give a video file, a picture or a folder of pictures")
    if not uri:
        raise UsageError(f"'': no such kind of source; give {SOURCE_HELP}")
    path = Path(uri)
    if is_folder(path) or path.suffix.lower() in PICTURE_SUFFIXES:
        from edgeseg.sources.pictures import DEFAULT_FPS, PictureSource

        return PictureSource(path, live=live, loop=loop, fps=pictures_fps or DEFAULT_FPS)
    from edgeseg.sources.video import VideoFileSource

    return VideoFileSource(path, live=live, loop=loop)


def is_folder(path: Path) -> bool:
    """Returns whether `path` is a folder. Raises InputNotFoundError where nobody may look, or no file can be."""
    try:
        return path.is_dir()
    except OSError as error:
        raise InputNotFoundError(f"{path}: cannot be looked at: {explain(error)}; check the path") from error


def is_endless(uri: str) -> bool:
    """Returns whether `uri` names what goes on for ever: a camera, a stream, a command, the synthetic drive."""
    return uri.startswith(ENDLESS) or "://" in uri or is_camera(uri)


def is_camera(uri: str) -> bool:
    """Returns whether `uri` names a camera: a number, or a device that is one or would be."""
    if uri.isdecimal() or uri.startswith(("/dev/video", "/dev/v4l/")):
        return True
    try:
        return Path(uri).is_char_device()
    except OSError:
        # A name too long for any file, a folder that may not be looked into.
        return False
