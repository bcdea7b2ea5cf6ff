"""What systemd hears, on a real notification socket."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgeseg.systemd_notify import Notifier, NotifySocket, page_answers


class Systemd:
    """The end of the socket that systemd holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind("\0" + address[1:] if address.startswith("@") else address)
        self.channel.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        """Every datagram since the last look, as its fields."""
        datagrams = []
        while True:
            try:
                text = self.channel.recv(65536).decode()
            except BlockingIOError:
                return datagrams
            datagrams.append(dict(line.split("=", 1) for line in text.split("\n")))


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@edgeseg-test-{os.getpid()}"
    end = Systemd(address)
    with end.channel:
        yield end


class Run:
    """What a notifier asks, as a test sets it, and a clock that a test moves."""

    def __init__(self, systemd: Systemd, watchdog_s: float | None = 20.0) -> None:
        self.ready, self.alive, self.status, self.now = False, True, "loading", 100.0
        self.asked_ready = 0
        self.systemd = systemd
        self.notifier = Notifier(
            NotifySocket(systemd.address),
            ready=self._is_ready,
            alive=lambda: self.alive,
            status=lambda: self.status,
            watchdog_s=watchdog_s,
            clock=lambda: self.now,
        )

    def _is_ready(self) -> bool:
        self.asked_ready += 1
        return self.ready

    def after(self, seconds: float) -> list[dict[str, str]]:
        """What was told during that time, with a tick every half second."""
        heard = []
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.notifier.tick()
            # Taken at once, as systemd does: the kernel holds ten datagrams and then makes the sender wait.
            heard += self.systemd.heard()
        return heard


def test_ready_is_told_once_and_not_before_it_is_true(systemd: Systemd) -> None:
    run = Run(systemd, watchdog_s=None)
    assert run.after(5) == [{"STATUS": "loading"}]
    run.ready, run.status = True, "/dev/video0: 25.0 frames/s"
    assert run.after(1) == [{"READY": "1", "STATUS": "/dev/video0: 25.0 frames/s"}]
    asked = run.asked_ready
    assert run.after(60) == []
    assert run.asked_ready == asked


def test_the_status_is_told_when_it_changes(systemd: Systemd) -> None:
    run = Run(systemd, watchdog_s=None)
    run.after(2)
    run.status = "front: lost, looking for it"
    assert run.after(3) == [{"STATUS": "front: lost, looking for it"}]


def test_a_status_of_several_lines_stays_one_field(systemd: Systemd) -> None:
    run = Run(systemd, watchdog_s=None)
    run.status = "fine\nREADY=1"
    assert run.after(1) == [{"STATUS": "fine READY=1"}]


def test_the_watchdog_is_fed_four_times_in_its_time_while_something_advances(systemd: Systemd) -> None:
    run = Run(systemd, watchdog_s=20.0)
    assert [it for it in run.after(60) if "WATCHDOG" in it] == [{"WATCHDOG": "1"}] * 12


def test_the_watchdog_is_not_fed_while_nothing_advances_and_again_as_soon_as_something_does(systemd: Systemd) -> None:
    run = Run(systemd, watchdog_s=20.0)
    run.after(10)
    run.alive = False
    assert run.after(120) == []
    run.alive = True
    assert run.after(0.5) == [{"WATCHDOG": "1"}]


def test_a_service_without_a_watchdog_feeds_none(systemd: Systemd) -> None:
    assert not any("WATCHDOG" in it for it in Run(systemd, watchdog_s=None).after(100))


def test_the_end_is_told(systemd: Systemd) -> None:
    Run(systemd).notifier.stopping()
    assert systemd.heard() == [{"STOPPING": "1", "STATUS": "ended"}]


def test_a_socket_that_is_gone_is_told_of_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channel = NotifySocket(str(tmp_path / "gone"))
    channel.send(READY=1)
    channel.send(WATCHDOG=1)
    assert len(caplog.records) == 1
    assert "gone" in caplog.text


def from_environment(environment: dict[str, str]) -> Notifier | None:
    return Notifier.from_environment(
        ready=lambda: True, alive=lambda: True, status=lambda: "fine", environment=environment
    )


def test_outside_of_a_service_there_is_no_notifier() -> None:
    assert from_environment({}) is None
    assert from_environment({"NOTIFY_SOCKET": ""}) is None
    assert from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}) is None


def test_the_environment_says_where_and_how_often_and_children_do_not_inherit_it(systemd: Systemd) -> None:
    environment = {
        "NOTIFY_SOCKET": systemd.address,
        "WATCHDOG_USEC": "20000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/usr/bin",
    }
    notifier = from_environment(environment)
    assert notifier is not None
    assert environment == {"PATH": "/usr/bin"}
    notifier.tick()
    assert systemd.heard() == [{"READY": "1", "STATUS": "fine"}, {"WATCHDOG": "1"}]


@pytest.mark.parametrize("watchdog", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}])
def test_a_watchdog_that_is_not_ours_or_makes_no_sense_is_not_fed(systemd: Systemd, watchdog: dict[str, str]) -> None:
    notifier = from_environment({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000", **watchdog})
    assert notifier is not None
    notifier.tick()
    assert systemd.heard() == [{"READY": "1", "STATUS": "fine"}]


class Refuses(BaseHTTPRequestHandler):
    """A page that wants a login."""

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_page_answers_also_when_it_wants_a_login() -> None:
    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        port = server.server_address[1]
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert page_answers(f"http://0.0.0.0:{port}") is True
        thread.join()
    assert page_answers(f"http://127.0.0.1:{port}") is False


def test_a_port_that_says_nothing_is_no_page() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert page_answers(f"http://127.0.0.1:{mute.getsockname()[1]}") is False
