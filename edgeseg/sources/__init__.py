"""Where frames come from: cameras, video files, pictures, a drawn drive. `open_source` picks by what the user wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import UsageError
from edgeseg.sources.source import Source

if TYPE_CHECKING:
    from edgeseg.sources.camera import CameraMode

__all__ = ["PICTURE_SUFFIXES", "SOURCE_HELP", "VIDEO_SUFFIXES", "Source", "is_camera", "open_source"]

SOURCE_HELP = "a camera (0, /dev/video0), a video file, a picture or a folder of them, or synthetic:1280x720@30"

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
) -> Source:
    """Returns the source that `uri` names; entering it as a context opens it.

    `live` plays files at their own pace, frames stamped with the clock; without it they come as fast as they are read,
    stamped with their place in the file. `loop` begins files anew at their end. `pictures_fps` is for pictures, which
    have no pace of their own. Raises UsageError for an address of no known kind, and for an endless one without
    `live`.
    """
    if uri.startswith("synthetic:") or is_camera(uri):
        if not live:
            raise UsageError(f"{uri}: has no end; give a video file, a picture or a folder of pictures")
        if is_camera(uri):
            from edgeseg.sources.camera import CameraSource

            return CameraSource(uri, camera)
        from edgeseg.sources.synthetic import SyntheticSource

        return SyntheticSource(uri)
    scheme, is_url, _ = uri.partition("://")
    if is_url or not uri:
        # What follows the scheme may hold a password.
        raise UsageError(f"{scheme + '://...' if is_url else repr(uri)}: no such kind of source; give {SOURCE_HELP}")
    path = Path(uri)
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        from edgeseg.sources.pictures import DEFAULT_FPS, PictureSource

        return PictureSource(path, live=live, loop=loop, fps=pictures_fps or DEFAULT_FPS)
    from edgeseg.sources.video import VideoFileSource

    return VideoFileSource(path, live=live, loop=loop)


def is_camera(uri: str) -> bool:
    """Returns whether `uri` names a camera: a number, or a device that is one or would be."""
    return uri.isdecimal() or uri.startswith(("/dev/video", "/dev/v4l/")) or Path(uri).is_char_device()
