"""The archive's thread works now and then, at once when it is woken, and does not hide its end."""

from __future__ import annotations

import threading

import pytest

from edgeseg.recording.keeper import Keeper
from tests.edgeseg.recording.waiting import wait_until


def test_it_works_when_it_is_woken() -> None:
    done = threading.Event()
    keeper = Keeper(done.set)
    keeper.start()
    assert not done.is_set()
    keeper.wake()
    wait_until(done.is_set)
    keeper.stop(10.0)
    keeper.check()


def test_it_does_nothing_after_its_end() -> None:
    count: list[None] = []
    keeper = Keeper(lambda: count.append(None))
    keeper.start()
    keeper.stop(10.0)
    keeper.wake()
    assert count == []


def test_its_bug_comes_out() -> None:
    keeper = Keeper(lambda: 1 // 0)
    keeper.start()
    keeper.wake()
    with pytest.raises(ZeroDivisionError):
        wait_until(keeper.check)
    keeper.stop(10.0)
