"""open_source: which source a user gets for what was written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.errors import InputNotFoundError, UsageError
from edgeseg.sources import is_camera, open_source
from edgeseg.sources.camera import CameraMode
from edgeseg.sources.pictures import PictureSource
from edgeseg.sources.reconnecting import ReconnectingSource
from edgeseg.sources.synthetic import SyntheticSource
from edgeseg.sources.video import VideoFileSource
from tests.edgeseg.program import environment


def test_each_kind(tmp_path: Path) -> None:
    assert isinstance(open_source("synthetic:64x64", live=True), SyntheticSource)
    assert isinstance(open_source(str(tmp_path), live=True), PictureSource)
    assert isinstance(open_source("a/b.PNG", live=True), PictureSource)
    assert isinstance(open_source("a/b.mp4", live=True), VideoFileSource)
    assert isinstance(open_source("a/b", live=False), VideoFileSource)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("0", "/dev/video0"),
        ("/dev/video7", "/dev/video7"),
        ("/dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam"),
        ("rtsp://admin:hunter2@cam/live", "rtsp://***@cam/live"),
        ("udp://@:5000", "udp://@:5000"),
        ("http://cam/v.mjpg?token=abc", "http://cam/v.mjpg?token=***"),
        ("csi:", "csi:0"),
        ("pipe:cam -o -", "pipe:cam -o -"),
        ("pipe:" + "x" * 5000, "pipe:" + "x" * 72 + "..."),
    ],
)
def test_what_can_be_lost_is_opened_again_and_named_without_secrets(uri: str, name: str) -> None:
    source = open_source(uri, live=True, camera=CameraMode(fps=15))
    assert isinstance(source, ReconnectingSource)
    assert source.name == name
    assert source.live


def test_files_are_live_only_when_asked() -> None:
    assert open_source("a.mp4", live=True).live
    assert not open_source("a.mp4", live=False).live
    assert not open_source("a.png", live=False).live


def test_the_rate_of_pictures_is_passed_on() -> None:
    assert open_source("a.png", live=True, pictures_fps=3).fps == 3


@pytest.mark.parametrize("uri", ["0", "synthetic:", "csi:", "pipe:cam", "rtsp://admin:hunter2@cam/live"])
def test_what_has_no_end_must_be_live(uri: str) -> None:
    with pytest.raises(UsageError, match="has no end") as raised:
        open_source(uri, live=False)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_kind_is_refused_and_its_password_kept() -> None:
    with pytest.raises(UsageError, match=r"gopher://\.\.\.: no such kind of source") as raised:
        open_source("gopher://admin:hunter2@cam/stream", live=True)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(UsageError, match="''"):
        open_source("", live=True)


def test_a_file_in_dev_shm_is_no_camera(tmp_path: Path) -> None:
    assert is_camera("12")
    assert is_camera("/dev/v4l/by-id/usb-046d_HD")
    assert is_camera("/dev/null")
    assert not is_camera("/dev/shm/clip.mp4")
    assert not is_camera("12.mp4")


def test_a_name_that_no_file_can_have_is_told_in_one_line() -> None:
    with pytest.raises(InputNotFoundError, match="cannot be looked at: file name too long"):
        open_source("x" * 5000, live=True)


def test_what_this_user_may_not_look_into_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    script = (
        "import pathlib, sys; from edgeseg.offline.plan import plan_items; from edgeseg.sources import open_source;"
        "file = pathlib.Path(sys.argv[1]); print(*plan_items([file], file.parent.parent / 'out').errors);"
        "open_source(str(file), live=True)"
    )
    # Root may look everywhere, unless it does without that right.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    file = tmp_path / "closed" / "x.mp4"
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    line = f"{file}: cannot be looked at: permission denied; check the path"
    assert (done.stdout.strip(), done.stderr.splitlines()[-1]) == (
        line,
        f"edgeseg.errors.InputNotFoundError: {line}",
    )
