"""PushSink against real servers: an RTSP server that records, and ffmpeg for RTMP, SRT and UDP."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from edgeseg.backoff import Backoff
from edgeseg.errors import UsageError
from edgeseg.events import Events
from edgeseg.frame import Frame, Segmentation
from edgeseg.push.address import PushAddress
from edgeseg.sinks import push as push_module
from edgeseg.sinks.h264 import SOFTWARE
from edgeseg.sinks.push import PushSink
from edgeseg.sinks.sink import PassedOver, Result
from tests.receivers import Receiver, why_no_receiver
from tests.rtsp import BITS, read_moment_ms
from tests.server_process import find_port

pytestmark = pytest.mark.server

WIDTH, HEIGHT = 640, 360
#: What takes longer hangs.
LIMIT_S = 60


def numbered(number: int) -> Result:
    """A result whose picture, as `read_moment_ms` reads it, says its number; below that it is of one colour."""
    picture = np.full((HEIGHT, WIDTH, 3), (180, 90, 40), np.uint8)
    side = WIDTH // BITS
    for bit in range(BITS):
        level = 235 if number >> (BITS - 1 - bit) & 1 else 16
        picture[:side, bit * side : (bit + 1) * side] = level
    ids = np.zeros((9, 16), np.uint8)
    frame = Frame(picture, number, time.monotonic_ns(), "numbered")
    return Result(Segmentation(frame, ids, ids), lambda it: it.frame.image.copy())


class Pushing:
    """A sink with its events, that is given numbered pictures."""

    def __init__(self, url: str, *, limit_s: float = 10.0) -> None:
        self.events = Events()
        self.sink = PushSink(
            PushAddress.parse(url), self.events, camera="front", limit_s=limit_s, backoff=Backoff(0.05, 0.1)
        )
        self.number = self.taken = self.passed_over = 0

    def __enter__(self) -> Pushing:
        self.sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sink.__exit__(kind, error, trace)

    def until(self, condition: Callable[[], object]) -> None:
        """Pushes about 100 pictures a second until something has happened."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"it did not happen; told: {self.told()}"
            self.number += 1
            try:
                self.sink.write(numbered(self.number))
                self.taken += 1
            except PassedOver:
                self.passed_over += 1
            time.sleep(0.01)

    def told(self) -> list[str]:
        return [event.kind for event in self.events.recent()]


