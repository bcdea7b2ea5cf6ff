"""Runs everything for a long time: `python -m benchmarks.soak [--minutes 60] [--samples FILE.csv]`, from the checkout.

Needs mosquitto.

The bundled drive in a loop, with the page, a viewer that comes and goes, the recorder and MQTT to a real broker. Bar:
after ten minutes of warm-up the resident memory grows by less than 2 MB an hour (the slope of a line fitted to it), and
at the end there are no more threads and descriptors than after the warm-up.

Prints a JSON line and ends with 1 when the bar is missed. --samples keeps what was measured, every ten seconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.live_run import read_mb
from tests.server_process import find_port

DRIVE = Path(__file__).parents[1] / "examples" / "drive" / "highway.mp4"
WARM_UP_S = 600.0
EVERY_S = 10.0
LIMIT_MB_AN_HOUR = 2.0


def sample(pid: int) -> tuple[float, int, int]:
    """Returns resident MB, threads and open descriptors of a process."""
    process = Path(f"/proc/{pid}")
    threads = len(list((process / "task").iterdir()))
    return read_mb(pid), threads, len(list((process / "fd").iterdir()))


def watch_for(port: int, seconds: float) -> int:
    """Takes the picture stream for some seconds, as a viewer does, and leaves; returns how many bytes came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    count, end_at = 0, time.monotonic() + seconds
    try:
        connection.request("GET", "/stream.mjpg")
        answer = connection.getresponse()
        while time.monotonic() < end_at and (part := answer.read1(1 << 16)):
            count += len(part)
    finally:
        connection.close()
    return count


def soak(folder: Path, minutes: float, keep: Path | None = None) -> dict[str, object]:
    broker_port, page_port = find_port(), find_port()
    config = folder / "edgeseg.yaml"
    config.write_text(
        f"source: {DRIVE}\nloop: true\n"
        f"http: {{address: {page_port}}}\n"
        f"recording: {{folder: {folder / 'recordings'}, keep: {{size: 200MB}}}}\n"
        f"mqtt: {{broker: 127.0.0.1:{broker_port}}}\n"
        "person_in_path: {corridor: [[0.2, 1], [0.44, 0.55], [0.56, 0.55], [0.8, 1]]}\n",
        encoding="utf-8",
    )
    broker = subprocess.Popen(
        ["mosquitto", "-p", str(broker_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log = (folder / "log").open("wb")
    run = subprocess.Popen([sys.executable, "-m", "edgeseg", "run", "--config", str(config)], stdout=log, stderr=log)
    samples: list[tuple[float, float, int, int]] = []
    seen = 0
    began = time.monotonic()
    try:
        while (elapsed_s := time.monotonic() - began) < minutes * 60:
            if run.poll() is not None:
                raise SystemExit(f"edgeseg ended by itself: {(folder / 'log').read_text()[-2000:]}")
            if elapsed_s > EVERY_S:
                seen += watch_for(page_port, EVERY_S / 2)
            time.sleep(EVERY_S / 2)
            # Between two viewers, so that a connection of theirs is not taken for a leak.
            samples.append((time.monotonic() - began, *sample(run.pid)))
            if keep is not None:
                np.savetxt(keep, samples, "%.1f,%.2f,%d,%d", header="seconds,rss_mb,threads,descriptors", comments="")
        run.send_signal(signal.SIGTERM)
        code = run.wait(30)
    finally:
        run.kill()
        broker.kill()
        run.wait()
        broker.wait()
        log.close()
    return judge(np.array(samples), minutes) | {"seen_mb": round(seen / 1e6), "exit": code}


def judge(samples: np.ndarray, minutes: float) -> dict[str, object]:
    """`samples`: rows of seconds, MB, threads, descriptors."""
    warm_up_s = min(WARM_UP_S, minutes * 60 / 3)
    after = samples[samples[:, 0] >= warm_up_s]
    slope_mb_h = float(np.polyfit(after[:, 0] / 3600, after[:, 1], 1)[0])
    head, tail = after[: len(after) // 5], after[-(len(after) // 5) :]
    threads, descriptors = (int(tail[:, column].max() - head[:, column].max()) for column in (2, 3))
    return {
        "minutes": minutes,
        "processors": os.cpu_count(),
        "rss_mb": {"warm": round(float(after[0, 1]), 1), "end": round(float(after[-1, 1]), 1)},
        "slope_mb_an_hour": round(slope_mb_h, 2),
        "threads_more": threads,
        "descriptors_more": descriptors,
        "met": slope_mb_h < LIMIT_MB_AN_HOUR and threads <= 0 and descriptors <= 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--samples", type=Path, metavar="FILE.csv", help="keep every sample of memory there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), arguments.minutes, arguments.samples)
    print(json.dumps(found))
    return int(not found["met"])


if __name__ == "__main__":
    sys.exit(main())
