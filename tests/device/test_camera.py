"""A real V4L2 camera: EDGESEG_CAMERA names it (0 by default). On a machine without one, `modprobe vivid` makes one.

python -m pytest -m device tests/device
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from edgeseg.sources.camera import OLDEST_STAMP_NS, CameraMode, CameraSource, describe_cameras
from tests.edgeseg.program import count_frames, run_edgeseg

CAMERA = os.environ.get("EDGESEG_CAMERA", "0")

pytestmark = pytest.mark.device


@pytest.mark.parametrize("mode", [CameraMode(), CameraMode((640, 360), 15), CameraMode(pixel_format="YUYV")])
def test_pictures_come_in_order_each_with_its_own_moment(mode: CameraMode) -> None:
    with CameraSource(CAMERA, mode) as camera:
        frames = []
        for _ in range(10):
            frame = camera.read()
            assert frame is not None
            assert 0 <= time.monotonic_ns() - frame.captured_ns <= OLDEST_STAMP_NS
            frames.append(frame)
    assert [frame.index for frame in frames] == list(range(10))
    assert all(later.captured_ns > earlier.captured_ns for earlier, later in itertools.pairwise(frames))
    assert len({frame.size_wh for frame in frames}) == 1
    assert any((later.image != earlier.image).any() for earlier, later in itertools.pairwise(frames))


def test_it_is_listed() -> None:
    with CameraSource(CAMERA) as camera:
        assert Path(camera.name).resolve().name in describe_cameras()


def test_the_program_records_it(tmp_path: Path) -> None:
    result = run_edgeseg("run", CAMERA, "--duration", "20s", "--save", tmp_path / "out.mp4")
    assert result.returncode == 0, result.stderr
    assert count_frames(tmp_path / "out.mp4") > 0
