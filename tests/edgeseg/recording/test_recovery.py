"""The second that is promised is measured, and when it is not kept that is said."""

from __future__ import annotations

from edgeseg.events import Events
from edgeseg.recording.recovery import Recovery


def test_the_longest_counts() -> None:
    events = Events()
    recovery = Recovery(events, "front")
    for exposed_s, flush_s in ((0.3, 0.01), (0.9, 0.2), (1.0, 0.1)):
        recovery.note(exposed_s, age_s=0.1, flush_s=flush_s)
    assert (recovery.worst_s, recovery.flush_s) == (1.0, 0.2)
    assert events.recent() == []


def test_a_broken_promise_is_told_of_once_with_what_took_the_time() -> None:
    events = Events()
    recovery = Recovery(events, "front")
    recovery.note(1.6, age_s=0.1, flush_s=1.15)
    recovery.note(3.0, age_s=0.1, flush_s=2.6)
    [event] = events.recent()
    assert (event.kind, event.camera, event.level) == ("recording_late", "front", "warning")
    assert event.text == (
        "a power cut would have cost 1.6 s, more than 1 s: pictures were 0.1 s old when they came to be recorded, "
        "and the disk took 1.1 s"
    )
    assert event.details == {"exposed_s": 1.6, "age_s": 0.1, "flush_s": 1.15}
    assert recovery.worst_s == 3.0
