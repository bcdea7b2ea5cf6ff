"""The real program with a real notification socket in the place of systemd's; needs neither root nor systemd."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.edgeseg.program import LIMIT_S, environment

#: Gives grey pictures of 64x48 ten times a second, for ever; none while the file it is given is there.
CAMERA = """
import os, sys, time
if os.path.exists(sys.argv[1]):
    sys.exit("unplugged")
while True:
    sys.stdout.buffer.write(bytes([time.monotonic_ns() >> 20 & 255]) * 64 * 48 * 3)
    sys.stdout.buffer.flush()
    time.sleep(0.1)
"""


class Service:
    """A running `edgeseg run` and what it has told."""

    def __init__(self, process: subprocess.Popen[str], channel: socket.socket, port: int) -> None:
        self.process, self.channel, self.port = process, channel, port

    def hear(self) -> dict[str, str]:
        """The next datagram, as its fields."""
        assert self.process.poll() is None, self.process.communicate()[1]
        return dict(line.split("=", 1) for line in self.channel.recv(65536).decode().split("\n"))

    def hear_until(self, field: str, value: str) -> list[dict[str, str]]:
        """Every datagram up to the one whose field holds that value."""
        deadline = time.monotonic() + LIMIT_S
        told: list[dict[str, str]] = []
        while not told or value not in told[-1].get(field, ""):
            assert time.monotonic() < deadline, told
            told.append(self.hear())
        return told

    def page_answers(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                connection.request("GET", "/healthz")
                connection.getresponse()
            except OSError:
                return False
            return True


Start = Callable[[str], Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(source): runs the program as a service that is watched every two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = str(tmp_path / "notify")
    config = tmp_path / "edgeseg.yaml"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.settimeout(LIMIT_S)
        processes: list[subprocess.Popen[str]] = []

        def run(source: str) -> Service:
            config.write_text(f"{source}\nhttp: {{address: 127.0.0.1:{port}}}\n", encoding="utf-8")
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "edgeseg", "run", "--config", str(config)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**environment(), "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"},
                )
            )
            return Service(processes[0], channel, port)

        try:
            yield run
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def test_ready_comes_once_and_the_page_answers_by_then(start: Start) -> None:
    service = start("source: synthetic:64x48@10")
    assert not service.page_answers()
    service.hear_until("READY", "1")
    assert service.page_answers()
    told = service.hear_until("STATUS", "camera: live") + [service.hear() for _ in range(4)]
    assert not any("READY" in fields for fields in told)
    assert any(fields.get("WATCHDOG") == "1" for fields in told)


def test_the_end_is_told_and_is_no_failure(start: Start) -> None:
    service = start("source: synthetic:64x48@10")
    service.hear_until("READY", "1")
    service.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + LIMIT_S
    told = b""
    while b"STOPPING=1" not in told:
        assert time.monotonic() < deadline
        told = service.channel.recv(65536)
    assert service.process.wait(LIMIT_S) == 0


def test_a_camera_whose_program_hangs_is_told_of_and_looking_for_it_counts_as_life(
    start: Start, tmp_path: Path
) -> None:
    program = tmp_path / "camera.py"
    program.write_text(CAMERA, encoding="ascii")
    unplugged = tmp_path / "unplugged"
    service = start(f"source: pipe:64x48@10/bgr24:{sys.executable} {program} {unplugged}")
    service.hear_until("STATUS", "camera: live")
    tasks = Path(f"/proc/{service.process.pid}/task").glob("*/children")
    (child,) = (int(child) for task in tasks for child in task.read_text(encoding="ascii").split())
    unplugged.touch()
    os.kill(child, signal.SIGSTOP)
    service.hear_until("STATUS", "no signal")
    service.hear_until("WATCHDOG", "1")
    unplugged.unlink()
    service.hear_until("STATUS", "camera: live")
