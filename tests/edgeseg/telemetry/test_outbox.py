"""Outbox: the newest state of each topic, the last events, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.telemetry.outbox import Message, Outbox


def take_all(outbox: Outbox) -> list[Message]:
    found = []
    while (message := outbox.take()) is not None:
        found.append(message)
    return found


def test_of_a_topic_the_newest_state_goes_and_in_its_old_place() -> None:
    outbox = Outbox(3)
    outbox.put_event("event", b"1")
    for payload in (b"a", b"b"):
        outbox.put_state("front", payload)
        outbox.put_state("rear", payload)
    outbox.put_state("front", b"c")
    assert len(outbox) == 3
    assert take_all(outbox) == [
        Message("front", b"c", retain=True),
        Message("rear", b"b", retain=True),
        Message("event", b"1"),
    ]
    assert len(outbox) == 0


@given(count=st.integers(0, 40), kept=st.integers(1, 10))
def test_of_too_many_events_the_last_go_and_the_others_are_counted(count: int, kept: int) -> None:
    outbox = Outbox(kept)
    for number in range(count):
        outbox.put_event("event", str(number).encode())
    assert outbox.dropped == max(0, count - kept)
    expected = [str(number).encode() for number in range(max(0, count - kept), count)]
    assert [message.payload for message in take_all(outbox)] == expected
