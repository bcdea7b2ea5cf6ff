"""What an archive says of itself is one line for people, and numbers for programs."""

from __future__ import annotations

from pathlib import Path

from edgeseg.events import Events
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.news import tell_deleted, tell_named, tell_repaired
from edgeseg.recording.repair import Repair
from edgeseg.recording.segment import Segment


def test_many_segments_are_one_event_that_names_some() -> None:
    events = Events()
    segments = [Segment(Path("/rec"), SegmentName(number, Start(0.0)), {".mp4": 10**6}) for number in range(1, 31)]
    tell_deleted(events, [(it, "age" if it.name.number < 3 else "size") for it in segments])
    [event] = events.recent()
    assert event.text == "30 segments deleted (2 too old, 28 over the size), 30.0 MB"
    assert event.details["reasons"] == {"age": 2, "size": 28}
    assert (event.details["count"], event.details["bytes"], len(event.details["segments"])) == (30, 30 * 10**6, 20)


def test_what_was_cut_off_is_added_up() -> None:
    events = Events()
    repairs = [Repair(Path("/rec/front/a.mp4"), 12, 3.5), Repair(None, 100), Repair(Path("/rec/a.jsonl"), 0)]
    tell_repaired(events, Path("/rec"), repairs)
    [event] = events.recent()
    assert "3.5 s of its last segments are kept, 112 bytes that were not whole are dropped" in event.text
    assert event.details["files"] == ["front/a.mp4", "a.jsonl"]


def test_one_is_one() -> None:
    events = Events()
    tell_named(events, 1)
    tell_named(events, 2)
    assert [event.text.split(": ")[1].split(" got")[0] for event in events.recent()] == ["1 segment", "2 segments"]
