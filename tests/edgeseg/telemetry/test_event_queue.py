"""EventQueue: hands events over without making whoever adds them wait."""

from __future__ import annotations

from threading import Thread

from edgeseg.events import Event, Events
from edgeseg.telemetry.event_queue import EventQueue


def test_what_nobody_takes_in_time_is_dropped_oldest_first_and_counted() -> None:
    events, queue = Events(), EventQueue(3, lambda event: event.kind == "wanted")
    events.subscribe(queue.put)
    for number in range(5):
        events.add("wanted", str(number))
        events.add("other", str(number))
    assert (len(queue), queue.dropped) == (3, 2)
    queue.close()
    taken = [event.text for event in iter(queue.take, None)]
    assert taken == ["2", "3", "4"]


def test_whoever_waits_is_given_the_event_or_let_go() -> None:
    events, queue = Events(), EventQueue(3)
    taken: list[Event] = []
    thread = Thread(target=lambda: taken.extend(iter(queue.take, None)))
    thread.start()
    queue.put(events.add("a", "b"))
    queue.close()
    thread.join(20)
    assert [event.text for event in taken] == ["b"]
    assert queue.closed
    assert queue.pause(60)
