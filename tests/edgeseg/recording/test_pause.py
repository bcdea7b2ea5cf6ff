"""A pause has one reason, is told of once, and is tried to end now and then."""

from __future__ import annotations

import errno

import pytest

from edgeseg.events import Events
from edgeseg.recording import pause
from edgeseg.recording.pause import Pause

FULL = OSError(errno.ENOSPC, "No space left on device")


def _told(events: Events) -> list[tuple[str, str, str | None]]:
    return [(event.kind, event.text, event.camera) for event in events.recent()]


@pytest.mark.parametrize(
    ("reason", "full", "kind", "text"),
    [
        (FULL, False, "disk_full", "no space left on the disk; free some or write elsewhere"),
        (OSError(errno.EDQUOT, ""), False, "disk_full", "no space left on the disk; free some or write elsewhere"),
        ("less than 1GB are free", True, "disk_full", "less than 1GB are free"),
        (OSError(errno.EIO, "Input/output error"), False, "recording_paused", "input/output error"),
        ("the disk is too slow", False, "recording_paused", "the disk is too slow"),
    ],
)
def test_it_says_why(reason: OSError | str, full: bool, kind: str, text: str) -> None:
    events = Events()
    paused = Pause(events, "front", "rec")
    assert paused.reason is None
    paused.begin(reason, full=full)
    assert paused.reason == text
    assert _told(events) == [(kind, f"recording paused: rec: {text}", "front")]
    assert events.recent()[0].level == "warning"


def test_the_first_reason_stays() -> None:
    events = Events()
    paused = Pause(events, None, "rec")
    paused.begin("one")
    paused.begin("two")
    assert paused.reason == "one"
    paused.end()
    assert paused.reason is None
    assert [kind for kind, _, _ in _told(events)] == ["recording_paused", "recording_resumed"]


def test_it_is_tried_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(pause.time, "monotonic", lambda: now_s)
    paused = Pause(Events(), None, "rec")
    assert not paused.is_due()
    paused.begin("one")
    assert not paused.is_due()
    now_s += pause.RETRY_S
    assert paused.is_due()
    assert not paused.is_due()


def test_a_full_disk_is_told_of_once_until_it_was_not_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(pause.time, "monotonic", lambda: now_s)
    events = Events()
    paused = Pause(events, None, "rec")
    for _ in range(5):
        paused.tell_full(FULL)
        now_s += pause.FULL_AGAIN_S - 1
    assert len(_told(events)) == 1
    now_s += 2
    paused.tell_full(FULL)
    text = "rec: no space left on the disk; free some or write elsewhere; the oldest segments go to make room"
    assert _told(events) == [("disk_full", text, None)] * 2
    assert paused.reason is None
