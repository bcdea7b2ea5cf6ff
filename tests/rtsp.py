"""RtspServer: the real server of rtsp_server.py, to be killed, stopped, stalled and started again on one port."""

from __future__ import annotations

import contextlib
import select
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.server_process import ServerProcess, find_port

SCRIPT = Path(__file__).with_name("rtsp_server.py")
#: The one that Debian's packages for GStreamer are for.
SYSTEM_PYTHON = "/usr/bin/python3"
BITS = 32
#: What takes longer hangs.
LIMIT_S = 60


def why_no_server() -> str | None:
    """Why the server cannot run on this machine, None when it can."""
    command = [SYSTEM_PYTHON, str(SCRIPT), "--check"]
    with contextlib.suppress(OSError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return None
    return "no RTSP server here: run tests/install-servers"


def read_moment_ms(picture: NDArray[np.uint8]) -> int:
    """When the server drew a picture: milliseconds of the monotonic clock, of which 32 bits are kept."""
    square = picture.shape[1] // BITS
    middle = picture[square // 2, square // 2 :: square, 0]
    return int("".join("1" if level > 128 else "0" for level in middle[:BITS]), 2)


class RtspServer(ServerProcess):
    """A camera on the network: rtsp://127.0.0.1:PORT/drive, 640x360 at 25 a second."""

    def __init__(self, credentials: str | None = None) -> None:
        """`credentials`, USER:PASSWORD, are asked of everybody who comes."""
        super().__init__()
        self.port = find_port()
        self._credentials = credentials

    @property
    def url(self) -> str:
        """Its address, with the credentials it asks for."""
        return f"rtsp://{self._credentials + '@' if self._credentials else ''}127.0.0.1:{self.port}/drive"

    def start(self) -> None:
        """Starts it, on the port it always has; returns when it listens."""
        arguments = [SYSTEM_PYTHON, str(SCRIPT), str(self.port), *([self._credentials] if self._credentials else [])]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")

    def end(self) -> None:
        """Ends it in good order: it says goodbye to whoever watches."""
        assert self._process is not None
        self._process.communicate(timeout=LIMIT_S)
        self._process = None

    def stall(self) -> None:
        """Keeps the connections and sends no more pictures."""
        self._say("stall")

    def unstall(self) -> None:
        """Sends pictures again."""
        self._say("go")

    def _say(self, order: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        self._expect("done")

    def _expect(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], LIMIT_S)[0]:
            raise TimeoutError(f"the RTSP server does not say '{word}'")
        said = self._process.stdout.readline().strip()
        if said != word:
            raise RuntimeError(f"the RTSP server says '{said}' and not '{word}'")
