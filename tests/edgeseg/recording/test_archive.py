"""The archive knows what lies there, in order, and touches nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Events
from edgeseg.recording import archive as archive_module
from edgeseg.recording import keeper
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.marks import Marks
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.segment import Listing, Segment, list_archive
from tests.edgeseg.program import mount_disk
from tests.edgeseg.recording.clocks import SECOND, FakeClock
from tests.edgeseg.recording.samples import write_video
from tests.edgeseg.recording.waiting import wait_until
from tests.edgeseg.results import list_names

NOON = 1_795_262_400.0


def _put(folder: Path, number: int, start: Start | float, size: int = 100) -> str:
    """Writes a closed segment, or what looks like one."""
    start = start if isinstance(start, Start) else Start(start)
    folder.mkdir(exist_ok=True)
    name = str(SegmentName(number, start))
    (folder / f"{name}.mp4").write_bytes(bytes(size - 10))
    (folder / f"{name}.jsonl").write_bytes(bytes(10))
    return name


class Opener:
    """Opens archives for a test, and closes at its end those that the test leaves open."""

    def __init__(self) -> None:
        self._left: list[Archive] = []

    def __call__(self, folder: Path, clock: FakeClock | None = None, **limits: float) -> tuple[Archive, Events]:
        events = Events()
        keep = KeepConfig.model_construct(**{"age": None, "size": None, "free": 0, "events": (), **limits})
        archive = Archive(folder, keep, events=events, clock=clock or FakeClock())
        archive.open()
        self._left.append(archive)
        return archive, events

    def close(self, archive: Archive) -> None:
        archive.close()
        self._left.remove(archive)

    def close_all(self) -> None:
        for archive in self._left:
            archive.close()


@pytest.fixture
def opener() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close_all()


def _numbers(archive: Archive) -> list[int]:
    return [it.name.number for it in archive.segments()]


def _kinds(events: Events) -> list[str]:
    return [event.kind for event in events.recent()]


def test_numbers_go_on_across_runs_and_cameras(tmp_path: Path, opener: Opener) -> None:
    _put(tmp_path / "front", 7, NOON)
    _put(tmp_path / "rear", 9, NOON)
    archive, _ = opener(tmp_path)
    assert _numbers(archive) == [7, 9]
    assert [archive.begin(0).number for _ in range(2)] == [10, 11]


def test_another_run_is_refused(tmp_path: Path, opener: Opener) -> None:
    first, _ = opener(tmp_path)
    with pytest.raises(SinkUnavailableError, match="another run records there; end it or choose another folder"):
        opener(tmp_path)
    opener.close(first)
    second, _ = opener(tmp_path)
    opener.close(second)


def test_recorders_of_one_run_share_it(tmp_path: Path, opener: Opener) -> None:
    archive, _ = opener(tmp_path)
    archive.open()
    archive.close()
    with pytest.raises(SinkUnavailableError):
        opener(tmp_path)
    opener.close(archive)
    opener(tmp_path)


def test_what_was_cut_off_is_repaired_and_said(tmp_path: Path, opener: Opener) -> None:
    stem = str(SegmentName(3, Start(NOON)))
    ends = write_video(tmp_path / f"{stem}.mp4.part")
    os.truncate(tmp_path / f"{stem}.mp4.part", ends[2] + 7)
    (tmp_path / f"{stem}.jsonl.part").write_bytes(b'{"index": 0}\n{"ind')
    archive, events = opener(tmp_path)
    assert _numbers(archive) == [3]
    assert sorted(archive.segments()[0].sizes) == [".jsonl", ".mp4"]
    [event] = events.recent()
    assert (event.kind, event.level) == ("recording_repaired", "warning")
    assert event.text == (
        "a recording was cut off: 0.4 s of its last segments are kept, 12 bytes that were not whole are dropped"
    )
    assert event.details["files"] == [f"{stem}.jsonl", f"{stem}.mp4"]
    assert archive.repaired == 2


def test_what_is_being_written_is_not_repaired(tmp_path: Path, opener: Opener) -> None:
    archive, events = opener(tmp_path)
    name = archive.begin(0)
    part = tmp_path / f"{name}.jsonl.part"
    part.write_bytes(b'{"ind')
    archive.repair()
    assert part.exists()
    archive.end(name.number)
    archive.repair()
    assert not part.exists()
    assert _kinds(events) == ["recording_repaired"]


def test_over_the_size_the_oldest_go_first_in_one_event(tmp_path: Path, opener: Opener) -> None:
    """The order is that of the numbers: the calendar was wrong when the first ones were recorded."""
    for number, day in enumerate([30, 29, 1, 2, 3], 1):
        _put(tmp_path, number, NOON + day * 86_400, 1000)
    archive, events = opener(tmp_path, size=2500)
    assert archive.tidy()
    assert _numbers(archive) == [4, 5]
    assert len(list_names(tmp_path)) == 4 + 1
    [event] = events.recent()
    assert event.kind == "segment_deleted"
    assert event.text == "3 segments deleted (3 over the size), 0.0 MB"
    assert (event.details["count"], event.details["bytes"]) == (3, 3000)
    assert (archive.deleted.total(), archive.deleted_bytes) == (3, 3000)


def test_the_size_is_that_of_all_cameras_and_of_what_is_open(tmp_path: Path, opener: Opener) -> None:
    for number, camera in enumerate(["front", "rear", "front", "rear"], 1):
        _put(tmp_path / camera, number, NOON, 1000)
    archive, _ = opener(tmp_path, size=4000)
    archive.tidy()
    assert _numbers(archive) == [1, 2, 3, 4]
    number = archive.begin(0).number
    archive.grow(number, 1500)
    archive.tidy()
    assert _numbers(archive) == [3, 4]
    archive.end(number)


def test_what_somebody_else_deleted_is_not_counted(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "LOOK_AGAIN_S", 0.0)
    names = [_put(tmp_path, number, NOON, 1000) for number in range(1, 6)]
    archive, _ = opener(tmp_path, size=3500)
    for suffix in (".mp4", ".jsonl"):
        (tmp_path / f"{names[4]}{suffix}").unlink()
        (tmp_path / f"{names[3]}{suffix}").unlink()
    archive.tidy()
    assert _numbers(archive) == [1, 2, 3]


def test_nothing_but_segments_is_ever_touched(tmp_path: Path, opener: Opener) -> None:
    others = ["holiday.mp4", "notes.txt", "00000001_20261121T120000Z.mp4.bak", "1.part"]
    for name in others:
        (tmp_path / name).write_bytes(bytes(1000))
    (tmp_path / "deeper" / "still").mkdir(parents=True)
    _put(tmp_path / "deeper" / "still", 1, NOON)
    _put(tmp_path, 2, NOON)
    archive, _ = opener(tmp_path, size=1)
    archive.tidy()
    assert not archive.make_room()
    assert list_names(tmp_path) == sorted([".edgeseg.lock", "deeper", *others])
    assert len(list_names(tmp_path / "deeper" / "still")) == 2


def test_a_full_disk_costs_the_oldest_and_those_that_events_keep_last(tmp_path: Path, opener: Opener) -> None:
    for number in range(1, 7):
        _put(tmp_path, number, NOON)
    archive, events = opener(tmp_path)
    archive.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    gone = []
    while archive.make_room():
        gone += sorted({1, 2, 3, 4, 5, 6} - set(_numbers(archive)) - set(gone))
    assert gone == [4, 5, 6, 1, 2, 3]
    assert list_names(tmp_path) == [".edgeseg.lock"]


def test_one_that_cannot_be_deleted_does_not_stop_the_others(tmp_path: Path, opener: Opener) -> None:
    names = [_put(tmp_path, number, NOON, 1000) for number in range(1, 4)]
    stuck = tmp_path / f"{names[0]}.mp4"
    if subprocess.run(["chattr", "+i", str(stuck)], capture_output=True, check=False).returncode:
        stuck.unlink()
        stuck.mkdir()
    try:
        archive, _ = opener(tmp_path, size=1500)
        archive.tidy()
        assert _numbers(archive) == [1, 3]
        archive.tidy()
        assert _numbers(archive) == [1]
        assert stuck.exists()
    finally:
        subprocess.run(["chattr", "-i", str(stuck)], capture_output=True, check=False)


def test_what_could_not_be_deleted_can_be_when_the_disk_is_back(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(tmp_path, 1, NOON, 1000)
    archive, _ = opener(tmp_path, size=1)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "unlink", refuse)
    while archive.make_room():
        assert _numbers(archive) == [1]
    monkeypatch.undo()
    archive.repair()
    assert archive.make_room()
    assert _numbers(archive) == []


def test_too_old_goes_by_the_calendar(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    for number, age_s in enumerate([500, 300, 100], 1):
        _put(tmp_path, number, NOON - age_s)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert _numbers(archive) == [3]


@pytest.mark.parametrize("wall_s", [0.0, NOON + 10**9])
def test_a_clock_that_nobody_keeps_right_deletes_nothing(tmp_path: Path, wall_s: float, opener: Opener) -> None:
    clock = FakeClock(wall_s=wall_s)
    _put(tmp_path, 1, NOON - 10**6)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    clock.set_wall(NOON + 10**8)
    archive.tidy()
    assert _numbers(archive) == [1]


def test_a_jump_of_a_clock_that_was_right_deletes_nothing(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    _put(tmp_path, 1, NOON - 100)
    archive, _ = opener(tmp_path, clock, age=200.0)
    for right in (False, True):
        clock.set_wall(NOON + 10**8, right=right)
        archive.tidy()
        assert _numbers(archive) == [1]
    clock.advance(150)
    archive.tidy()
    assert _numbers(archive) == []


def test_segments_of_this_start_age_without_a_calendar(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000)
    _put(tmp_path, 1, Start(None, clock.boot_id, 700))
    _put(tmp_path, 2, Start(None, "ffffffff", 5))
    _put(tmp_path, 3, Start(None, clock.boot_id, 900))
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert _numbers(archive) == [2, 3], "an unknown start may be just before the 900 s"


def test_names_get_the_time_once_it_is_known(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000)
    _put(tmp_path, 1, Start(None, "ffffffff", 5))
    _put(tmp_path, 2, Start(None, clock.boot_id, 940))
    archive, events = opener(tmp_path, clock)
    archive.tidy()
    name = archive.begin(clock.boot_ns())
    assert str(name) == "00000003_boot-1a2b3c4d-000001000s"
    clock.set_wall(NOON, right=True)
    archive.tidy()
    assert list_names(tmp_path) == [
        ".edgeseg.lock",
        "00000001_boot-ffffffff-000000005s.jsonl",
        "00000001_boot-ffffffff-000000005s.mp4",
        "00000002_20261121T115900Z.jsonl",
        "00000002_20261121T115900Z.mp4",
    ]
    assert [event.text for event in events.recent()] == ["the time is known: 1 segment got it into their names"]
    sizes = {".mp4": 5}
    closed = SegmentName(name.number, archive.start_of(1000 * SECOND))
    archive.end(name.number, Segment(tmp_path, closed, sizes, 1000 * SECOND))
    assert str(archive.segments()[-1].name) == "00000003_20261121T120000Z"


def test_one_that_cannot_be_renamed_does_not_stop_the_others(tmp_path: Path, opener: Opener) -> None:
    """A recording that somebody protects against changes must not end all others."""
    clock = FakeClock(since_boot_s=1000)
    names = [_put(tmp_path, number, Start(None, clock.boot_id, 800 + 60 * number)) for number in (1, 2)]
    archive, events = opener(tmp_path, clock)
    # A folder of this name refuses as a file that may not be changed does.
    (tmp_path / "00000001_20261121T115740Z.mp4" / "in the way").mkdir(parents=True)
    clock.set_wall(NOON, right=True)
    assert archive.tend() is None
    assert [str(it.name) for it in archive.segments()] == [names[0], "00000002_20261121T115840Z"]
    assert all(path.exists() for it in archive.segments() for path in it.paths())
    assert [event.text for event in events.recent()] == ["the time is known: 1 segment got it into their names"]


def test_names_are_filled_in_by_the_next_run_of_the_same_start(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000, wall_s=NOON)
    clock.right = True
    _put(tmp_path, 2, Start(None, clock.boot_id, 940))
    archive, _ = opener(tmp_path, clock)
    assert [str(it.name) for it in archive.segments()] == ["00000002_20261121T115900Z"]


def test_kept_minutes_survive_a_restart_and_their_age(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    for number in range(1, 6):
        _put(tmp_path, number, NOON - 1000)
    first, events = opener(tmp_path, clock)
    first.mark((tmp_path, 3), events.add("person_in_path", "somebody"))
    opener.close(first)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert _numbers(archive) == [2, 3, 4]


def test_an_event_whose_recording_is_gone_keeps_nothing(tmp_path: Path, opener: Opener) -> None:
    """Its neighbours would stay for ever otherwise, whatever the age that was asked for."""
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    names = [_put(tmp_path, number, NOON - 1000) for number in range(1, 4)]
    first, events = opener(tmp_path, clock)
    first.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    opener.close(first)
    for suffix in (".mp4", ".jsonl"):
        (tmp_path / f"{names[1]}{suffix}").unlink()
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert _numbers(archive) == []
    assert list_names(tmp_path) == [".edgeseg.lock"]


def test_a_new_limit_is_reached_bit_by_bit(tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that deletes thousands of files at once has no time for what is being recorded."""
    monkeypatch.setattr(archive_module, "BATCH", 2)
    for number in range(1, 7):
        _put(tmp_path, number, NOON, 1000)
    archive, events = opener(tmp_path, size=1000)
    for left in ([3, 4, 5, 6], [5, 6], [6], [6]):
        archive.tidy()
        assert _numbers(archive) == left
    assert _kinds(events) == ["segment_deleted"] * 3


