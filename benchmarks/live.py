"""What a live run takes and how soon it stops: `python -m benchmarks.live [SECONDS...]`, on Linux.

Runs `edgeseg run` on a 720p source with a video, records, the live page and one viewer, sends SIGTERM after each of the
given SECONDS, and prints the largest memory the process ever held (VmHWM; bar: 200 MB, of 10^6 bytes) and the seconds
from the signal to its end (bar: 3 s). Other work on the machine shows in the second figure.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av

from benchmarks.live_run import read_mb
from tests.server_process import find_port

SOURCE = "synthetic:1280x720@30"
MOMENTS_S = (0.5, 2.0, 5.0, 15.0, 60.0)
LIMIT_S = 60


def watch(port: int, ended: threading.Event, seen: list[int]) -> None:
    """Takes the picture stream as a browser does, from the moment the page is up; counts its bytes into `seen`."""
    while not ended.wait(0.05):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        # Before the page is up, and when the run ends.
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/stream.mjpg")
            answer = connection.getresponse()
            while part := answer.read1(1 << 16):
                seen.append(len(part))
        connection.close()


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def measure(seconds: float) -> str:
    """One run, stopped `seconds` after its viewer got the first picture; returns the line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        video, records = Path(folder) / "a.mp4", Path(folder) / "a.jsonl"
        port, ended, seen = find_port(), threading.Event(), list[int]()
        outputs = ["--save", str(video), "--save", str(records), "--http", f"127.0.0.1:{port}"]
        command = [sys.executable, "-m", "edgeseg", "run", SOURCE, *outputs]
        viewer = threading.Thread(target=watch, args=(port, ended, seen))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                viewer.start()
                deadline = time.monotonic() + LIMIT_S
                while not seen and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(seconds)
                if process.poll() is not None:
                    raise SystemExit(f"edgeseg ended by itself with {process.returncode}")
                peak_mb = read_mb(process.pid, "VmHWM")
                process.send_signal(signal.SIGTERM)
                peak_mb, taken_s = follow_to_end(process, peak_mb)
            finally:
                ended.set()
                process.kill()
                viewer.join()
        lines = len(records.read_text("utf-8").splitlines())
        return (
            f"{seconds:8.1f} {peak_mb:8.0f} {taken_s:8.2f} {process.returncode:5} {count_frames(video):7} {lines:8} "
            f"{sum(seen) / 1e6:8.1f}"
        )


def follow_to_end(process: subprocess.Popen[str], peak_mb: float) -> tuple[float, float]:
    """Waits for the end: the peak including that of closing the files, and the seconds it took."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < LIMIT_S:
        # The process may be gone between the two lines, or have given its memory back already.
        with contextlib.suppress(OSError, StopIteration):
            peak_mb = max(peak_mb, read_mb(process.pid, "VmHWM"))
        time.sleep(0.005)
    return peak_mb, time.monotonic() - began


def main() -> None:
    moments = [float(text) for text in sys.argv[1:]] or list(MOMENTS_S)
    print(f"edgeseg run {SOURCE} with mp4, jsonl, page and one viewer; {os.cpu_count()} processors")
    print(f"{'after s':>8} {'peak MB':>8} {'stop s':>8} {'exit':>5} {'frames':>7} {'records':>8} {'seen MB':>8}")
    for seconds in moments:
        print(measure(seconds), flush=True)


if __name__ == "__main__":
    main()
