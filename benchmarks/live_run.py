"""LiveRun: `edgeseg run` in a process of its own, with its live page, for benchmarks to look at from outside."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.server_process import find_port

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 60.0


def read_mb(pid: int, field: str = "VmRSS") -> float:
    """Returns a process's resident memory (VmRSS), or the largest it ever was (VmHWM), in MB of 10^6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")) * 1024 / 1e6


class LiveRun:
    """Runs edgeseg with these arguments and a page while the block lasts; entered once it segments."""

    def __init__(self, *arguments: str) -> None:
        self.port = find_port()
        self._command = [sys.executable, "-m", "edgeseg", "run", *arguments, "--http", f"127.0.0.1:{self.port}"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, "it has not been started"
        return self.process.pid

    def ask_state(self) -> dict[str, Any]:
        """Returns what the page tells of the run."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/state", timeout=10) as answer:
            return dict(json.load(answer))

    def __enter__(self) -> LiveRun:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                if self.ask_state()["cameras"][0]["frames"]["segmented"] > 5:
                    return self
            time.sleep(0.1)
        self.process.kill()
        raise SystemExit("edgeseg did not begin to segment")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()


def read_stream(port: int, query: str = "") -> Iterator[tuple[dict[str, str], bytes]]:
    """Yields headers and JPEG of each picture of the page's stream, on one connection, until that ends.

    What shows that the camera is lost is a picture too, one without the header x-age-ms.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", f"/stream.mjpg?{query}")
        answer = connection.getresponse()
        while answer.status == 200 and answer.readline():  # the boundary
            head = {}
            while (line := answer.readline()).strip():
                name, _, value = line.decode().lower().strip().partition(": ")
                head[name] = value
            if not line:  # it ends amid a head
                return
            jpeg = answer.read(length := int(head["content-length"]))
            if len(jpeg) < length:
                return
            yield head, jpeg
            answer.readline()
    except (http.client.IncompleteRead, ConnectionError):
        return  # cut off amid a picture
    finally:
        connection.close()
