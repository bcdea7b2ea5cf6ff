"""Thirty viewers of the live page: `python -m benchmarks.viewers [--rounds 6] [--seconds 10]`, from the checkout.

Runs `edgeseg run` on the bundled drive, looped at its own 25 frames a second, and watches it in turns by nobody and by
15 viewers who take what they get, 10 who read at 10 kB/s and 5 who read nothing. In the median of the rounds as many
frames a second must be segmented with them as without, within 5 per cent. Prints one JSON object; the exit code says
whether that held. The viewers are one process that gives way to everything else (nice 19), for on the machine that it
is meant to measure they would be elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.live_run import LIMIT_S, ROOT, LiveRun

CLIP = ROOT / "examples" / "drive" / "highway.mp4"
BAR = 0.95
QUICK, SLOW, STALLED = 15, 10, 5
SLOW_BYTES_PER_S = 10_000
#: Between two turns: viewers come and go, and what they leave behind is not counted to the next.
CALM_S = 1.0
BOUNDARY = b"--edgeseg"


def read_cpu_s(pid: int) -> float:
    """Returns the processor time that a process has taken, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_busy_s() -> float:
    """Returns the processor time that everything on this machine has taken, in seconds."""
    user, nice, system, _, _, *interrupts = (
        int(field) for field in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def measure_turn(run: LiveRun, seconds: float) -> dict[str, float]:
    """Returns the rates of the next seconds, as edgeseg itself counts its frames."""
    began, cpu_s, busy_s = time.monotonic(), read_cpu_s(run.pid), read_busy_s()
    first = run.ask_state()["cameras"][0]
    time.sleep(seconds)
    last = run.ask_state()["cameras"][0]
    spent = time.monotonic() - began
    return {
        "segmented_per_s": (last["frames"]["segmented"] - first["frames"]["segmented"]) / spent,
        "dropped_per_s": (last["frames"]["dropped"] - first["frames"]["dropped"]) / spent,
        "encoded_per_s": (last["pictures_encoded"] - first["pictures_encoded"]) / spent,
        "viewers": last["viewers"],
        "processors": (ours := (read_cpu_s(run.pid) - cpu_s) / spent),
        # The viewers, and whatever else this machine does: a figure taken beside other work is worth little.
        "processors_of_others": (read_busy_s() - busy_s) / spent - ours,
    }


# The viewers: a process of their own.


class Viewer:
    """One connection to the picture stream, and what came over it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.received = 0
        self.pictures = 0
        self.ended = False
        self._edge = b""

    async def watch(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            if self.kind != "quick":
                # Else megabytes would lie in the kernel before anybody notices who reads and who does not.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", port))
            await loop.sock_sendall(connection, b"GET /stream.mjpg HTTP/1.0\r\nHost: localhost\r\n\r\n")
            if self.kind == "stalled":
                await asyncio.Event().wait()
            while True:
                part = await loop.sock_recv(connection, 256 * 1024 if self.kind == "quick" else SLOW_BYTES_PER_S // 5)
                if not part:
                    self.ended = True
                    return
                self._count(part)
                if self.kind == "slow":
                    await asyncio.sleep(len(part) / SLOW_BYTES_PER_S)

    def _count(self, part: bytes) -> None:
        self.received += len(part)
        # A boundary may lie across two parts.
        self.pictures += (self._edge + part).count(BOUNDARY)
        self._edge = part[-(len(BOUNDARY) - 1) :]


async def watch_all(port: int, seconds: float, counts: Sequence[int]) -> list[dict[str, Any]]:
    """Watches for that long, and returns for each kind of viewer what came."""
    viewers = [
        Viewer(kind) for kind, count in zip(("quick", "slow", "stalled"), counts, strict=True) for _ in range(count)
    ]
    tasks = [asyncio.create_task(viewer.watch(port)) for viewer in viewers]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    failures = [it for it in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(it, Exception)]
    if failures:
        raise failures[0]
    told = []
    for kind in ("quick", "slow", "stalled"):
        of_kind = [viewer for viewer in viewers if viewer.kind == kind]
        told.append(
            {
                "kind": kind,
                "viewers": len(of_kind),
                "ended": sum(viewer.ended for viewer in of_kind),
                "pictures_per_s": sum(viewer.pictures for viewer in of_kind) / max(1, len(of_kind)) / seconds,
                "bytes_per_s": sum(viewer.received for viewer in of_kind) / max(1, len(of_kind)) / seconds,
            }
        )
    return told


def run_viewers(arguments: argparse.Namespace) -> None:
    os.nice(19)
    print(json.dumps(asyncio.run(watch_all(arguments.watch, arguments.seconds, arguments.counts))))


def run_rounds(rounds: int, seconds: float, counts: Sequence[int] = (QUICK, SLOW, STALLED)) -> dict[str, Any]:
    """Returns the report: each round's turns without and with viewers, what those saw, and the verdict."""
    report: dict[str, Any] = {"processors": os.cpu_count(), "counts": list(counts), "seconds": seconds, "rounds": []}
    with LiveRun(str(CLIP), "--loop") as run:
        for number in range(rounds):
            turns: dict[str, Any] = {}
            # Each goes first in every other round, so that what drifts does not count for one of them.
            for turn in ("without", "with") if number % 2 == 0 else ("with", "without"):
                time.sleep(CALM_S)
                if turn == "without":
                    turns[turn] = measure_turn(run, seconds)
                else:
                    turns[turn], turns["seen"] = _measure_watched(run, seconds, counts)
            turns["ratio"] = turns["with"]["segmented_per_s"] / turns["without"]["segmented_per_s"]
            report["rounds"].append(turns)
    report["ratio"] = statistics.median(it["ratio"] for it in report["rounds"])
    report["bar"] = BAR
    report["passed"] = report["ratio"] >= BAR
    return report


def _measure_watched(
    run: LiveRun, seconds: float, counts: Sequence[int]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    lasting = seconds + 2 * CALM_S
    command = [
        sys.executable,
        "-m",
        "benchmarks.viewers",
        "--watch",
        str(run.port),
        "--seconds",
        str(lasting),
        "--counts",
    ]
    with subprocess.Popen([*command, *map(str, counts)], cwd=ROOT, stdout=subprocess.PIPE) as viewers:
        deadline = time.monotonic() + LIMIT_S
        while run.ask_state()["viewers"] < sum(counts):
            if viewers.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the viewers did not come")
            time.sleep(0.05)
        turn = measure_turn(run, seconds)
        told, _ = viewers.communicate(timeout=LIMIT_S)
    return turn, json.loads(told)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what thirty viewers cost a run.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--watch", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--counts", type=int, nargs=3, default=(QUICK, SLOW, STALLED), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch is not None:
        run_viewers(arguments)
        return 0
    report = run_rounds(arguments.rounds, arguments.seconds, arguments.counts)
    print(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
