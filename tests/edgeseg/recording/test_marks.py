"""Events keep their minutes, also after a restart."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edgeseg.events import Event, Events
from edgeseg.recording.marks import Marks, Place, marked_number


def _mark(marks: Marks, place: Place, text: str = "a person is in the path") -> None:
    marks.want(place, _event(text))
    marks.note()


def _event(text: str = "a person is in the path") -> Event:
    return Events().add("person_in_path", text, camera="front", area=0.1)


def test_the_one_before_and_the_one_after_are_kept_too(tmp_path: Path) -> None:
    marks = Marks()
    _mark(marks, (tmp_path, 5))
    assert marks.choose_kept((tmp_path, number) for number in (1, 2, 4, 5, 8, 9)) == {
        (tmp_path, 4),
        (tmp_path, 5),
        (tmp_path, 8),
    }


def test_an_open_segment_keeps_the_one_before(tmp_path: Path) -> None:
    marks = Marks()
    _mark(marks, (tmp_path, 5))
    assert (tmp_path, 4) in marks.choose_kept([(tmp_path, 3), (tmp_path, 4)])
    assert (tmp_path, 3) not in marks.choose_kept([(tmp_path, 3), (tmp_path, 4)])


def test_cameras_have_neighbours_of_their_own(tmp_path: Path) -> None:
    front, rear = tmp_path / "front", tmp_path / "rear"
    front.mkdir()
    marks = Marks()
    _mark(marks, (front, 5))
    places = [(front, 3), (rear, 4), (front, 5), (rear, 6), (front, 7)]
    assert marks.choose_kept(places) == {(front, 3), (front, 5), (front, 7)}


def test_a_restart_finds_them(tmp_path: Path) -> None:
    _mark(Marks(), (tmp_path, 5))
    marks = Marks()
    marks.take_over([(tmp_path, number) for path in tmp_path.iterdir() if (number := marked_number(path.name))])
    assert marks.choose_kept([(tmp_path, 5)]) == {(tmp_path, 5)}


def test_the_events_are_noted_as_far_as_they_are_of_use(tmp_path: Path) -> None:
    marks = Marks()
    for number in range(120):
        _mark(marks, (tmp_path, 5), f"number {number}")
    noted = json.loads((tmp_path / "00000005.keep").read_text(encoding="utf-8"))
    assert len(noted) == 100
    assert (noted[0]["kind"], noted[0]["text"], noted[0]["details"]) == ("person_in_path", "number 0", {"area": 0.1})


@pytest.mark.parametrize("content", ["[{", "null", "{}"])
def test_a_damaged_note_keeps_all_the_same(tmp_path: Path, content: str) -> None:
    (tmp_path / "00000005.keep").write_text(content)
    marks = Marks()
    marks.take_over([(tmp_path, 5)])
    assert marks.choose_kept([(tmp_path, 5)]) == {(tmp_path, 5)}
    _mark(marks, (tmp_path, 5))
    assert len(json.loads((tmp_path / "00000005.keep").read_text(encoding="utf-8"))) == 1


def test_what_is_wanted_holds_before_the_disk_knows_it(tmp_path: Path) -> None:
    marks = Marks()
    marks.want((tmp_path / "away", 5), _event())
    assert marks.choose_kept([(tmp_path / "away", 5)]) == {(tmp_path / "away", 5)}
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            marks.note()
    (tmp_path / "away").mkdir()
    marks.note()
    assert (tmp_path / "away" / "00000005.keep").exists()
    marks.want((tmp_path, 6), _event())
    marks.drop((tmp_path, 6))
    marks.note()
    assert not (tmp_path / "00000006.keep").exists()


def test_a_name_that_is_no_utf_8_is_noted(tmp_path: Path) -> None:
    _mark(Marks(), (tmp_path, 5), "drive-\udcff.mp4")
    [noted] = json.loads((tmp_path / "00000005.keep").read_text(encoding="utf-8"))
    assert noted["text"] == "drive-\udcff.mp4"


def test_any_thread_may_mark_while_others_look(tmp_path: Path) -> None:
    """A set or a queue that grows while somebody goes through it would end the thread of the archive."""
    marks, stop = Marks(), threading.Event()
    failures: list[Exception] = []

    def look() -> None:
        try:
            while not stop.is_set():
                marks.choose_kept([(tmp_path, 1)])
                marks.drop((tmp_path, 0))
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            failures.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(3000):
        marks.want((tmp_path, number % 3000), _event())
    stop.set()
    thread.join()
    assert failures == []


def test_a_mark_goes_with_its_segment(tmp_path: Path) -> None:
    marks = Marks()
    _mark(marks, (tmp_path, 5))
    marks.drop((tmp_path, 5))
    marks.drop((tmp_path, 6))
    assert list(tmp_path.iterdir()) == []
    assert marks.choose_kept([(tmp_path, 5)]) == set()


def test_other_files_mark_nothing() -> None:
    assert marked_number("00000005.keep") == 5
    assert [marked_number(name) for name in ("5.keep", "00000005.keep.part", "00000005.mp4")] == [None] * 3
