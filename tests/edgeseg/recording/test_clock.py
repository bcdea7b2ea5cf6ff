"""The calendar is believed when somebody keeps it right, and what it does otherwise moves nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgeseg.recording.clock import Calendar, SystemClock
from tests.edgeseg.recording.clocks import SECOND, FakeClock

NOON = 1_795_262_400.0


class DeafClock(SystemClock):
    """A system whose kernel is asked as in a service with ProtectClock=, or says what a test wants."""

    kernel = False

    def _kernel_synchronised(self) -> bool:
        return self.kernel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    boot_id = tmp_path / "proc/sys/kernel/random/boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("e8fe9e36-6759-4711-bbd1-b56fa441994e\n")
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    return tmp_path


def _synchronise(root: Path, at_s: int) -> None:
    mark = root / "run/systemd/timesync/synchronized"
    mark.touch()
    os.utime(mark, (at_s, at_s))


def test_the_start_of_the_device_has_a_name(root: Path) -> None:
    assert SystemClock(root).boot_id == "e8fe9e36"


def test_a_system_that_hides_it_still_has_one(tmp_path: Path) -> None:
    first, second = SystemClock(tmp_path).boot_id, SystemClock(tmp_path).boot_id
    assert len(first) == 8
    assert int(first, 16) >= 0
    assert first != second


def test_the_clocks_are_those_of_the_system(root: Path) -> None:
    clock = SystemClock(root)
    assert abs(clock.wall_ns() - time.time_ns()) < 60 * SECOND
    assert abs(clock.monotonic_ns() - time.monotonic_ns()) < 60 * SECOND
    assert clock.boot_ns() >= clock.monotonic_ns() - 60 * SECOND


def test_the_kernel_answers_without_rights_and_nothing_is_changed(root: Path) -> None:
    """Whatever it says here, it is a plain yes or no, and the clock goes on."""
    clock = SystemClock(root)
    before = time.time_ns() - time.monotonic_ns()
    assert clock.synchronised() in (True, False)
    assert abs(time.time_ns() - time.monotonic_ns() - before) < SECOND


def test_timesyncd_tells_of_each_synchronisation_once(root: Path) -> None:
    """Between two of them somebody may set the clock by hand: then only the kernel knows."""
    clock = DeafClock(root)
    assert not clock.synchronised()
    _synchronise(root, 1000)
    assert clock.synchronised()
    assert not clock.synchronised()
    _synchronise(root, 3000)
    assert clock.synchronised()


def test_the_kernel_is_believed_without_timesyncd(root: Path) -> None:
    clock = DeafClock(root)
    clock.kernel = True
    assert clock.synchronised()
    assert clock.synchronised()


def test_nothing_is_known_until_the_clock_is_right() -> None:
    clock = FakeClock(wall_s=86_400)
    calendar = Calendar(clock)
    assert not calendar.refresh()
    assert calendar.wall_s(clock.boot_ns()) is None
    assert calendar.age_s(0) is None
    clock.set_wall(NOON, right=True)
    assert calendar.refresh()
    assert calendar.known
    assert calendar.wall_s(clock.boot_ns()) == NOON
    assert calendar.wall_s(clock.boot_ns() - 60 * SECOND) == NOON - 60
    assert not calendar.refresh()


def test_a_clock_that_is_set_by_hand_later_moves_nothing() -> None:
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    calendar = Calendar(clock)
    calendar.refresh()
    clock.set_wall(0)
    clock.advance(10)
    assert not calendar.refresh()
    assert calendar.wall_s(clock.boot_ns()) == NOON + 10
    assert calendar.age_s(NOON) == 10


def test_a_time_server_that_is_wrong_makes_nothing_old(caplog: pytest.LogCaptureFixture) -> None:
    """It decides the names, for nobody knows better, but not what is deleted."""
    clock = FakeClock(wall_s=NOON)
    clock.right = True
    calendar = Calendar(clock)
    calendar.refresh()
    clock.set_wall(NOON + 10 * 365 * 86_400, right=True)
    calendar.refresh()
    assert "the clock was moved by 315360000.0 s" in caplog.text
    assert calendar.wall_s(clock.boot_ns()) == NOON + 10 * 365 * 86_400
    assert calendar.age_s(NOON - 60) == 60
