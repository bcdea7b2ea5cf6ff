"""Attempt: one try at a live source waits its turn, keeps the newest picture alone and can be left behind."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from edgeseg.errors import SourceUnavailableError
from edgeseg.sources.attempt import Attempt, Patience
from tests.fakes import FakeSource

#: What takes longer hangs.
LIMIT_S = 60
#: Looks around all the time and waits for ever.
QUICK = Patience(first_s=0.001, longest_s=1e6, denied_s=1e6, look_s=0.001, open_s=LIMIT_S, stall_s=LIMIT_S)


class Try:
    """An attempt, and what waits for it."""

    def __init__(self, source: FakeSource, is_there: Callable[[], bool] = lambda: True, **options: Any) -> None:
        self.changed = threading.Condition()
        self.attempt = Attempt(lambda: source, is_there, self.changed, QUICK, **options)

    def wait_for(self, condition: Callable[[Attempt], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: bool(condition(self.attempt)), LIMIT_S)


def test_a_slow_reader_finds_the_newest_picture_alone() -> None:
    last_came = threading.Event()

    def before_read(index: int) -> None:
        if index == 50:
            last_came.set()
            source.interrupted.wait(LIMIT_S)

    source = FakeSource(None, live=True, before_read=before_read)
    it = Try(source)
    assert last_came.wait(LIMIT_S)
    assert it.attempt.newest is not None
    assert it.attempt.newest.index == 49
    assert it.attempt.fps == 25.0
    assert it.attempt.due < math.inf
    it.attempt.give_up()
    it.attempt.join(LIMIT_S)
    assert (source.opened, source.closed) == (1, 1)


def test_what_ends_it_is_kept_without_its_pictures() -> None:
    def before_read(index: int) -> None:
        if index == 3:
            raise SourceUnavailableError("unplugged")

    it = Try(FakeSource(None, before_read=before_read))
    it.wait_for(lambda attempt: attempt.ended)
    assert str(it.attempt.error) == "unplugged"
    assert it.attempt.error is not None
    assert it.attempt.error.__traceback__ is None
    it.attempt.join(LIMIT_S)
    assert not it.attempt.running


@pytest.mark.parametrize("there", [True, False])
def test_giving_up_ends_the_wait_for_its_turn(there: bool) -> None:
    source = FakeSource()
    it = Try(source, lambda: there, wait_s=1e6)
    it.attempt.give_up()
    it.wait_for(lambda attempt: attempt.ended)
    assert source.opened == 0
    assert it.attempt.error is None


def test_what_was_gone_and_is_there_again_is_opened_at_once() -> None:
    looks = iter([True, True, False, False, True])
    source = FakeSource(3)
    it = Try(source, lambda: next(looks), wait_s=1e6)
    it.wait_for(lambda attempt: attempt.ended)
    assert source.opened == 1
    assert it.attempt.reappeared
    assert list(looks) == []


def test_what_is_there_all_the_time_waits_its_turn_unless_it_was_only_silent() -> None:
    looks: list[bool] = []
    looked_often = threading.Event()

    def is_there() -> bool:
        looks.append(True)
        if len(looks) > 20:
            looked_often.set()
        return True

    refused = FakeSource()
    patient = Try(refused, is_there, wait_s=1e6)
    assert looked_often.wait(LIMIT_S)
    assert refused.opened == 0
    patient.attempt.give_up()

    silent = FakeSource(3)
    Try(silent, wait_s=1e6, eager=True).wait_for(lambda attempt: attempt.ended)
    assert silent.opened == 1


def test_waits_double_up_to_the_longest_and_differ() -> None:
    patience = Patience()
    for tries, most_s in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 10.0), (7, 10.0), (10_000, 10.0)):
        waits_s = [patience.wait_s(tries) for _ in range(100)]
        assert all(most_s * 0.75 <= wait_s <= most_s for wait_s in waits_s)
        assert len(set(waits_s)) > 50
