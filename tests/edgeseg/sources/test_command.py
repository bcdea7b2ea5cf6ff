"""CommandSource: the pictures of real programs, and what becomes of one that ends, hangs or writes something else."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources import open_source
from edgeseg.sources.command import CommandSource, name_command, parse_pipe
from tests.edgeseg.program import assert_one_error, run_edgeseg
from tests.fakes import nothing

#: Red as GStreamer draws it, in the order of our pixels.
RED = (0, 0, 255)


def command_of(uri: str) -> CommandSource:
    return CommandSource(*parse_pipe(uri))


def take(source: CommandSource, count: int) -> list[Frame]:
    frames = [source.read() for _ in range(count)]
    assert all(frames)
    return [frame for frame in frames if frame]


def read_to_the_end(uri: str) -> None:
    with command_of(uri) as source:
        while source.read() is not None:
            nothing()


@pytest.mark.server
@pytest.mark.parametrize(
    ("form", "caps", "encode", "fps"),
    [
        ("", "video/x-raw,width=320,height=240", "jpegenc", None),
        ("mjpeg:", "video/x-raw,width=320,height=240", "jpegenc", None),
        ("320x240@30/bgr24:", "video/x-raw,format=BGR,width=320,height=240", "identity", 30.0),
        ("320x240/nv12:", "video/x-raw,format=NV12,width=320,height=240", "identity", None),
        ("h264:", "video/x-raw,width=320,height=240", "x264enc tune=zerolatency", None),
    ],
)
def test_the_pictures_of_gstreamer(form: str, caps: str, encode: str, fps: float | None) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here: run tests/install-servers")
    # No video/x-h264 caps: its byte stream is what x264enc gives when nobody asks for anything else.
    tail = " ! video/x-h264,stream-format=byte-stream" if form == "h264:" else ""
    uri = f"pipe:{form}gst-launch-1.0 -q videotestsrc is-live=true pattern=red ! {caps} ! {encode}{tail} ! fdsink"
    before_ns = time.monotonic_ns()
    with command_of(uri) as source:
        frames = take(source, 5)
        assert source.fps == fps
    after_ns = time.monotonic_ns()
    assert [frame.index for frame in frames] == list(range(5))
    times_ns = [before_ns, *(frame.captured_ns for frame in frames), after_ns]
    assert times_ns == sorted(times_ns)
    for frame in frames:
        assert frame.size_wh == (320, 240)
        assert np.abs(frame.image.mean(axis=(0, 1)) - RED).max() < 20


@pytest.mark.server
def test_what_gstreamer_complains_of_is_the_reason() -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 here: run tests/install-servers")
    with pytest.raises(SourceUnavailableError, match=r'has ended with exit code 1: .* no element "nosuchsource"'):
        read_to_the_end("pipe:gst-launch-1.0 -q nosuchsource ! fdsink")


def test_a_command_that_cannot_be_run_ends_the_program_in_one_line() -> None:
    assert_one_error(
        run_edgeseg("run", "pipe:rpicam-vidd -o -"), 69, "pipe:rpicam-vidd -o -: rpicam-vidd: no such program"
    )


def test_one_that_writes_something_else() -> None:
    with pytest.raises(
        SourceUnavailableError,
        match=r"^pipe:yes: what it writes are no JPEG pictures; give pipe:COMMAND for MJPEG, pipe:h264:",
    ):
        read_to_the_end("pipe:yes")


def test_one_that_ends_is_started_again() -> None:
    # Two raw pictures, and it is over.
    uri = "pipe:4x2/gray8:head -c 16 /dev/zero"
    with open_source(uri, live=True) as source:
        indices = [frame.index for frame in (source.read() for _ in range(3)) if frame]
    assert indices == sorted(set(indices))
    assert len(indices) == 3


def test_interrupting_it_ends_the_wait_whenever_it_comes() -> None:
    source = command_of("pipe:sleep 1000")
    source.interrupt()
    with source:
        assert source.read() is None
    assert source.read() is None


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("pipe:", "names no command"),
        ("pipe:  ", "names no command"),
        ("pipe:mjpeg:", "names no command"),
        ('pipe:cat "a', "no closing quotation"),
        ("pipe:64x48/bgr48:cat", "unknown pixel format 'bgr48'; give one of bgr24, rgb24"),
        ("pipe:0x48/bgr24:cat", "0x48 is no size"),
        ("pipe:63x48/yuyv:cat", "yuyv has pixels in pairs"),
        ("pipe:64x47/i420:cat", "i420 has pixels in pairs"),
        ("pipe:99999x99999/bgr24:cat", "99999x99999 is too large"),
    ],
)
def test_what_cannot_be_followed(uri: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_pipe(uri)


def test_a_command_is_split_as_a_shell_does_and_run_without_one() -> None:
    _, build = parse_pipe("pipe:cam --name 'front door' $HOME; rm -rf x | y")
    assert build().arguments == ("cam", "--name", "front door", "$HOME;", "rm", "-rf", "x", "|", "y")


def test_its_name_is_short_and_holds_no_secret() -> None:
    assert name_command("pipe:cam  --password hunter2\n-o -") == "pipe:cam --password *** -o -"
    name = name_command("pipe:gst-launch-1.0 rtspsrc location=rtsp://admin:hunter2@cam/ ! " + "identity ! " * 20)
    assert name.startswith("pipe:gst-launch-1.0 rtspsrc location=rtsp://***@cam/ ! identity")
    assert len(name) == 80
