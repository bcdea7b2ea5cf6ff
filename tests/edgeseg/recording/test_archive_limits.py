"""What the archive deletes, in which order, and what it never touches."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.recording import archive as archive_module
from edgeseg.recording import keeper
from edgeseg.recording.name import Start
from tests.edgeseg.recording.archives import NOON, Opener, kinds_of, numbers_of, put_segment
from tests.edgeseg.recording.clocks import FakeClock
from tests.edgeseg.recording.waiting import wait_until
from tests.edgeseg.results import list_names


def test_over_the_size_the_oldest_go_first_in_one_event(tmp_path: Path, opener: Opener) -> None:
    """The order is that of the numbers: the calendar was wrong when the first ones were recorded."""
    for number, day in enumerate([30, 29, 1, 2, 3], 1):
        put_segment(tmp_path, number, NOON + day * 86_400, 1000)
    archive, events = opener(tmp_path, size=2500)
    assert archive.tidy()
    assert numbers_of(archive) == [4, 5]
    assert len(list_names(tmp_path)) == 4 + 1
    [event] = events.recent()
    assert event.kind == "segment_deleted"
    assert event.text == "3 segments deleted (3 over the size), 0.0 MB"
    assert (event.details["count"], event.details["bytes"]) == (3, 3000)
    assert (archive.deleted.total(), archive.deleted_bytes) == (3, 3000)


def test_the_size_is_that_of_all_cameras_and_of_what_is_open(tmp_path: Path, opener: Opener) -> None:
    for number, camera in enumerate(["front", "rear", "front", "rear"], 1):
        put_segment(tmp_path / camera, number, NOON, 1000)
    archive, _ = opener(tmp_path, size=4000)
    archive.tidy()
    assert numbers_of(archive) == [1, 2, 3, 4]
    number = archive.begin(0).number
    archive.grow(number, 1500)
    archive.tidy()
    assert numbers_of(archive) == [3, 4]
    archive.end(number)


def test_what_somebody_else_deleted_is_not_counted(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "LOOK_AGAIN_S", 0.0)
    names = [put_segment(tmp_path, number, NOON, 1000) for number in range(1, 6)]
    archive, _ = opener(tmp_path, size=3500)
    for suffix in (".mp4", ".jsonl"):
        (tmp_path / f"{names[4]}{suffix}").unlink()
        (tmp_path / f"{names[3]}{suffix}").unlink()
    archive.tidy()
    assert numbers_of(archive) == [1, 2, 3]


def test_nothing_but_segments_is_ever_touched(tmp_path: Path, opener: Opener) -> None:
    others = ["holiday.mp4", "notes.txt", "00000001_20261121T120000Z.mp4.bak", "1.part"]
    for name in others:
        (tmp_path / name).write_bytes(bytes(1000))
    (tmp_path / "deeper" / "still").mkdir(parents=True)
    put_segment(tmp_path / "deeper" / "still", 1, NOON)
    put_segment(tmp_path, 2, NOON)
    archive, _ = opener(tmp_path, size=1)
    archive.tidy()
    assert not archive.make_room()
    assert list_names(tmp_path) == sorted([".edgeseg.lock", "deeper", *others])
    assert len(list_names(tmp_path / "deeper" / "still")) == 2


def test_a_full_disk_costs_the_oldest_and_those_that_events_keep_last(tmp_path: Path, opener: Opener) -> None:
    for number in range(1, 7):
        put_segment(tmp_path, number, NOON)
    archive, events = opener(tmp_path)
    archive.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    gone = []
    while archive.make_room():
        gone += sorted({1, 2, 3, 4, 5, 6} - set(numbers_of(archive)) - set(gone))
    assert gone == [4, 5, 6, 1, 2, 3]
    assert list_names(tmp_path) == [".edgeseg.lock"]


def test_too_old_goes_by_the_calendar(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    for number, age_s in enumerate([500, 300, 100], 1):
        put_segment(tmp_path, number, NOON - age_s)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert numbers_of(archive) == [3]


@pytest.mark.parametrize("wall_s", [0.0, NOON + 10**9])
def test_a_clock_that_nobody_keeps_right_deletes_nothing(tmp_path: Path, wall_s: float, opener: Opener) -> None:
    clock = FakeClock(wall_s=wall_s)
    put_segment(tmp_path, 1, NOON - 10**6)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    clock.set_wall(NOON + 10**8)
    archive.tidy()
    assert numbers_of(archive) == [1]


def test_a_jump_of_a_clock_that_was_right_deletes_nothing(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    put_segment(tmp_path, 1, NOON - 100)
    archive, _ = opener(tmp_path, clock, age=200.0)
    for right in (False, True):
        clock.set_wall(NOON + 10**8, right=right)
        archive.tidy()
        assert numbers_of(archive) == [1]
    clock.advance(150)
    archive.tidy()
    assert numbers_of(archive) == []


def test_segments_of_this_start_age_without_a_calendar(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000)
    put_segment(tmp_path, 1, Start(None, clock.boot_id, 700))
    put_segment(tmp_path, 2, Start(None, "ffffffff", 5))
    put_segment(tmp_path, 3, Start(None, clock.boot_id, 900))
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert numbers_of(archive) == [2, 3], "an unknown start may be just before the 900 s"


def test_kept_minutes_survive_a_restart_and_their_age(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    for number in range(1, 6):
        put_segment(tmp_path, number, NOON - 1000)
    first, events = opener(tmp_path, clock)
    first.mark((tmp_path, 3), events.add("person_in_path", "somebody"))
    opener.close(first)
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert numbers_of(archive) == [2, 3, 4]


def test_an_event_whose_recording_is_gone_keeps_nothing(tmp_path: Path, opener: Opener) -> None:
    """Its neighbours would stay for ever otherwise, whatever the age that was asked for."""
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    names = [put_segment(tmp_path, number, NOON - 1000) for number in range(1, 4)]
    first, events = opener(tmp_path, clock)
    first.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    opener.close(first)
    for suffix in (".mp4", ".jsonl"):
        (tmp_path / f"{names[1]}{suffix}").unlink()
    archive, _ = opener(tmp_path, clock, age=200.0)
    archive.tidy()
    assert numbers_of(archive) == []
    assert list_names(tmp_path) == [".edgeseg.lock"]


def test_a_new_limit_is_reached_bit_by_bit(tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that deletes thousands of files at once has no time for what is being recorded."""
    monkeypatch.setattr(archive_module, "BATCH", 2)
    for number in range(1, 7):
        put_segment(tmp_path, number, NOON, 1000)
    archive, events = opener(tmp_path, size=1000)
    for left in ([3, 4, 5, 6], [5, 6], [6], [6]):
        archive.tidy()
        assert numbers_of(archive) == left
    assert kinds_of(events) == ["segment_deleted"] * 3


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