def test_what_is_being_closed_while_the_disk_is_looked_at_is_not_lost(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = opener(tmp_path)
    name = archive.begin(0)
    listings: list[Listing] = []

    def list_and_close(folder: Path) -> Listing:
        listings.append(list_archive(folder))
        if len(listings) == 1:
            archive.end(name.number, Segment(tmp_path, name, {".mp4": 5}, 0))
        return listings[-1]

    monkeypatch.setattr(archive_module, "list_archive", list_and_close)
    archive.repair()
    assert _numbers(archive) == [name.number]


def test_the_thread_of_the_archive_does_it_by_itself(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "TEND_S", 0.01)
    for number in range(1, 4):
        _put(tmp_path, number, NOON, 1000)
    archive, events = opener(tmp_path, size=2000)
    wait_until(lambda: _numbers(archive) == [2, 3])
    archive.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    wait_until((tmp_path / "00000002.keep").exists)


def test_the_segments_are_gone_through_only_when_that_can_change_something(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every five seconds it would cost a board with the files of a month a tenth of its time."""
    monkeypatch.setattr(keeper, "TEND_S", 3600.0)
    clock = FakeClock(wall_s=NOON)
    archive, events = opener(tmp_path, clock, size=1000)
    wait_until(lambda: archive.tend() is None and not archive._has_work())
    count = 0
    tidy = archive.tidy

    def count_and_tidy() -> bool:
        nonlocal count
        count += 1
        return tidy()

    monkeypatch.setattr(archive, "tidy", count_and_tidy)
    monkeypatch.setattr(archive._keeper, "wake", lambda: None)
    archive.tend()
    archive.mark((tmp_path, 1), events.add("person_in_path", "somebody"))
    archive.tend()
    assert count == 0
    assert (tmp_path / "00000001.keep").exists()
    archive.end(archive.begin(0).number)
    archive.tend()
    archive.tend()
    assert count == 1
    clock.set_wall(NOON, right=True)
    archive.tend()
    archive.tend()
    assert count == 2
    monkeypatch.setattr(archive_module, "GO_THROUGH_S", 0.0)
    archive.tend()
    assert count == 3


def test_a_disk_that_takes_no_change_stays_the_trouble(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(tmp_path, 1, NOON, 1000)
    archive, _ = opener(tmp_path, size=1)

    def refuse(doomed: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(archive, "_delete", refuse)
    archive.end(archive.begin(0).number)
    assert [type(archive.tend()) for _ in range(3)] == [OSError] * 3
    monkeypatch.undo()
    assert archive.tend() is None
    assert _numbers(archive) == []


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
    _put(folder, 1, NOON)
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


def test_what_is_closed_while_parts_are_looked_for_is_no_orphan(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive, events = opener(tmp_path)
    name = archive.begin(0)
    part = tmp_path / f"{name}.mp4.part"
    part.write_bytes(b"being written")

    def list_and_close(folder: Path) -> Listing:
        listing = list_archive(folder)
        if part.exists():
            part.rename(tmp_path / f"{name}.mp4")
            archive.end(name.number, Segment(tmp_path, name, {".mp4": 13}, 0))
        return listing

    monkeypatch.setattr(archive_module, "list_archive", list_and_close)
    archive.repair()
    assert caplog.text == ""
    assert _kinds(events) == []
    assert _numbers(archive) == [name.number]
