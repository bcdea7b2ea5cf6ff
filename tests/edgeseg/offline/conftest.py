"""A place to work in and a drive to work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.sinks.video import VideoSink
from tests.edgeseg.offline.jobs import Workplace
from tests.edgeseg.results import make_drive, write_all


@pytest.fixture
def work(tiny_model: Path, tmp_path: Path) -> Workplace:
    return Workplace(tiny_model, tmp_path)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A video of 100 frames in which the tiny model sees road, a vehicle that moves and a person."""
    path = tmp_path / "drive.mp4"
    write_all(VideoSink(path), make_drive(100, width=192, height=128))
    return path
