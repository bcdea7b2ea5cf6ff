"""Link: our end of the process that carries pictures to a server."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from typing import Literal

from edgeseg.push.address import PushAddress
from edgeseg.push.carrier import HEADER, Picture

#: Room for the largest first picture while the process is still starting (the most that the system gives everybody).
PIPE_BYTES = 1 << 20
#: What may wait in the pipe before a picture is passed over: the network is slower than the camera.
BACKLOG_BYTES = 128 * 1024
#: How long a pipe that has room for a part of a picture only may take to have it for the rest.
WRITE_LIMIT_S = 1.0
CLOSE_LIMIT_S = 1.5
#: How long a server may take to accept us, and to take a picture.
SERVER_LIMIT_S = 10.0


class LinkLostError(Exception):
    """The server, or the way there, is no more; the message says why."""


class Link:
    """Starts the process, or raises OSError; `send()` and `look()` never wait for the network."""

    def __init__(self, address: PushAddress, *, limit_s: float = SERVER_LIMIT_S) -> None:
        """`limit_s` is how long the server may take to accept us, and to take a picture."""
        self._limit_s = limit_s
        # Isolated as we are, or it would not find what we have found.
        isolated = ["-I"] if sys.flags.isolated else []
        self._process = subprocess.Popen(
            [sys.executable, *isolated, "-m", "edgeseg.push.carrier"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # What is sent to a terminal's programs is not for this one.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pipe, self._words = self._process.stdin.fileno(), self._process.stdout.fileno()
        with contextlib.suppress(OSError):
            # Refused to a user who has many pipes; then the first picture waits for the process to start.
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for end in (self._pipe, self._words):
            os.set_blocking(end, False)
        self._heard = b""
        self._state: Literal["connecting", "live"] = "connecting"
        self._write(json.dumps({"url": address.url, "limit_s": limit_s}).encode() + b"\n")

    def look(self) -> Literal["connecting", "live"]:
        """Returns whether the server takes pictures. Raises LinkLostError."""
        with contextlib.suppress(BlockingIOError):
            while words := os.read(self._words, 4096):
                self._heard += words
            # It has ended.
            raise LinkLostError(self._why())
        if self._heard.startswith(b"live\n"):
            self._state = "live"
        return self._state

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def crowded(self) -> bool:
        """Whether so much waits in the pipe that a picture had better be passed over."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._pipe, termios.FIONREAD, waiting)
        return waiting[0] > BACKLOG_BYTES

    def send(self, picture: Picture) -> None:
        """Hands a picture over. Raises LinkLostError."""
        self._write(HEADER.pack(len(picture.data), picture.pts, picture.keyframe) + picture.data)

    def close(self) -> None:
        """Ends the process, after the last pictures if it is quick about them."""
        for channel in (self._process.stdin, self._process.stdout):
            assert channel is not None
            channel.close()
        try:
            self._process.wait(CLOSE_LIMIT_S if self._state == "live" else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        deadline_s = time.monotonic() + WRITE_LIMIT_S
        poll = select.poll()
        poll.register(self._pipe, select.POLLOUT)
        while rest:
            try:
                rest = rest[os.write(self._pipe, rest) :]
            except BlockingIOError:
                if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1e3):
                    raise LinkLostError("it takes pictures too slowly") from None
            except BrokenPipeError:
                raise LinkLostError(self._why()) from None

    def _why(self) -> str:
        """Returns why the process has ended, or is about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_LIMIT_S)
        with contextlib.suppress(BlockingIOError):
            while words := os.read(self._words, 4096):
                self._heard += words
        for line in self._heard.decode(errors="replace").splitlines():
            if line.startswith("lost "):
                return line.removeprefix("lost ")
        if self._process.returncode == -signal.SIGALRM:
            return f"no answer within {self._limit_s:g} s"
        return f"its process has ended with {self._process.returncode}"
