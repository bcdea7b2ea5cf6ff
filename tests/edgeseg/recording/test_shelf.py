"""The shelf knows what is open and what is closed, whatever is looked at meanwhile."""

from __future__ import annotations

from pathlib import Path

from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.segment import Segment, list_archive
from edgeseg.recording.shelf import Shelf, View

NOON = 1_795_262_400.0


def _segment(folder: Path, number: int) -> Segment:
    segment = Segment(folder, SegmentName(number, Start(NOON)), {".mp4": 5}, 7)
    segment.path(".mp4").write_bytes(bytes(5))
    return segment


def _numbers(shelf: Shelf) -> list[int]:
    return [it.name.number for it in shelf.closed()]


def test_numbers_go_on_after_what_lies_there(tmp_path: Path) -> None:
    shelf = Shelf()
    _segment(tmp_path, 7)
    view = View(list_archive(tmp_path), *shelf.before_looking(alone=True))
    shelf.take_in(view, view.listing.gather())
    assert _numbers(shelf) == [7]
    assert shelf.begin() == 8


def test_what_is_open_counts_until_it_ends(tmp_path: Path) -> None:
    shelf = Shelf()
    first, second = shelf.begin(), shelf.begin()
    shelf.grow(first, 100)
    shelf.grow(second, 10)
    assert shelf.open_bytes() == 110
    shelf.changed = False
    shelf.end(second, _segment(tmp_path, second))
    shelf.end(first, _segment(tmp_path, first))
    assert (_numbers(shelf), shelf.open_bytes(), shelf.changed) == ([1, 2], 0, True)


def test_what_is_closed_while_somebody_looks_is_there_once(tmp_path: Path) -> None:
    """Whether the one who looked has seen it or not."""
    shelf = Shelf()
    seen, unseen, later = shelf.begin(), shelf.begin(), 3
    known = shelf.before_looking(alone=False)
    closed = [_segment(tmp_path, seen)]
    listing = list_archive(tmp_path)
    assert shelf.begin() == later
    closed += [_segment(tmp_path, unseen), _segment(tmp_path, later)]
    for segment in closed:
        shelf.end(segment.name.number, segment)
    view = View(listing, *known)
    assert [view.is_ours(number) for number in (seen, unseen, later)] == [True] * 3
    shelf.take_in(view, listing.gather())
    assert _numbers(shelf) == [seen, unseen, later]


def test_what_was_deleted_by_hand_is_forgotten_and_its_age_is_not(tmp_path: Path) -> None:
    shelf = Shelf()
    for _ in range(2):
        number = shelf.begin()
        shelf.end(number, _segment(tmp_path, number))
    shelf.closed()[0].path(".mp4").unlink()
    view = View(list_archive(tmp_path), *shelf.before_looking(alone=False))
    shelf.take_in(view, view.listing.gather())
    assert [(it.name.number, it.begun_boot_ns) for it in shelf.closed()] == [(2, 7)]
