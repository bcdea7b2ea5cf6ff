"""How old live results are when they reach a sink: `python -m benchmarks.age [SECONDS]`, from the checkout.

Plays a 720p H.264 file of 30 frames a second live, as a camera gives them, with an overlay video, records, the page and
a viewer. The bar: the 99th percentile of the age of a record, from capture until it is written, is at most 1.5 frame
intervals plus one inference (the median of the run's own); and nothing piles up: in the last quarter results are no
older than in the first by more than a frame interval, and memory, from ten seconds on, no larger by more than 5 MB.

Prints a JSON line and ends with 1 when the bar is missed. Other work on the machine counts as the run's own waiting.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2

from benchmarks.live import watch
from benchmarks.live_run import read_mb
from edgeseg.sources.video import VideoFileSource
from tests.server_process import find_port

DRIVE = Path(__file__).parents[1] / "examples" / "drive" / "highway.mp4"
FPS = 30
SETTLED_S = 10.0
LIMIT_MB = 5.0


def make_30_fps(path: Path) -> None:
    """Writes the bundled drive at 1280x720 and 30 frames a second."""
    with av.open(str(path), "w") as target, VideoFileSource(DRIVE, live=False) as source:
        stream = target.add_stream("libx264", rate=FPS, options={"preset": "fast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        while (frame := source.read()) is not None:
            image = av.VideoFrame.from_ndarray(cv2.resize(frame.image, (1280, 720)), format="bgr24")
            image.pts, image.time_base = frame.index, Fraction(1, FPS)
            target.mux(stream.encode(image))
        target.mux(stream.encode(None))


def run(folder: Path, seconds: float) -> tuple[list[dict[str, float]], list[float]]:
    """Returns the records of a run, and its memory in MB, once a second from when it had settled."""
    clip, records = folder / "drive.mp4", folder / "out.jsonl"
    make_30_fps(clip)
    port, ended, seen = find_port(), threading.Event(), list[int]()
    outputs = ["--save", str(folder / "out.mp4"), "--save", str(records), "--http", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "edgeseg", "run", str(clip), "--loop", *outputs]
    viewer = threading.Thread(target=watch, args=(port, ended, seen))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            viewer.start()
            began_s = time.monotonic()
            time.sleep(SETTLED_S)
            memory_mb = [read_mb(process.pid)]
            while time.monotonic() - began_s < seconds:
                time.sleep(1.0)
                memory_mb.append(read_mb(process.pid))
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            ended.set()
            process.kill()
            viewer.join()
    lines = records.read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines], memory_mb


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        records, memory_mb = run(Path(folder), seconds)
    ages = [record["age_ms"] for record in records]
    inference_ms = statistics.median(record["timings_ms"]["inference"] for record in records)  # type: ignore[index]
    quarter, share = len(ages) // 4, max(1, len(memory_mb) // 4)
    found = {
        "frames": len(records),
        "frames_per_second": round((len(records) - 1) / (records[-1]["time_s"] - records[0]["time_s"]), 2),
        "age_ms": {f"p{percent}": statistics.quantiles(ages, n=100)[percent - 1] for percent in (50, 95, 99)},
        "inference_ms": inference_ms,
        "limit_ms": round(1.5 * 1e3 / FPS + inference_ms, 1),
        "older_at_the_end_ms": round(statistics.median(ages[-quarter:]) - statistics.median(ages[:quarter]), 2),
        # Medians: from one picture to the next it goes up and down by some megabytes.
        "grown_mb": round(statistics.median(memory_mb[-share:]) - statistics.median(memory_mb[:share]), 2),
    }
    found["met"] = (
        found["age_ms"]["p99"] <= found["limit_ms"]
        and found["older_at_the_end_ms"] <= 1e3 / FPS
        and found["grown_mb"] <= LIMIT_MB
    )
    print(json.dumps(found))
    return int(not found["met"])


if __name__ == "__main__":
    sys.exit(main())
