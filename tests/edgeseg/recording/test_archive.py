"""The archive knows what lies there, in order, and by whose name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.recording import archive as archive_module
from edgeseg.recording import keeper
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.segment import Listing, Segment, list_archive
from tests.edgeseg.recording.archives import NOON, Opener, kinds_of, numbers_of, put_segment
from tests.edgeseg.recording.clocks import SECOND, FakeClock
from tests.edgeseg.recording.samples import write_video
from tests.edgeseg.recording.waiting import wait_until
from tests.edgeseg.results import list_names


def test_numbers_go_on_across_runs_and_cameras(tmp_path: Path, opener: Opener) -> None:
    put_segment(tmp_path / "front", 7, NOON)
    put_segment(tmp_path / "rear", 9, NOON)
    archive, _ = opener(tmp_path)
    assert numbers_of(archive) == [7, 9]
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
    assert numbers_of(archive) == [3]
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
    assert kinds_of(events) == ["recording_repaired"]


def test_names_get_the_time_once_it_is_known(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000)
    put_segment(tmp_path, 1, Start(None, "ffffffff", 5))
    put_segment(tmp_path, 2, Start(None, clock.boot_id, 940))
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


def test_names_are_filled_in_by_the_next_run_of_the_same_start(tmp_path: Path, opener: Opener) -> None:
    clock = FakeClock(since_boot_s=1000, wall_s=NOON)
    clock.right = True
    put_segment(tmp_path, 2, Start(None, clock.boot_id, 940))
    archive, _ = opener(tmp_path, clock)
    assert [str(it.name) for it in archive.segments()] == ["00000002_20261121T115900Z"]


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
    assert numbers_of(archive) == [name.number]


def test_the_thread_of_the_archive_does_it_by_itself(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "TEND_S", 0.01)
    for number in range(1, 4):
        put_segment(tmp_path, number, NOON, 1000)
    archive, events = opener(tmp_path, size=2000)
    wait_until(lambda: numbers_of(archive) == [2, 3])
    archive.mark((tmp_path, 2), events.add("person_in_path", "somebody"))
    wait_until((tmp_path / "00000002.keep").exists)


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
    assert kinds_of(events) == []
    assert numbers_of(archive) == [name.number]
