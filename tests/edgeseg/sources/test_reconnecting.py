"""ReconnectingSource: pictures for as long as there are any, and one word for every change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources.attempt import Patience
from edgeseg.sources.reconnecting import MOST_HANGING, ReconnectingSource
from edgeseg.sources.source import SourceAbsentError, SourceDeniedError, SourceSilentError
from tests.fakes import FakeSource

LIMIT_S = 60
QUICK = Patience(first_s=0.001, longest_s=0.002, denied_s=1e6, look_s=0.001, open_s=LIMIT_S, stall_s=LIMIT_S)
#: Judges a silence soon; for sources that are silent on purpose.
STRICT = Patience(first_s=0.001, longest_s=0.002, look_s=0.001, open_s=0.5, stall_s=0.5)
HASTY = replace(STRICT, open_s=0.2)


class FakeSignal:
    """Keeps what it is told, in one line each."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tries = 0

    def lost(self, reason: str) -> None:
        self.told.append(f"lost: {reason}")

    def back(self) -> None:
        self.told.append("back")

    def trying(self) -> None:
        self.tries += 1


#: A reader gets the newest picture alone; so that it gets each, the next one comes when the last one was taken.
turns = threading.Semaphore(1)


class Camera:
    """Makes one source after another, as the test has laid them out; the last one again and again."""

    def __init__(self, *lives: Callable[[], FakeSource] | Exception) -> None:
        self._lives: Iterator[Callable[[], FakeSource] | Exception] = iter(lives)
        self._life: Callable[[], FakeSource] | Exception | None = None
        self.made: list[FakeSource] = []
        # The first picture comes by itself.
        while turns.acquire(blocking=False):
            pass
        turns.release()

    def __call__(self) -> FakeSource:
        self._life = next(self._lives, self._life)
        assert self._life is not None
        if isinstance(self._life, Exception):
            self.made.append(FakeSource(on_open=raising(self._life)))
        else:
            self.made.append(self._life())
        return self.made[-1]


def raising(error: Exception) -> Callable[..., None]:
    def throw(*_: object) -> None:
        raise error

    return throw


def gives(count: int, then: Exception | None = None) -> Callable[[], FakeSource]:
    """A source with `count` pictures, then an error or (by default) silence until it is interrupted."""

    def make() -> FakeSource:
        def before_read(index: int) -> None:
            if index < count:
                while not turns.acquire(timeout=0.01) and not source.interrupted.is_set():
                    pass
            elif then is not None:
                raise then
            else:
                source.interrupted.wait(LIMIT_S)

        source = FakeSource(None, live=True, before_read=before_read)
        return source

    return make


def read(source: ReconnectingSource, count: int) -> list[Frame]:
    frames = []
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        frames.append(frame)
        turns.release()
    return frames


def reconnecting(camera: Callable[[], FakeSource], patience: Patience = QUICK, **options: Any) -> ReconnectingSource:
    return ReconnectingSource(camera, name="cam", patience=patience, **options)


UNPLUGGED = SourceUnavailableError("cam: unplugged")


def test_frames_go_on_over_a_loss_and_each_change_is_told_once() -> None:
    signal = FakeSignal()
    camera = Camera(gives(3, UNPLUGGED), UNPLUGGED, UNPLUGGED, SourceUnavailableError("cam: busy"), UNPLUGGED, gives(9))
    with reconnecting(camera, signal=signal) as source:
        frames = read(source, 6)
    assert [frame.index for frame in frames] == list(range(6))
    # Each of its own life: what the source itself shows begins anew.
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 2, 0, 1, 2]
    assert signal.told == ["back", "lost: cam: unplugged", "lost: cam: busy", "lost: cam: unplugged", "back"]
    assert [source.closed for source in camera.made] == [1, 0, 0, 0, 0, 1]
    assert source.fps == 25.0


def test_it_may_come_back_with_another_size() -> None:
    camera = Camera(gives(1, UNPLUGGED), lambda: FakeSource(None, live=True, size_wh=(32, 24)))
    with reconnecting(camera) as source:
        assert [frame.size_wh for frame in read(source, 2)] == [(64, 48), (32, 24)]


