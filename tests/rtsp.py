"""RtspServer: the real server of rtsp_server.py, to be killed, stopped, stalled and started again on one port."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

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


def find_port() -> int:
    """A TCP port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def read_moment_ms(picture: NDArray[np.uint8]) -> int:
    """When the server drew a picture: milliseconds of the monotonic clock, of which 32 bits are kept."""
    square = picture.shape[1] // BITS
    middle = picture[square // 2, square // 2 :: square, 0]
    return int("".join("1" if level > 128 else "0" for level in middle[:BITS]), 2)


class RtspServer:
    """A camera on the network: rtsp://127.0.0.1:PORT/drive, 640x360 at 25 a second."""

    def __init__(self, credentials: str | None = None) -> None:
        """`credentials`, USER:PASSWORD, are asked of everybody who comes."""
        self.port = find_port()
        self._credentials = credentials
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address, with the credentials it asks for."""
        return f"rtsp://{self._credentials + '@' if self._credentials else ''}127.0.0.1:{self.port}/drive"

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, on the port it always has; returns when it listens."""
        arguments = [SYSTEM_PYTHON, str(SCRIPT), str(self.port), *([self._credentials] if self._credentials else [])]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")

    def kill(self) -> None:
        """Kills it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def end(self) -> None:
        """Ends it in good order: it says goodbye to whoever watches."""
        assert self._process is not None
        self._process.communicate(timeout=LIMIT_S)
        self._process = None

    def stop(self) -> None:
        """Stops the process (SIGSTOP): the system still takes connections for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets the stopped process go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

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
