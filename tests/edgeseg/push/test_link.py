"""Link: the process that carries pictures, from the outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgeseg.push.address import PushAddress
from edgeseg.push.carrier import Picture
from edgeseg.push.link import BACKLOG_BYTES, Link, LinkLostError
from edgeseg.sinks.h264 import SOFTWARE, H264Encoder
from tests.broker import wait_until
from tests.edgeseg.program import environment
from tests.server_process import find_port


def make_picture() -> Picture:
    (packet,) = H264Encoder(SOFTWARE, 64, 48).encode(np.full((48, 64, 3), 90, np.uint8), 0, keyframe=True)
    return Picture(bytes(packet), 0, True)


def wait_for_the_end(link: Link) -> str:
    try:
        wait_until(lambda: link.look() and False)
    except LinkLostError as error:
        return str(error)
    raise AssertionError


def test_what_is_not_a_picture_is_told_and_ends_only_the_process() -> None:
    link = Link(PushAddress(f"udp://127.0.0.1:{find_port()}"))
    link.send(Picture(b"this is no H.264", 0, True))
    assert "invalid data" in wait_for_the_end(link)
    with pytest.raises(LinkLostError, match="invalid data"):
        link.send(make_picture())
    link.close()


def test_a_process_that_is_killed_is_noticed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        link = Link(PushAddress(f"udp://127.0.0.1:{receiver.getsockname()[1]}"))
        link.send(make_picture())
        wait_until(lambda: link.look() == "live")
        assert len(receiver.recv(2000)) % 188 == 0
        os.kill(link.pid, signal.SIGKILL)
        assert wait_for_the_end(link) == "its process has ended with -9"
        link.close()


def test_datagrams_hold_whole_packets_of_mpeg_ts() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    (packet,) = H264Encoder(SOFTWARE, 640, 360).encode(noise, 0, keyframe=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        link = Link(PushAddress(f"udp://127.0.0.1:{receiver.getsockname()[1]}?ttl=1"))
        link.send(Picture(bytes(packet), 0, True))
        sizes = [len(receiver.recv(65536)) for _ in range(50)]
        link.close()
    assert {size % 188 for size in sizes} == {0}
    assert max(sizes) == 7 * 188


def test_a_pipe_that_fills_up_is_crowded_and_then_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Link(PushAddress(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live"))
        link.send(make_picture())
        assert not link.crowded
        # The process is busy with the server and reads nothing.
        link.send(Picture(bytes(BACKLOG_BYTES + 100_000), 1, False))
        assert link.crowded
        with pytest.raises(LinkLostError, match="too slowly"):
            link.send(Picture(bytes(100 * BACKLOG_BYTES), 1, False))
        link.close()


def test_the_process_ends_when_ours_is_killed() -> None:
    code = (
        "import os, sys, time; from edgeseg.push.address import PushAddress; from edgeseg.push.link import Link\n"
        "link = Link(PushAddress('udp://127.0.0.1:9')); print(link.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        carrier = Path(f"/proc/{int(process.stdout.readline())}/stat")
        process.kill()
    # Nobody may have taken note of its end yet (a container without an init): then it is a Z.
    wait_until(lambda: not carrier.exists() or carrier.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z")


def test_what_a_terminal_or_systemd_sends_to_all_is_not_for_the_process() -> None:
    link = Link(PushAddress("udp://127.0.0.1:9"))
    assert os.getsid(link.pid) != os.getsid(0)
    link.send(make_picture())
    wait_until(lambda: link.look() == "live")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(link.pid, number)
    time.sleep(0.1)
    assert link.look() == "live"
    process = Path(f"/proc/{link.pid}")
    link.close()
    assert not process.exists()
