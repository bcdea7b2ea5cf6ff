from __future__ import annotations

import logging
import threading

import pytest

from edgeseg.events import REMEMBERED, Event, Events


def test_an_event_is_remembered_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), list[Event]()
    stop = events.subscribe(heard.append)
    with caplog.at_level(logging.INFO):
        event = events.add("camera_lost", "no pictures", camera="front", level="warning", tries=3)
    assert heard == events.recent() == [event]
    assert event.record()["details"] == {"tries": 3}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", "front: no pictures")]
    stop()
    events.add("camera_back", "pictures again", camera="front")
    assert heard == [event]
    assert [item.number for item in events.recent()] == [1, 2]
    assert events.counts() == {"camera_lost": 1, "camera_back": 1}


def test_a_listener_that_fails_keeps_the_event_from_nobody(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), list[Event]()

    def fail(event: Event) -> None:
        raise RuntimeError("full")

    events.subscribe(fail)
    events.subscribe(heard.append)
    events.add("disk_full", "no room")
    assert len(heard) == 1
    assert "listener failed" in caplog.text


def test_memory_is_bounded_and_every_event_has_its_number() -> None:
    events, threads = Events(), []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: [events.add("x", "y") for _ in range(REMEMBERED)]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recent = events.recent(10 * REMEMBERED)
    assert len(recent) == REMEMBERED
    numbers = [event.number for event in recent]
    assert numbers == sorted(set(numbers))
    assert events.counts() == {"x": 4 * REMEMBERED}
    assert events.recent(0) == []
