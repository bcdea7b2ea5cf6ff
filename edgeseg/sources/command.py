"""CommandSource: the pictures that another program writes to its standard output."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from edgeseg.errors import DataError, SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.redact import redact
from edgeseg.sources.byte_pictures import PIXEL_FORMATS, BytePictures, H264Pictures, JpegPictures, RawPictures
from edgeseg.sources.child import Child
from edgeseg.sources.picture_file import check_size
from edgeseg.sources.source import SourceSilentError

#: How long a program may take to its first picture: a camera's own set-up is part of it.
START_S = 9.0
#: And to each further one.
READ_S = 2.5
#: What a command is called is cut after so many signs.
NAME_SIGNS = 80
FORMS = "pipe:COMMAND for MJPEG, pipe:h264:COMMAND, or pipe:WIDTHxHEIGHT/FORMAT:COMMAND for raw pictures"
EXAMPLE = "pipe:rpicam-vid --codec mjpeg -t 0 -n -o -"

_PIPE = re.compile(
    r"pipe:(?:(?:(?P<size>\d{1,5}x\d{1,5})(?:@(?P<fps>\d{1,3}(?:\.\d+)?))?/(?P<format>\w+)|(?P<coded>mjpeg|h264)):)?"
    r"(?P<command>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and what it writes. `apart`: see Child."""

    arguments: tuple[str, ...]
    pictures: Callable[[], BytePictures] = JpegPictures
    fps: float | None = None
    apart: bool = False


class CommandSource:
    """Runs a program and gives the pictures it writes, each with the moment it was complete.

    Raises SourceUnavailableError when it cannot be run, ends (with its last words as the reason) or writes something
    else, SourceSilentError when it writes nothing.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, name: str, build: Callable[[], Command]) -> None:
        """`build` tells what to run; it is asked when the source is opened and may raise SourceUnavailableError."""
        self.name = name
        self.fps: float | None = None
        self._build = build
        self._child: Child | None = None
        self._pictures: BytePictures = JpegPictures()
        self._interrupted = False
        self._index = 0
        # When its last bytes came.
        self._came_ns = 0

    def __enter__(self) -> CommandSource:
        command = self._build()
        self._pictures = command.pictures()
        self.fps = command.fps
        self._came_ns = time.monotonic_ns()
        self._child = Child(self.name, command.arguments, apart=command.apart)
        if self._interrupted:
            self._child.wake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def read(self) -> Frame | None:
        child = self._child
        if child is None:
            return None
        limit_s = READ_S if self._index else START_S
        until = time.monotonic() + limit_s
        while True:
            try:
                data = child.read(until - time.monotonic())
            except TimeoutError:
                words = child.last_words()
                raise SourceSilentError(
                    f"{self.name}: has written no picture for {limit_s:g} s" + (f": {words}" if words else "")
                ) from None
            came_ns, self._came_ns = self._came_ns, time.monotonic_ns()
            if data is None:
                return None
            if not data:
                raise SourceUnavailableError(f"{self.name}: {child.explain_end()}")
            try:
                image = self._pictures.feed(data)
            except DataError as error:
                raise SourceUnavailableError(f"{self.name}: {error}; give {FORMS}") from error
            if image is not None:
                self._index += 1
                captured_ns = came_ns if self._pictures.held_back else self._came_ns
                return Frame(image, self._index - 1, captured_ns, self.name)

    def interrupt(self) -> None:
        self._interrupted = True
        if (child := self._child) is not None:
            child.wake()


def parse_pipe(uri: str) -> tuple[str, Callable[[], Command]]:
    """Returns the name of the source that `pipe:...` means, and what tells its command. Raises UsageError.

    `pipe:COMMAND` writes MJPEG, `pipe:h264:COMMAND` H.264, and `pipe:WIDTHxHEIGHT@FPS/FORMAT:COMMAND` raw pictures,
    whose @FPS may be left out. The command is split as a shell does, and run without one.
    """
    name = name_command(uri)
    match = _PIPE.fullmatch(uri)
    if match is None:
        raise UsageError(f"{name}: is no command; write for instance {EXAMPLE}")
    try:
        arguments = tuple(shlex.split(match["command"]))
    except ValueError as error:
        raise UsageError(f"{name}: {str(error).lower()}; quote it as for a shell") from error
    if not arguments:
        raise UsageError(f"{name}: names no command; write for instance {EXAMPLE}")
    if match["size"] is not None:
        command = _parse_raw(name, arguments, match)
    else:
        command = Command(arguments, H264Pictures if match["coded"] == "h264" else JpegPictures)
    return name, lambda: command


def _parse_raw(name: str, arguments: tuple[str, ...], match: re.Match[str]) -> Command:
    width, height = map(int, match["size"].split("x"))
    pixel_format = match["format"].lower()
    if pixel_format not in PIXEL_FORMATS:
        raise UsageError(f"{name}: unknown pixel format '{match['format']}'; give one of {', '.join(PIXEL_FORMATS)}")
    if not width or not height:
        raise UsageError(f"{name}: {match['size']} is no size; write for instance 1280x720")
    if PIXEL_FORMATS[pixel_format].pairs and (width % 2 or height % 2):
        raise UsageError(f"{name}: {pixel_format} has pixels in pairs; give an even width and height")
    try:
        check_size(name, width, height)
    except DataError as error:
        raise UsageError(str(error)) from error
    fps = float(match["fps"] or 0) or None
    return Command(arguments, partial(RawPictures, (width, height), pixel_format), fps)


def name_command(uri: str) -> str:
    """Returns what a command's source is called: its words without secrets, cut where they grow long."""
    name = redact(" ".join(uri.split()))
    return name if len(name) <= NAME_SIGNS else name[: NAME_SIGNS - 3] + "..."