def test_each_change_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgeseg")
    lives = [SourceUnavailableError(f"cam: exit at {number}: busy") for number in range(30)]
    with reconnecting(Camera(gives(1, UNPLUGGED), *lives, gives(9))) as source:
        read(source, 2)
    *losses, back = (record.getMessage() for record in caplog.records)
    assert losses == [
        "cam: unplugged (trying until it is back)",
        "cam: exit at 0: busy (trying until it is back)",
    ]
    assert back.startswith("cam: pictures again after ")


def test_what_the_signal_is_told_first_it_makes_known_itself(caplog: pytest.LogCaptureFixture) -> None:
    lives = [SourceUnavailableError(f"cam: {letter}") for letter in "abcdefghijklmnopqrstuvwxyz"]
    with reconnecting(Camera(gives(1, UNPLUGGED), *lives, gives(9)), signal=FakeSignal()) as source:
        read(source, 2)
    # And no log is filled by a camera that finds new words every time.
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [f"cam: {it}" for it in "abcd"]


def test_a_source_that_is_absent_at_the_start_is_an_error_or_is_waited_for() -> None:
    with pytest.raises(SourceUnavailableError, match="cam: unplugged"), reconnecting(Camera(UNPLUGGED, gives(9))):
        raise AssertionError("it was not there")
    signal = FakeSignal()
    camera = Camera(UNPLUGGED, UNPLUGGED, gives(9))
    with reconnecting(camera, signal=signal, wait_for_it=True) as source:
        (frame,) = read(source, 1)
    assert frame.index == 0
    assert signal.told == ["lost: cam: unplugged", "back"]


def test_one_that_opens_and_gives_nothing_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceUnavailableError, match="cam: the stream has ended"), reconnecting(lambda: FakeSource(0)):
        raise AssertionError("it gave no picture")
    camera = Camera(gives(0))
    with pytest.raises(SourceSilentError, match="cam: gives no picture"), reconnecting(camera, STRICT):
        raise AssertionError("it gave no picture")
    assert camera.made[0].interrupted.is_set()


@pytest.mark.parametrize("error", [UsageError("a recording"), ZeroDivisionError()])
def test_what_does_not_heal_ends_the_run_at_the_start_and_later(error: Exception) -> None:
    with pytest.raises(type(error)), reconnecting(Camera(error)):
        raise AssertionError("it was not there")
    with reconnecting(Camera(gives(1, UNPLUGGED), error)) as source:
        read(source, 1)
        with pytest.raises(type(error)):
            source.read()


def test_a_stream_that_ends_is_opened_again() -> None:
    signal = FakeSignal()
    with reconnecting(Camera(gives(1), lambda: FakeSource(0), gives(9)), STRICT, signal=signal) as source:
        read(source, 2)
    assert "lost: cam: the stream has ended" in signal.told


def test_a_silence_is_judged_by_the_clock_and_the_silent_one_is_left() -> None:
    signal = FakeSignal()
    camera = Camera(gives(2), gives(9))
    with reconnecting(camera, STRICT, signal=signal) as source:
        frames = read(source, 4)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert signal.told[0] == "back"
    assert signal.told[1].startswith("lost: cam: gives no more pictures")
    assert signal.told[2] == "back"
    assert camera.made[0].interrupted.is_set()


def test_reads_that_never_return_are_left_behind_up_to_a_limit_and_then_nobody_says_that_it_is_tried() -> None:
    release = threading.Event()

    def hang() -> FakeSource:
        # Interrupting it does nothing.
        return FakeSource(None, live=True, before_read=lambda index: release.wait(LIMIT_S))

    signal = FakeSignal()
    camera = Camera(*[hang] * MOST_HANGING, gives(9))
    with reconnecting(camera, HASTY, signal=signal, wait_for_it=True) as source:
        frames: list[Frame] = []
        reader = threading.Thread(target=lambda: frames.extend(read(source, 1)))
        reader.start()
        deadline = time.monotonic() + LIMIT_S
        while len(camera.made) < MOST_HANGING and time.monotonic() < deadline:
            time.sleep(0.01)
        # Long enough for the last one to be given up, and for another if there were one.
        time.sleep(4 * HASTY.open_s)
        tries = signal.tries
        time.sleep(1.2)
        assert len(camera.made) == MOST_HANGING
        assert signal.tries == tries
        release.set()
        reader.join(LIMIT_S)
    assert [frame.index for frame in frames] == [0]
    assert signal.told[-1] == "back"


