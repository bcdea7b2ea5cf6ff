"""The cameras of a board: the right program with the right arguments, on a Raspberry Pi, a Jetson and anything else."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources import open_source
from edgeseg.sources.camera import CameraMode
from edgeseg.sources.command import CommandSource, parse_pipe
from edgeseg.sources.csi import build_csi_command, parse_csi
from tests.edgeseg.clips import number_of

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = Path(__file__).with_name("rpicam_vid.py")


def install(folder: Path, name: str, script: str) -> Path:
    """Puts a program into a folder of programs."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for programs before any other; there is no rpicam-vid in it yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def raspberry(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Raspberry Pi with a camera; the file with the arguments that its program was given."""
    monkeypatch.setenv("RPICAM_LOG", str(tmp_path / "arguments"))
    install(programs, "rpicam-vid", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" "{STAND_IN}" "$@"')
    return tmp_path / "arguments"


def board(tmp_path: Path, model: str) -> Path:
    path = tmp_path / "model"
    path.write_bytes(model.encode() + b"\0")
    return path


def take(source: CommandSource, count: int) -> list[Frame]:
    frames = [source.read() for _ in range(count)]
    assert all(frames)
    return [frame for frame in frames if frame]


def test_a_raspberry_pi(raspberry: Path) -> None:
    mode = CameraMode((320, 240), 50)
    with CommandSource(*parse_csi("csi:", mode)) as source:
        frames = take(source, 5)
        assert (source.name, source.fps) == ("csi:0", 50)
    numbers = [number_of(frame.image) for frame in frames]
    # Whoever is late gets the newest.
    assert numbers == sorted(set(numbers))
    assert frames[0].size_wh == (320, 240)
    assert "--timeout\n0" in raspberry.read_text()


def test_a_raspberry_pi_whose_camera_is_not_there(raspberry: Path) -> None:
    source = open_source("csi:1", live=True)
    with pytest.raises(SourceUnavailableError) as raised:
        source.__enter__()
    assert str(raised.value) == "csi:1: has ended with exit code 1: ERROR: *** no cameras available ***"


def test_the_h264_of_a_raspberry_pi(raspberry: Path) -> None:
    uri = "pipe:h264:rpicam-vid -n -t 0 --inline --flush --width 320 --height 240 -o -"
    with CommandSource(*parse_pipe(uri)) as source:
        numbers = [number_of(frame.image) for frame in take(source, 5)]
    assert numbers == sorted(set(numbers))


def test_older_systems_have_another_name_for_it(programs: Path) -> None:
    old = install(programs, "libcamera-vid", "exit 0")
    assert build_csi_command(0, CameraMode()).arguments[0] == str(old)
    new = install(programs, "rpicam-vid", "exit 0")
    command = build_csi_command(2, CameraMode())
    assert command.arguments[0] == str(new)
    text = " ".join(command.arguments)
    assert "--camera 2 --width 1280 --height 720 --framerate 30 " in text


@pytest.mark.server
def test_a_jetson(programs: Path, tmp_path: Path) -> None:
    real = shutil.which("gst-launch-1.0")
    if real is None:
        pytest.skip("no gst-launch-1.0 here: run tests/install-servers")
    # GStreamer itself, with a drawn picture in place of what only a Jetson has, and as talkative on its output.
    swap = "; ".join(
        (
            "s/nvarguscamerasrc/videotestsrc is-live=true pattern=red/",
            "s/sensor-id=1//",
            "s/(memory:NVMM)//",
            "s/nvvidconv/videoconvert/",
        )
    )
    install(
        programs,
        "gst-launch-1.0",
        f'echo "GST_ARGUS: Creating output stream"\nexec "{real}" $(echo "$@" | sed "{swap}")',
    )
    model = board(tmp_path, "NVIDIA Jetson Orin Nano Developer Kit")
    mode = CameraMode((320, 240), 29.97)
    with CommandSource("csi:1", lambda: build_csi_command(1, mode, model)) as source:
        frames = take(source, 3)
        assert source.fps == 29.97
    for frame in frames:
        assert frame.size_wh == (320, 240)
        assert abs(frame.image.mean(axis=(0, 1)) - (0, 0, 255)).max() < 20


def test_the_arguments_on_a_jetson(programs: Path, tmp_path: Path) -> None:
    program = install(programs, "gst-launch-1.0", "exit 0")
    command = build_csi_command(1, CameraMode(fps=29.97), board(tmp_path, "NVIDIA Jetson Nano"))
    assert command.arguments[:4] == (str(program), "-q", "nvarguscamerasrc", "sensor-id=1")
    assert "video/x-raw(memory:NVMM),width=1280,height=720,framerate=2997/100" in command.arguments
    assert command.arguments[-1] == "fd={fd}"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "csi:0: rpicam-vid is missing; sudo apt install rpicam-apps"),
        ("NVIDIA Jetson Orin Nano", "csi:0: gst-launch-1.0 is missing"),
        ("Pine64 RockPro64", "this is neither a Raspberry Pi with rpicam-vid nor a Jetson"),
    ],
)
def test_a_board_without_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, said: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceUnavailableError, match=said):
        build_csi_command(0, CameraMode(), board(tmp_path, model))
    with pytest.raises(SourceUnavailableError, match="neither a Raspberry Pi"):
        build_csi_command(0, CameraMode(), tmp_path / "no such file")


@pytest.mark.parametrize("uri", ["csi:front", "csi:-1", "csi:0:1280x720", "csi:1000"])
def test_what_is_no_camera(uri: str) -> None:
    with pytest.raises(UsageError, match="is no CSI camera"):
        parse_csi(uri)


def test_the_names() -> None:
    assert [parse_csi(uri)[0] for uri in ("csi:", "csi:0", "csi:01")] == ["csi:0", "csi:0", "csi:1"]
