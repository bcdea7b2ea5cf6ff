"""PathSink: people in the path become events, whatever the corridor is meanwhile."""

from __future__ import annotations

import numpy as np

from edgeseg.corridor import PathConfig
from edgeseg.events import Events
from edgeseg.frame import Frame, Segmentation
from edgeseg.sinks.path import PathSink
from edgeseg.sinks.sink import Result

LEFT = PathConfig(corridor=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
RIGHT = PathConfig(corridor=((0.5, 0), (1, 0), (1, 1), (0.5, 1)))


def show(sink: PathSink, seconds: range, *, person: bool) -> None:
    """Shows ten pictures a second, with a person on the left or nobody."""
    for tenth in range(10 * seconds.start, 10 * seconds.stop):
        frame = Frame(np.zeros((48, 64, 3), np.uint8), tenth, tenth * 100_000_000, "test")
        class_ids = np.zeros((12, 16), np.uint8)
        class_ids[4:8, 2:6] = 3 if person else 0
        sink.write(
            Result(Segmentation(frame, class_ids, np.full_like(class_ids, 255)), lambda it: it.frame.image.copy())
        )


def test_a_person_in_the_path_is_told_and_so_is_the_end_of_it() -> None:
    events = Events()
    with PathSink(LEFT, events, "front") as sink:
        show(sink, range(2), person=True)
        assert sink.person_in_path
        show(sink, range(2, 5), person=False)
        assert not sink.person_in_path
        show(sink, range(5, 7), person=True)
    told = [(event.kind, event.camera, event.details["change"], event.level) for event in events.recent()]
    assert told == [
        ("person_in_path", "front", change, level) for change, level in (("begin", "warning"), ("end", "info")) * 2
    ]
    assert events.recent()[-1].details["reason"] == "the run has ended"


def test_another_corridor_holds_from_the_next_picture_on() -> None:
    events = Events()
    with PathSink(LEFT, events, "front") as sink:
        show(sink, range(2), person=True)
        sink.use(RIGHT)
        assert sink.config == RIGHT
        show(sink, range(2, 4), person=True)
        assert not sink.person_in_path
        sink.use(LEFT)
        show(sink, range(4, 6), person=True)
    assert [event.details["change"] for event in events.recent()] == ["begin", "end", "begin", "end"]


def test_without_a_corridor_nothing_is_told() -> None:
    events = Events()
    with PathSink(PathConfig(), events, "front") as sink:
        show(sink, range(3), person=True)
    assert events.recent() == []
