"""Receivers: real servers that pictures are pushed to, and what they took."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from edgeseg.push.srt import load_library
from tests.rtsp import SYSTEM_PYTHON
from tests.server_process import ServerProcess, find_port

RECORDER = Path(__file__).with_name("rtsp_recorder.py")
PASSPHRASE = "correct-horse"
#: How ffmpeg waits for whoever pushes. What comes is probed for no longer than it takes to come.
LISTEN = {
    "rtmp": (["-listen", "1"], "rtmp://127.0.0.1:{port}/live/key"),
    "srt": ([], "srt://127.0.0.1:{port}?mode=listener&passphrase=" + PASSPHRASE),
    "udp": ([], "udp://127.0.0.1:{port}"),
}
#: Where it is pushed to.
PUSH = {
    "rtsp": "rtsp://127.0.0.1:{port}/drive",
    "rtmp": "rtmp://127.0.0.1:{port}/live/key",
    "srt": "srt://127.0.0.1:{port}?passphrase=" + PASSPHRASE,
    "udp": "udp://127.0.0.1:{port}",
}


@functools.lru_cache
def why_no_receiver(scheme: str) -> str | None:
    """Why nothing can be pushed by a scheme on this machine, None when it can."""
    found = False
    with contextlib.suppress(OSError):
        if scheme == "rtsp":
            found = subprocess.run([SYSTEM_PYTHON, str(RECORDER), "--check"], check=False).returncode == 0
        else:
            found = shutil.which("ffmpeg") is not None
        if scheme == "srt":
            load_library()
    return None if found else f"no receiver for {scheme} here: run tests/install-servers"


class Receiver(ServerProcess):
    """A server for one scheme on a port of its own; what it takes is a byte stream of H.264 in `file`."""

    def __init__(self, scheme: str, folder: Path, *, credentials: str | None = None) -> None:
        """`credentials`, USER:PASSWORD, are asked of who pushes by RTSP."""
        super().__init__()
        self.scheme, self.credentials = scheme, credentials
        self.port = find_udp_port() if scheme in ("srt", "udp") else find_port()
        self.url = PUSH[scheme].format(port=self.port)
        self._folder, self._starts = folder, 0

    @property
    def file(self) -> Path:
        return self._folder / f"{self.scheme}-{self._starts}.h264"

    def start(self) -> None:
        """Starts it, into a new file; returns when it listens."""
        self._starts += 1
        if self.scheme == "rtsp":
            command = [SYSTEM_PYTHON, str(RECORDER), str(self.port), str(self.file)]
            self._process = subprocess.Popen(
                [*command, *([self.credentials] if self.credentials else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n"
            return
        options, url = LISTEN[self.scheme]
        command = ["ffmpeg", "-v", "error", "-fflags", "nobuffer", "-probesize", "32", "-fpsprobesize", "0", *options]
        output = ["-c", "copy", "-f", "h264", "-flush_packets", "1", str(self.file)]
        self._process = subprocess.Popen(
            [*command, "-i", url.format(port=self.port), *output],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._listens():
            assert self._process.poll() is None, "ffmpeg has ended"
            time.sleep(0.01)

    def count(self) -> int:
        """Returns how many pictures it took so far."""
        # A slice begins a picture when its first number, the first block's, is 0: a single 1 in exponential Golomb.
        return len(re.findall(rb"\x00\x00\x01[\x01\x05\x21\x25\x41\x45\x61\x65][\x80-\xff]", self._taken()))

    def pictures(self) -> list[NDArray[np.uint8]]:
        """Returns what can be decoded of what it took so far, BGR (H, W, 3)."""
        return decode(self._taken())

    def _taken(self) -> bytes:
        return self.file.read_bytes() if self.file.exists() else b""

    def _listens(self) -> bool:
        # Asking it would take the place of who is to come: ffmpeg serves one.
        kind = "tcp" if self.scheme == "rtmp" else "udp"
        port = f":{self.port:04X}"
        return any(line.split()[1].endswith(port) for line in Path(f"/proc/net/{kind}").read_text().splitlines())


def decode(stream: bytes) -> list[NDArray[np.uint8]]:
    """Returns the pictures of a byte stream of H.264, up to where it is cut off."""
    found: list[NDArray[np.uint8]] = []
    with contextlib.suppress(av.error.FFmpegError), av.open(io.BytesIO(stream), format="h264") as container:
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="bgr24"))
    return found


def find_udp_port() -> int:
    """A UDP port that nobody has just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
