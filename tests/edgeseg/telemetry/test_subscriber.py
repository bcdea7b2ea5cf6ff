"""Subscriber: what was heard before the end is done, what comes after it is not heard."""

from __future__ import annotations

import threading
import time

from edgeseg.events import Events
from edgeseg.telemetry.event_queue import EventQueue
from edgeseg.telemetry.subscriber import Subscriber


def test_what_was_heard_is_done_before_the_end_and_nothing_is_heard_after_it() -> None:
    events, queue, done = Events(), EventQueue(9), []
    subscriber = Subscriber("slow", queue, lambda: done.extend(event.text for event in iter(queue.take, None)))
    events.add("kind", "before")
    subscriber.start(events)
    for number in range(3):
        events.add("kind", str(number))
    subscriber.stop(20)
    events.add("kind", "after")
    assert done == ["0", "1", "2"]
    assert len(queue) == 0


def test_work_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    queue = EventQueue(9)
    subscriber = Subscriber("hanging", queue, release.wait)
    subscriber.start(Events())
    began = time.monotonic()
    subscriber.stop(0.1)
    assert time.monotonic() - began < 10
    release.set()
