"""ServerProcess: a real server in a process of its own, to be killed, stopped and started again on one port."""

from __future__ import annotations

import signal
import socket
import subprocess
from types import TracebackType
from typing import Any, TypeVar

Self = TypeVar("Self", bound="ServerProcess")


def find_port() -> int:
    """A TCP port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class ServerProcess:
    """What all of them can do; `start()`, which sets `_process` and returns when it listens, is each one's own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self: Self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it; returns when it listens."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kills it at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> None:
        """Stops the process (SIGSTOP): the system still takes connections, and bytes, for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets the stopped process go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
