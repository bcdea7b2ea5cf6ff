"""Whatever a disk does, the run goes on, and the recording as soon as it can."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeseg.frame import Frame, Segmentation
from edgeseg.recording import archive as archive_module
from edgeseg.recording import take, writer
from edgeseg.recording.name import VIDEO
from edgeseg.recording.segment import Listing, list_archive
from edgeseg.sinks.sink import PassedOver, Result
from tests.edgeseg.program import count_frames, limit_file_size, mount_disk
from tests.edgeseg.recording.clocks import SECOND
from tests.edgeseg.recording.conftest import Open, Running
from tests.edgeseg.recording.waiting import wait_until

RNG = np.random.default_rng(1)
NOISE = [RNG.integers(0, 255, (256, 320, 3), np.uint8) for _ in range(5)]
KEYS = {"segment": "1s", "picture": "raw"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture is written when it comes, without a look at the next one."""
    monkeypatch.setattr(take, "HOLD_S", 0.0)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two megabytes."""
    monkeypatch.setattr(writer, "PROBE_BYTES", 2**16)
    with mount_disk(tmp_path / "disk", 2) as folder:
        yield folder


class Camera:
    """Writes noise, some 80 kB a picture and five a second, no faster than the disk takes it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._index = 0
        self.passed_over = 0

    def write(self, count: int) -> None:
        recorder = self._running.recorder
        cells = np.zeros((2, 2), np.uint8)
        for _ in range(count):
            frame = Frame(NOISE[self._index % 5], self._index, 1000 * SECOND + self._index * SECOND // 5, "noise")
            self._index += 1
            expected = recorder.status().pictures + recorder.status().lost + 1
            try:
                recorder.write(Result(Segmentation(frame, cells, cells), lambda it: it.frame.image.copy()))
            except PassedOver:
                self.passed_over += 1
            wait_until(lambda least=expected: recorder.status().pictures + recorder.status().lost >= least)

    def write_until(self, true: Callable[[], bool]) -> None:
        while not true():
            self.write(1)


def _fill(file: Path, leave: int = 0) -> None:
    """Takes all the room there is, or all but `leave` bytes."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as filler:
        stats = os.statvfs(file)
        for _ in range((stats.f_bavail * stats.f_frsize - leave) // 4096 + 1):
            filler.write(bytes(4096))


def _is_paused(running: Running) -> bool:
    return running.recorder.status().state == "paused"


def _pictures(running: Running) -> int:
    return sum(count_frames(it.path(VIDEO)) for it in running.archive.segments())


def test_the_oldest_segments_make_room(open_recorder: Open, disk: Path) -> None:
    with open_recorder(disk / "recordings", **KEYS) as running:
        Camera(running).write(5 * 10)
    numbers = [it.name.number for it in running.archive.segments()]
    assert numbers == list(range(numbers[0], 11))
    assert numbers[0] > 4
    status = running.recorder.status()
    assert (status.state, status.segments, status.pictures, status.lost) == ("recording", 10, 50, 0)
    assert status.deleted == numbers[0] - 1
    assert _pictures(running) == 5 * len(numbers)
    assert running.kinds().count("disk_full") == 1
    assert set(running.kinds()) == {"disk_full", "segment_deleted"}


def test_so_much_stays_free_for_others(open_recorder: Open, disk: Path) -> None:
    with open_recorder(disk / "recordings", **KEYS, keep={"free": "1MB"}) as running:
        Camera(running).write(5 * 6)
        running.archive.tidy()
        assert running.archive.free_bytes() >= 1_000_000
        assert not _is_paused(running)
    assert set(running.kinds()) == {"segment_deleted"}
    assert running.recorder.status().lost == 0


def test_a_disk_that_others_fill_pauses_it_until_there_is_room(open_recorder: Open, disk: Path) -> None:
    filler = disk / "filler"
    with open_recorder(disk / "recordings", **KEYS) as running:
        camera = Camera(running)
        camera.write(6)

        def crowd_out() -> bool:
            _fill(filler)
            return _is_paused(running)

        camera.write_until(crowd_out)
        assert "disk" in str(running.recorder.status().reason)
        _fill(filler)
        before = camera.passed_over
        camera.write(5)
        assert camera.passed_over == before + 5
        assert running.recorder.status().lost >= 5
        filler.unlink()
        wait_until(lambda: not _is_paused(running))
        recorded = running.recorder.status().pictures
        camera.write(10)
        assert running.recorder.status().pictures == recorded + 10
    assert running.kinds()[-1] == "recording_resumed"
    assert "disk_full" in running.kinds()
    assert count_frames(running.archive.segments()[-1].path(VIDEO)) == 5
    assert not list((disk / "recordings").glob("*.part"))


def test_a_disk_that_is_full_at_the_start(open_recorder: Open, disk: Path) -> None:
    filler = disk / "filler"
    with open_recorder(disk / "recordings", **KEYS, keep={"free": "1MB"}) as running:
        _fill(filler, leave=500_000)
        camera = Camera(running)
        camera.write_until(lambda: _is_paused(running))
        reason = "less than 1MB are free on the disk, and no segment is left to delete"
        assert running.recorder.status().reason == reason
        filler.unlink()
        wait_until(lambda: not _is_paused(running))
        camera.write(5)
    assert [event.text for event in running.events.recent() if event.kind == "disk_full"] == [
        f"recording paused: {disk / 'recordings'}: {reason}"
    ]


def test_what_a_refused_write_leaves_is_whole(
    open_recorder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another reason than a full disk costs no old segment; the recording pauses and tries again."""
    monkeypatch.setattr(writer, "PROBE_BYTES", 2**16)
    with open_recorder(segment="60s", picture="raw") as running:
        camera = Camera(running)
        with limit_file_size(300_000):
            camera.write_until(lambda: _is_paused(running))
            wait_until(running.archive.segments)
        wait_until(lambda: "recording_resumed" in running.kinds())
        camera.write(5)
    assert running.kinds()[:2] == ["recording_paused", "recording_resumed"]
    assert running.recorder.status().deleted == 0
    assert _pictures(running) == running.recorder.status().pictures
    assert list(tmp_path.rglob("*.part")) == []


def test_a_disk_that_takes_nothing_is_not_listed_again_and_again(
    open_recorder: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that failed is read-only for good; to list the files of a month every two seconds would end the view."""
    tries: list[None] = []
    listings: list[Path] = []
    with open_recorder(segment="60s", picture="raw") as running:
        restore = running.archive.restore

        def count_and_list(folder: Path) -> Listing:
            listings.append(folder)
            return list_archive(folder)

        monkeypatch.setattr(running.archive, "restore", lambda: tries.append(restore()))
        monkeypatch.setattr(archive_module, "list_archive", count_and_list)
        with limit_file_size(300_000):
            Camera(running).write_until(lambda: _is_paused(running))
            wait_until(lambda: len(tries) > 3)
            assert listings == []
        wait_until(lambda: "recording_resumed" in running.kinds())
        assert listings


def test_a_folder_that_is_deleted_is_made_again(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder(**KEYS) as running:
        camera = Camera(running)
        camera.write(5)
        shutil.rmtree(tmp_path / "recordings")
        camera.write_until(lambda: _is_paused(running))
        wait_until(lambda: not _is_paused(running))
        camera.write(10)
    assert len(list((tmp_path / "recordings").glob("*.mp4"))) >= 2


def test_nothing_is_recorded_where_a_disk_was(
    open_recorder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the place where it was mounted is the card of the system, which it would fill."""
    folder = tmp_path / "stick" / "recordings"
    with open_recorder(folder, **KEYS) as running:
        camera = Camera(running)
        camera.write(5)
        running.archive._device = -1
        folder.rename(tmp_path / "drawer")
        camera.write_until(lambda: _is_paused(running))
        tries: list[None] = []
        restore = running.archive.restore

        def count_and_restore() -> None:
            tries.append(None)
            restore()

        monkeypatch.setattr(running.archive, "restore", count_and_restore)
        wait_until(lambda: len(tries) > 3)
        assert not folder.exists()
        (tmp_path / "drawer").rename(folder)
        wait_until(lambda: not _is_paused(running))
        camera.write(5)
    assert _pictures(running) == running.recorder.status().pictures


def test_a_disk_that_goes_away_and_comes_back(open_recorder: Open, tmp_path: Path) -> None:
    """A stick that is pulled out: its folder is a file for a while, which no disk can do anything with."""
    folder = tmp_path / "stick" / "recordings"
    with open_recorder(folder, **KEYS) as running:
        camera = Camera(running)
        camera.write(10)
        (tmp_path / "stick").rename(tmp_path / "drawer")
        (tmp_path / "stick").write_text("nothing here")
        camera.write_until(lambda: _is_paused(running))
        assert "recording_paused" in running.kinds()
        (tmp_path / "stick").unlink()
        (tmp_path / "drawer").rename(tmp_path / "stick")
        camera.write_until(lambda: not _is_paused(running))
        camera.write(5)
    assert not list(folder.glob("*.part"))
    assert _pictures(running) == running.recorder.status().pictures


def test_a_disk_that_is_too_slow(open_recorder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it must not take the memory of the device."""
    with open_recorder(**KEYS) as running:
        camera = Camera(running)
        camera.write(5)
        monkeypatch.setattr(writer, "MOST_WAITING", -1)
        camera.write(1)
        assert running.recorder.status().reason == "the disk is too slow, 0 MB wait for it"
        monkeypatch.undo()
        wait_until(lambda: not _is_paused(running))
        monkeypatch.setattr(writer, "PERIOD_S", 0.02)
        camera.write(5)
    assert running.kinds() == ["recording_paused", "recording_resumed"]
    assert (running.recorder.status().pictures, running.recorder.status().lost) == (10, 1)
