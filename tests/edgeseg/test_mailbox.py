"""Mailbox: nothing is lost when it is lossless, the newest wins when it is not, and closing wakes everybody."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.mailbox import Closed, Mailbox, take_in_turn


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_latest_only_keeps_the_newest_and_counts_the_rest() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.put(n) for n in range(5)] == [True] * 5
    assert box.get(0) == 4
    assert box.dropped == 4
    assert len(box) == 0


def test_a_deeper_mailbox_drops_the_oldest_and_keeps_order() -> None:
    box: Mailbox[int] = Mailbox(3)
    for n in range(5):
        box.put(n)
    box.close()
    assert list(box) == [2, 3, 4]
    assert box.dropped == 2


def test_lossless_waits_for_room() -> None:
    box: Mailbox[int] = Mailbox(1, lossless=True)
    box.put(1)
    with pytest.raises(TimeoutError, match="stayed full"):
        box.put(2, timeout_s=0.01)
    assert box.get(0) == 1
    assert box.put(3, timeout_s=0)
    assert box.dropped == 0


def test_get_times_out_when_nothing_comes() -> None:
    with pytest.raises(TimeoutError, match="nothing came"):
        Mailbox[int]().get(timeout_s=0.01)


def test_a_closed_mailbox_gives_what_is_inside_then_says_so() -> None:
    box: Mailbox[int] = Mailbox(2, lossless=True)
    box.put(1)
    box.close()
    box.close()
    assert box.closed
    assert box.put(2) is False
    assert box.get() == 1
    with pytest.raises(Closed):
        box.get()


def test_closing_with_discard_counts_what_nobody_will_get() -> None:
    box: Mailbox[int] = Mailbox(3, lossless=True)
    box.put(1)
    box.put(2)
    box.close(discard=True)
    assert box.dropped == 2
    assert list(box) == []


def test_closing_wakes_a_reader_that_waits() -> None:
    box: Mailbox[int] = Mailbox()
    got: list[int] = []
    reader = in_thread(lambda: got.extend(box))
    box.put(1)
    box.close()
    reader.join(5)
    assert not reader.is_alive()
    assert got == [1]


def test_closing_wakes_a_writer_that_waits() -> None:
    box: Mailbox[int] = Mailbox(1, lossless=True)
    box.put(1)
    answers: list[bool] = []
    writer = in_thread(lambda: answers.append(box.put(2)))
    writer.join(0.05)
    assert writer.is_alive()
    box.close()
    writer.join(5)
    assert not writer.is_alive()
    assert answers == [False]


def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity=0"):
        Mailbox[int](0)


@given(items=st.lists(st.integers(), max_size=50), capacity=st.integers(1, 7))
def test_lossless_hands_over_everything_in_order(items: list[int], capacity: int) -> None:
    box: Mailbox[int] = Mailbox(capacity, lossless=True)

    def write() -> None:
        for item in items:
            box.put(item, timeout_s=5)
        box.close()

    in_thread(write)
    assert list(box) == items


@given(items=st.lists(st.integers(), max_size=200), capacity=st.integers(1, 3))
def test_live_accounts_for_every_item_and_ends_with_the_newest(items: list[int], capacity: int) -> None:
    box: Mailbox[tuple[int, int]] = Mailbox(capacity)

    def write() -> None:
        for item in enumerate(items):
            box.put(item)
        box.close()

    in_thread(write)
    got = list(box)
    assert len(got) + box.dropped == len(items)
    assert got == sorted(got, key=lambda pair: pair[0])
    assert got[-1:] == list(enumerate(items))[-1:]


def test_several_are_taken_in_turn_until_all_have_ended() -> None:
    one, two = Mailbox[int](10, lossless=True), Mailbox[int](10, lossless=True)
    for number in range(4):
        one.put(number)
    two.put(10)
    one.close()
    two.close()
    assert list(take_in_turn([one, two])) == [(0, 0), (1, 10), (0, 1), (1, None), (0, 2), (0, 3), (0, None)]


def test_taking_in_turn_waits_for_what_comes() -> None:
    one, two = Mailbox[int](1, lossless=True), Mailbox[int](1, lossless=True)

    def write(mailbox: Mailbox[int], numbers: range) -> None:
        for number in numbers:
            mailbox.put(number)
        mailbox.close()

    for mailbox, numbers in ((one, range(200)), (two, range(500, 600))):
        threading.Thread(target=write, args=(mailbox, numbers), daemon=True).start()
    got: dict[int, list[int | None]] = {0: [], 1: []}
    for index, item in take_in_turn([one, two]):
        got[index].append(item)
    assert got == {0: [*range(200), None], 1: [*range(500, 600), None]}
