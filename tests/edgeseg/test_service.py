"""What of a run reaches systemd: the cameras' state in one line, and life only while every camera's loop has it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgeseg.health import Health
from edgeseg.ladder import Step
from edgeseg.service import describe_run, notifier_for

FULL = Step(None, 1, 0, 0, 3)


@dataclass
class Camera:
    """A camera that is as a test says."""

    alive: bool = True
    text: str = "live"

    def describe(self) -> str:
        return self.text


class Clock:
    """A clock that goes on by a minute with every look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 60.0
        return self.now


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd listens on, named in the environment."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "20000000")
        yield channel


def heard(channel: socket.socket) -> str:
    text = ""
    while True:
        try:
            text += channel.recv(4096).decode() + "\n"
        except BlockingIOError:
            return text


def test_outside_of_a_service_there_is_nobody_to_tell() -> None:
    assert "NOTIFY_SOCKET" not in os.environ
    assert notifier_for({"camera": Camera()}, page_url=lambda: None, step=lambda: FULL) is None


def test_without_a_page_the_run_is_ready_at_once_also_while_its_camera_is_away(systemd: socket.socket) -> None:
    health = Health()
    health.lost("/dev/video0: no such camera")
    notifier = notifier_for({"camera": health}, page_url=lambda: None, step=lambda: FULL)
    assert notifier is not None
    notifier.tick()
    text = heard(systemd)
    assert "READY=1\n" in text
    assert "STATUS=camera: no signal for 0 s (/dev/video0: no such camera)\n" in text
    assert "WATCHDOG=1\n" in text


class Answers(BaseHTTPRequestHandler):
    """A page."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_with_a_page_it_is_ready_when_that_answers(systemd: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    urls = [f"http://127.0.0.1:{free}"]
    notifier = notifier_for({"camera": Camera()}, page_url=lambda: urls[0], step=lambda: FULL, clock=Clock())
    assert notifier is not None
    notifier.tick()
    assert "READY" not in heard(systemd)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        urls[0] = f"http://127.0.0.1:{page.server_address[1]}"
        notifier.tick()
        page.shutdown()
    assert "READY=1" in heard(systemd)


def test_one_camera_whose_loop_stands_still_is_enough_to_let_the_watchdog_bite(systemd: socket.socket) -> None:
    stands, runs = Camera(), Camera()
    notifier = notifier_for({"a": stands, "b": runs}, page_url=lambda: None, step=lambda: FULL, clock=Clock())
    assert notifier is not None
    notifier.tick()
    assert "WATCHDOG=1" in heard(systemd)
    stands.alive = False
    notifier.tick()
    assert "WATCHDOG=1" not in heard(systemd)
    stands.alive = True
    notifier.tick()
    assert "WATCHDOG=1" in heard(systemd)


def test_the_line_names_every_camera_and_the_rung_when_less_is_done() -> None:
    live, lost = Health(), Health()
    live.progressed(1)
    live.back()
    lost.lost("unplugged")
    cameras = {"front": live, "rear": lost}
    assert describe_run(cameras, FULL) == "front: live; rear: no signal for 0 s (unplugged)"
    hot = Step(8.0, 1, 0, 2, 3, "80 °C, the limit is 78")
    assert describe_run({"front": live}, hot) == (
        "front: live; rung 2 of 3: at most 8 frames a second, 1 thread, full size (80 °C, the limit is 78)"
    )