def test_interrupting_ends_the_wait_for_a_picture_and_for_a_source() -> None:
    for camera in (Camera(gives(1)), Camera(gives(1, SourceDeniedError("no")), SourceDeniedError("no"))):
        with reconnecting(camera) as source:
            read(source, 1)
            threading.Timer(0.05, source.interrupt).start()
            assert source.read() is None
            assert source.read() is None
    early = reconnecting(Camera(gives(9)), wait_for_it=True)
    early.interrupt()
    with early as source:
        assert source.read() is None


class Endless(Patience):
    """Waits for ever between two tries."""

    def wait_s(self, tries: int) -> float:
        return 1e6


ENDLESS = Endless(first_s=0.001, denied_s=1e6, look_s=0.001, open_s=LIMIT_S, stall_s=LIMIT_S)


@pytest.mark.parametrize("error", [SourceAbsentError("cam: away"), SourceSilentError("cam: silent")])
def test_what_was_away_or_silent_is_tried_as_soon_as_it_is_there(error: Exception) -> None:
    camera = Camera(gives(1, error), error, gives(9))
    with reconnecting(camera, ENDLESS) as source:
        assert [frame.index for frame in read(source, 2)] == [0, 1]
    assert len(camera.made) == 3


@pytest.mark.parametrize("error", [SourceDeniedError("cam: wrong password"), SourceUnavailableError("cam: busy")])
def test_what_has_refused_is_tried_before_its_time_only_when_it_was_away_meanwhile(error: Exception) -> None:
    there = threading.Event()
    there.set()
    looks: list[bool] = []

    def is_there() -> bool:
        looks.append(there.is_set())
        return looks[-1]

    signal = FakeSignal()
    camera = Camera(error, gives(9))
    with reconnecting(camera, ENDLESS, signal=signal, wait_for_it=True, is_there=is_there) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        while len(looks) < 20:
            time.sleep(0.005)
        assert len(camera.made) == 1
        assert signal.told == [f"lost: {error}"]
        there.clear()
        while looks[-1]:
            time.sleep(0.005)
        there.set()
        reader.join(LIMIT_S)
    assert signal.told == [f"lost: {error}", "back"]


class Waits(Patience):
    """Notes after how many tries in vain the wait was asked for, and does not wait."""

    noted: list[int] = []  # noqa: RUF012 - one object for all of a frozen class

    def wait_s(self, tries: int) -> float:
        self.noted.append(tries)
        return 0.0


def test_waits_grow_until_pictures_have_come_for_a_while() -> None:
    def count_waits(steady_s: float) -> list[int]:
        Waits.noted.clear()
        patience = Waits(open_s=LIMIT_S, stall_s=LIMIT_S, steady_s=steady_s)
        camera = Camera(gives(2, UNPLUGGED), UNPLUGGED, UNPLUGGED, gives(3, UNPLUGGED), gives(9))
        with reconnecting(camera, patience) as source:
            read(source, 6)
        return list(Waits.noted)

    assert count_waits(steady_s=LIMIT_S) == [1, 2, 3, 4]
    assert count_waits(steady_s=0.0) == [1, 2, 3, 1]


def test_it_is_told_that_a_lost_source_is_being_looked_for() -> None:
    signal = FakeSignal()
    with reconnecting(Camera(SourceDeniedError("no")), signal=signal, wait_for_it=True) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        deadline = time.monotonic() + LIMIT_S
        while not signal.tries and time.monotonic() < deadline:
            time.sleep(0.01)
        source.interrupt()
        reader.join(LIMIT_S)
    assert signal.tries > 0
