"""Events keep their minutes, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path

from edgeseg.events import Event, Events
from edgeseg.recording.marks import Marks, marked_number


def _event(text: str = "a person is in the path") -> Event:
    return Events().add("person_in_path", text, camera="front", area=0.1)


def test_the_one_before_and_the_one_after_are_kept_too(tmp_path: Path) -> None:
    marks = Marks()
    marks.add((tmp_path, 5), _event())
    assert marks.choose_kept((tmp_path, number) for number in (1, 2, 4, 5, 8, 9)) == {
        (tmp_path, 4),
        (tmp_path, 5),
        (tmp_path, 8),
    }


def test_an_open_segment_keeps_the_one_before(tmp_path: Path) -> None:
    marks = Marks()
    marks.add((tmp_path, 5), _event())
    assert (tmp_path, 4) in marks.choose_kept([(tmp_path, 3), (tmp_path, 4)])
    assert (tmp_path, 3) not in marks.choose_kept([(tmp_path, 3), (tmp_path, 4)])


def test_cameras_have_neighbours_of_their_own(tmp_path: Path) -> None:
    front, rear = tmp_path / "front", tmp_path / "rear"
    front.mkdir()
    marks = Marks()
    marks.add((front, 5), _event())
    places = [(front, 3), (rear, 4), (front, 5), (rear, 6), (front, 7)]
    assert marks.choose_kept(places) == {(front, 3), (front, 5), (front, 7)}


def test_a_restart_finds_them(tmp_path: Path) -> None:
    Marks().add((tmp_path, 5), _event())
    marks = Marks()
    marks.take_over([(tmp_path, number) for path in tmp_path.iterdir() if (number := marked_number(path.name))])
    assert marks.choose_kept([(tmp_path, 5)]) == {(tmp_path, 5)}


def test_the_events_are_noted_as_far_as_they_are_of_use(tmp_path: Path) -> None:
    marks = Marks()
    for number in range(120):
        marks.add((tmp_path, 5), _event(f"number {number}"))
    noted = json.loads((tmp_path / "00000005.keep").read_text(encoding="utf-8"))
    assert len(noted) == 100
    assert (noted[0]["kind"], noted[0]["text"], noted[0]["details"]) == ("person_in_path", "number 0", {"area": 0.1})


def test_a_damaged_note_keeps_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "00000005.keep").write_text("[{")
    marks = Marks()
    marks.take_over([(tmp_path, 5)])
    assert marks.choose_kept([(tmp_path, 5)]) == {(tmp_path, 5)}
    marks.add((tmp_path, 5), _event())
    assert len(json.loads((tmp_path / "00000005.keep").read_text(encoding="utf-8"))) == 1


def test_a_mark_goes_with_its_segment(tmp_path: Path) -> None:
    marks = Marks()
    marks.add((tmp_path, 5), _event())
    marks.drop((tmp_path, 5))
    marks.drop((tmp_path, 6))
    assert list(tmp_path.iterdir()) == []
    assert marks.choose_kept([(tmp_path, 5)]) == set()


def test_other_files_mark_nothing() -> None:
    assert marked_number("00000005.keep") == 5
    assert [marked_number(name) for name in ("5.keep", "00000005.keep.part", "00000005.mp4")] == [None] * 3