def carriers() -> list[str]:
    """The processes that carry pictures for this one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes().decode() for child in children]
    return [command for command in commands if "edgeseg.push.carrier" in command]


@pytest.fixture(params=["rtsp", "rtmp", "srt", "udp"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    if (why_not := why_no_receiver(request.param)) is not None:
        pytest.skip(why_not)
    with Receiver(request.param, tmp_path) as receiver:
        yield receiver


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Receiver]:
    if (why_not := why_no_receiver("rtsp")) is not None:
        pytest.skip(why_not)
    with Receiver("rtsp", tmp_path) as recorder:
        yield recorder


def test_what_is_pushed_arrives_in_order_and_looks_as_it_did(receiver: Receiver) -> None:
    with Pushing(receiver.url) as it:
        it.until(lambda: receiver.count() >= 15)
        assert it.told() == ["push_live"]
        assert len(carriers()) == 1
    assert carriers() == []
    pictures = receiver.pictures()
    numbers = [read_moment_ms(picture) for picture in pictures]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] <= it.number
    for picture in pictures:
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(picture[40:].astype(int) - (180, 90, 40)).mean() < 3


def test_a_server_that_goes_and_comes_back_is_found_again(recorder: Receiver) -> None:
    with Pushing(recorder.url) as it:
        it.until(lambda: recorder.count() >= 5)
        recorder.kill()
        it.until(lambda: "push_lost" in it.told())
        it.until(lambda: it.passed_over > 10)
        recorder.start()
        before = it.number
        it.until(lambda: recorder.count() >= 5)
    assert [kind for kind in it.told() if kind == "push_live"] == ["push_live"] * 2
    assert read_moment_ms(recorder.pictures()[0]) >= before


def test_a_server_that_is_away_is_told_once_and_ends_nothing(recorder: Receiver) -> None:
    recorder.kill()
    with Pushing(recorder.url) as it:
        it.until(lambda: it.told() and it.passed_over > 30)
        (event,) = it.events.recent()
        assert (event.kind, event.camera, event.level) == ("push_lost", "front", "warning")
        assert event.text == f"no pictures go to {recorder.url}: connection refused"
        recorder.start()
        it.until(lambda: it.told()[-1] == "push_live")


@pytest.mark.parametrize(("password", "live"), [("right", True), ("wrong", False)])
def test_credentials_open_a_server_and_are_not_shown(tmp_path: Path, password: str, live: bool) -> None:
    if (why_not := why_no_receiver("rtsp")) is not None:
        pytest.skip(why_not)
    with Receiver("rtsp", tmp_path, credentials="sender:right") as recorder:
        with Pushing(recorder.url.replace("//", f"//sender:{password}@")) as it:
            it.until(it.told)
        assert it.told() == ["push_live" if live else "push_lost"]
        (event,) = it.events.recent()
        assert recorder.url in event.text
        assert password not in event.text
        assert live or "401" in event.text


def test_a_wrong_passphrase_is_told(tmp_path: Path) -> None:
    if (why_not := why_no_receiver("srt")) is not None:
        pytest.skip(why_not)
    with Receiver("srt", tmp_path) as receiver, Pushing(f"srt://127.0.0.1:{receiver.port}?passphrase=ten-signs-") as it:
        it.until(it.told)
    assert it.told() == ["push_lost"]
    assert (
        it.events.recent()[0].details["reason"] == "connection setup failure: connection rejected incorrect passphrase"
    )


def test_a_server_that_accepts_and_says_nothing_holds_nobody_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Pushing(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/key", limit_s=0.5) as it,
    ):
        it.until(lambda: "push_lost" in it.told())
        # The picture that says what the server must know, once a try, and no other.
        assert it.taken <= 2
        assert it.passed_over > 5
    assert it.events.recent()[0].text.endswith("/live/***: no answer within 0.5 s")
    assert carriers() == []


def test_a_server_that_takes_nothing_any_more_is_given_up_and_found_again(recorder: Receiver) -> None:
    with Pushing(recorder.url, limit_s=0.5) as it:
        it.until(lambda: it.told() == ["push_live"])
        recorder.stop()
        # What the system and the pipe take in the meantime: some megabytes, a few seconds of pictures.
        noise = np.random.default_rng(0)
        it.until(lambda: "push_lost" in it.told() or _write_noise(it, noise))
        recorder.go_on()
        it.until(lambda: it.told()[-1] == "push_live")


def _write_noise(it: Pushing, noise: np.random.Generator) -> bool:
    result = numbered(it.number)
    picture = noise.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    ids = np.zeros((9, 16), np.uint8)
    frame = Frame(picture, it.number, result.captured_ns, "noise")
    with contextlib.suppress(PassedOver):
        it.sink.write(Result(Segmentation(frame, ids, ids), lambda seen: seen.frame.image.copy()))
    return False


def test_pictures_that_change_their_size_go_on_at_the_first_ones(recorder: Receiver) -> None:
    with Pushing(recorder.url) as it:
        it.until(lambda: recorder.count() >= 3)
        large = np.full((720, 1280, 3), (180, 90, 40), np.uint8)
        ids = np.zeros((9, 16), np.uint8)
        before = recorder.count()
        for number in range(10):
            frame = Frame(large, number, time.monotonic_ns(), "large")
            it.sink.write(Result(Segmentation(frame, ids, ids), lambda seen: seen.frame.image.copy()))
        it.until(lambda: recorder.count() >= before + 10)
    assert {picture.shape for picture in recorder.pictures()} == {(HEIGHT, WIDTH, 3)}


def test_hardware_that_fails_is_not_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders = iter(["h264_v4l2m2m", SOFTWARE])
    monkeypatch.setattr(push_module, "choose_encoder", lambda *_: next(encoders))
    with Pushing(f"udp://127.0.0.1:{find_port()}") as it:
        it.until(lambda: "push_live" in it.told())
        assert it.told() == ["push_lost", "push_live"]


def test_without_libsrt_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.push.srt.LIBRARIES", ("libnone.so",))
    with pytest.raises(UsageError, match=r"push srt://127.0.0.1:\d+: no libsrt; as root: apt-get install"):
        Pushing(f"srt://127.0.0.1:{find_port()}")
