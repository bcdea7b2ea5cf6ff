"""A real V4L2 camera: EDGESEG_CAMERA names it (0 by default). On a machine without one, `modprobe vivid` makes one.

    python -m pytest -m device tests/device

Unplugging it takes root and the driver vivid (`modprobe vivid n_devs=1 node_types=1`), whose cameras can be unplugged
by a word to the kernel.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeseg.sources import open_source
from edgeseg.sources.camera import OLDEST_STAMP_NS, CameraMode, CameraSource, describe_cameras
from edgeseg.sources.source import Source
from tests.edgeseg.program import count_frames, run_edgeseg

CAMERA = os.environ.get("EDGESEG_CAMERA", "0")
VIVID = Path("/sys/bus/platform/drivers/vivid")
LIMIT_S = 60

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


# What only a driver can do to its camera.


class Watcher:
    """Reads a camera as a run does and keeps what it is told of it."""

    def __init__(self, source: str) -> None:
        self.told: list[str] = []
        self.indices: list[int] = []
        self._changed = threading.Condition()
        self._source: Source = open_source(source, live=True, signal=self, wait_for_it=True)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.interrupt()
        self._thread.join(LIMIT_S)

    def lost(self, reason: str) -> None:
        self._tell(reason)

    def back(self) -> None:
        self._tell("back")

    def trying(self) -> None:
        pass

    def wait_for(self, *told: str) -> None:
        """Waits until the last things told begin with these words."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ends_with(told), LIMIT_S), self.told

    def _ends_with(self, told: tuple[str, ...]) -> bool:
        return len(self.told) >= len(told) and all(map(str.startswith, self.told[-len(told) :], told))

    def _tell(self, what: str) -> None:
        with self._changed:
            self.told.append(what)
            self._changed.notify_all()

    def _read(self) -> None:
        with self._source as source:
            for frame in iter(source.read, None):
                self.indices.append(frame.index)


def list_devices() -> set[Path]:
    return set(Path("/dev").glob("video*"))


@contextmanager
def unplugged() -> Iterator[None]:
    (VIVID / "unbind").write_text("vivid.0")
    try:
        yield
    finally:
        (VIVID / "bind").write_text("vivid.0")


@pytest.fixture
def vivid() -> Iterator[Path]:
    """The one device of the one camera that vivid has; it is plugged in again at the end."""
    if not VIVID.is_dir() or os.geteuid() != 0 or len(list_devices()) != 1:
        pytest.skip("needs root and: modprobe vivid n_devs=1 node_types=1")
    # So that it has the lowest number, and has it again.
    with unplugged():
        pass
    (device,) = list_devices()
    yield device
    if not (VIVID / "vivid.0").exists():
        (VIVID / "bind").write_text("vivid.0")


def test_it_comes_back_under_another_number(vivid: Path) -> None:
    with Watcher(str(vivid)) as watcher:
        watcher.wait_for("back")
        # Whoever still has the old device keeps its number taken.
        holder = os.open(vivid, os.O_RDONLY)
        try:
            with unplugged():
                watcher.wait_for(f"{vivid}: the camera")
            watcher.wait_for("back")
            (now,) = list_devices()
            assert now != vivid
            count = len(watcher.indices)
            time.sleep(1)
        finally:
            os.close(holder)
    assert len(watcher.indices) > count
    assert watcher.indices == sorted(set(watcher.indices))


def test_it_is_absent_at_the_start(vivid: Path) -> None:
    with unplugged():
        watcher = Watcher(str(vivid))
        watcher.__enter__()
        watcher.wait_for(f"{vivid}: no such camera")
    watcher.wait_for(f"{vivid}: no such camera", "back")
    watcher.__exit__()


def test_it_stalls(vivid: Path) -> None:
    def drop(percent: int) -> None:
        setting = f"percentage_of_dropped_buffers={percent}"
        subprocess.run(["v4l2-ctl", "-d", str(vivid), "-c", setting], check=True)

    with Watcher(str(vivid)) as watcher:
        watcher.wait_for("back")
        drop(100)
        try:
            watcher.wait_for(f"{vivid}: ")
        finally:
            drop(0)
        watcher.wait_for("back")
