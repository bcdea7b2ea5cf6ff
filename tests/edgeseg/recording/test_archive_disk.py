"""A disk that refuses, hangs, is full or is gone costs the archive nothing else."""

from __future__ import annotations

import errno
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.recording import archive as archive_module
from edgeseg.recording.marks import Marks
from edgeseg.recording.name import Start
from edgeseg.recording.segment import Listing, list_archive
from tests.edgeseg.program import mount_disk
from tests.edgeseg.recording.archives import NOON, Opener, numbers_of, put_segment
from tests.edgeseg.recording.clocks import FakeClock


def test_one_that_cannot_be_deleted_does_not_stop_the_others(tmp_path: Path, opener: Opener) -> None:
    names = [put_segment(tmp_path, number, NOON, 1000) for number in range(1, 4)]
    stuck = tmp_path / f"{names[0]}.mp4"
    if subprocess.run(["chattr", "+i", str(stuck)], capture_output=True, check=False).returncode:
        stuck.unlink()
        stuck.mkdir()
    try:
        archive, _ = opener(tmp_path, size=1500)
        archive.tidy()
        assert numbers_of(archive) == [1, 3]
        archive.tidy()
        assert numbers_of(archive) == [1]
        assert stuck.exists()
    finally:
        subprocess.run(["chattr", "-i", str(stuck)], capture_output=True, check=False)


def test_what_could_not_be_deleted_can_be_when_the_disk_is_back(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_segment(tmp_path, 1, NOON, 1000)
    archive, _ = opener(tmp_path, size=1)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "unlink", refuse)
    while archive.make_room():
        assert numbers_of(archive) == [1]
    monkeypatch.undo()
    archive.repair()
    assert archive.make_room()
    assert numbers_of(archive) == []


def test_one_that_cannot_be_renamed_does_not_stop_the_others(tmp_path: Path, opener: Opener) -> None:
    """A recording that somebody protects against changes must not end all others."""
    clock = FakeClock(since_boot_s=1000)
    names = [put_segment(tmp_path, number, Start(None, clock.boot_id, 800 + 60 * number)) for number in (1, 2)]
    archive, events = opener(tmp_path, clock)
    # A folder of this name refuses as a file that may not be changed does.
    (tmp_path / "00000001_20261121T115740Z.mp4" / "in the way").mkdir(parents=True)
    clock.set_wall(NOON, right=True)
    assert archive.tend() is None
    assert [str(it.name) for it in archive.segments()] == [names[0], "00000002_20261121T115840Z"]
    assert all(path.exists() for it in archive.segments() for path in it.paths())
    assert [event.text for event in events.recent()] == ["the time is known: 1 segment got it into their names"]


def test_a_disk_that_takes_no_change_stays_the_trouble(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_segment(tmp_path, 1, NOON, 1000)
    archive, _ = opener(tmp_path, size=1)

    def refuse(doomed: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(archive, "_delete", refuse)
    archive.end(archive.begin(0).number)
    assert [type(archive.tend()) for _ in range(3)] == [OSError] * 3
    monkeypatch.undo()
    assert archive.tend() is None
    assert numbers_of(archive) == []


def test_a_disk_without_enough_room_is_told_of(tmp_path: Path, opener: Opener) -> None:
    archive, _ = opener(tmp_path, free=10**18)
    assert not archive.tidy()
    assert archive.tend() == "less than 1000000TB are free on the disk, and no segment is left to delete"
    assert archive.trouble == archive.tend()
    archive, _ = opener(tmp_path / "other", free=1)
    assert archive.tidy()


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path, opener: Opener) -> None:
    folder = tmp_path / "recordings"
    archive, _ = opener(folder)
    put_segment(folder, 1, NOON)
    shutil.rmtree(folder)
    assert isinstance(archive.tend(), FileNotFoundError)
    archive.restore()
    archive.repair()
    assert archive.segments() == []
    assert archive.tend() is None
    with pytest.raises(SinkUnavailableError, match="another run"):
        opener(folder)


def test_the_folder_of_a_disk_that_is_gone_is_not_made_on_another(tmp_path: Path, opener: Opener) -> None:
    """What would be recorded there fills the card of the system, and is hidden when the disk is back."""
    with mount_disk(tmp_path / "disk", 2) as disk:
        archive, _ = opener(disk / "recordings")
        archive.folder = tmp_path / "recordings"
        with pytest.raises(FileNotFoundError):
            archive.restore()
    assert not (tmp_path / "recordings").exists()


def test_the_place_where_a_disk_was_mounted_is_not_recorded_into(tmp_path: Path, opener: Opener) -> None:
    """systemd unmounts a disk that is pulled out; below is an empty folder on the card of the system."""
    archive, _ = opener(tmp_path)
    # As if it had been mounted there, and then another one.
    archive._device = -1
    (tmp_path / ".edgeseg.lock").rename(tmp_path / "elsewhere")
    trouble = archive.tend()
    assert isinstance(trouble, OSError)
    assert trouble.errno == errno.ENODEV
    with pytest.raises(OSError, match="its disk is not there"):
        archive.restore()
    (tmp_path / "elsewhere").rename(tmp_path / ".edgeseg.lock")
    archive.restore()
    assert archive.tend() is None
    with pytest.raises(SinkUnavailableError, match="another run"):
        opener(tmp_path)


def test_a_disk_that_hangs_at_the_end_is_left_behind(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archive_module, "CLOSE_LIMIT_S", 0.05)
    archive, _ = opener(tmp_path)
    hanging, go_on = threading.Event(), threading.Event()

    def hang(folder: Path) -> Listing:
        hanging.set()
        go_on.wait()
        return list_archive(folder)

    monkeypatch.setattr(archive_module, "list_archive", hang)
    thread = threading.Thread(target=archive.repair)
    thread.start()
    try:
        hanging.wait()
        opener.close(archive)
        assert "the disk has not answered" in caplog.text
        with pytest.raises(SinkUnavailableError, match="another run"):
            opener(tmp_path)
    finally:
        go_on.set()
        thread.join()
        # As the end of the program would.
        archive._held.release()


def test_an_event_that_cannot_be_noted_does_not_end_the_run(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, events = opener(tmp_path)

    def refuse(self: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    def refuse_all() -> bool:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Marks, "note", refuse)
    monkeypatch.setattr(archive, "make_room", refuse_all)
    assert isinstance(archive.tend(), OSError)
    archive.mark((tmp_path, 1), events.add("person_in_path", "somebody"))
    opener.close(archive)
    opener(tmp_path)
