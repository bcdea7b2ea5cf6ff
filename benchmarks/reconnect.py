"""Takes a real RTSP camera away and gives it back: `python -m benchmarks.reconnect [--rounds 20]`, from the checkout.

In turn its server is killed, ended, stopped (SIGSTOP) and stalled (the connection stays, nothing comes), each for 1, 4,
9, 15 and 30 seconds. From the moment it is back it may take 5 s until a picture that was drawn after that moment is
read, every time, and over the rounds the memory of this process may grow by 5 MB (of 10^6 bytes). Prints one JSON
object; the exit code says whether both held. Needs what tests/install-servers installs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.frame import Frame
from edgeseg.health import rss_bytes
from edgeseg.sources import open_source
from tests.rtsp import RtspServer, read_moment_ms, why_no_server

OUTAGES_S = (1.0, 4.0, 9.0, 15.0, 30.0)
BACK_BAR_S, GROWTH_BAR_BYTES = 5.0, 5_000_000
#: Between two outages, and at the end for the memory to settle.
CALM_S = 2.0
#: What takes longer has failed anyway.
LIMIT_S = 60.0


@dataclass(frozen=True)
class Way:
    """One way for a camera to go away and to come back."""

    name: str
    take: Callable[[RtspServer], None]
    give: Callable[[RtspServer], None]


WAYS = (
    Way("killed", RtspServer.kill, RtspServer.start),
    Way("ended", RtspServer.end, RtspServer.start),
    Way("stopped", RtspServer.stop, RtspServer.go_on),
    Way("stalled", RtspServer.stall, RtspServer.unstall),
)


@dataclass(frozen=True)
class Round:
    """What one outage was and what came of it. `back_s` counts from the camera's return to its first new picture."""

    way: str
    outage_s: float
    noticed: bool
    back_s: float
    rss_bytes: int


class Watcher:
    """Reads the source as a run does, notes what it is told of it, and knows when a new picture comes."""

    def __init__(self, url: str) -> None:
        self.losses: list[str] = []
        self.frames = 0
        self._changed = threading.Condition()
        self._drawn_ms = 0
        self._source = open_source(url, live=True, signal=self, wait_for_it=True)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.interrupt()
        self._thread.join(LIMIT_S)

    def lost(self, reason: str) -> None:
        self.losses.append(reason)

    def back(self) -> None:
        """It is seen by the picture."""

    def trying(self) -> None:
        """Nobody watches this process."""

    def wait_for_picture(self, drawn_after_ms: int) -> bool:
        """Waits for a picture that was drawn after a moment of the monotonic clock; False when none comes."""
        with self._changed:
            return self._changed.wait_for(lambda: self._drawn_ms > drawn_after_ms, LIMIT_S)

    def _read(self) -> None:
        with self._source as source:
            while (frame := source.read()) is not None:
                self._note(frame)
                del frame

    def _note(self, frame: Frame) -> None:
        with self._changed:
            self.frames += 1
            self._drawn_ms = read_moment_ms(frame.image)
            self._changed.notify_all()


def now_ms() -> int:
    """The clock of the pictures."""
    return time.monotonic_ns() // 1_000_000 % 2**32


def run_round(server: RtspServer, watcher: Watcher, way: Way, outage_s: float) -> Round:
    """Takes the camera away for `outage_s` seconds and waits until it is seen again."""
    losses = len(watcher.losses)
    way.take(server)
    time.sleep(outage_s)
    way.give(server)
    back_ms = now_ms()
    seen = watcher.wait_for_picture(back_ms)
    back_s = (now_ms() - back_ms) / 1e3 if seen else float("inf")
    return Round(way.name, outage_s, len(watcher.losses) > losses, back_s, rss_bytes())


def run_rounds(
    plan: Sequence[tuple[Way, float]], warm_up: Sequence[tuple[Way, float]] = (), calm_s: float = CALM_S
) -> dict[str, Any]:
    """Runs each way with its seconds of outage, after those of `warm_up`; returns what was measured, JSON-ready."""
    with RtspServer() as server, Watcher(server.url) as watcher:
        if not watcher.wait_for_picture(now_ms()):
            raise SystemExit("the first picture never came")
        for way, outage_s in warm_up:
            run_round(server, watcher, way, outage_s)
            time.sleep(calm_s)
        began_bytes = rss_bytes()
        rounds = []
        for way, outage_s in plan:
            rounds.append(run_round(server, watcher, way, outage_s))
            print(f"{len(rounds)}: {rounds[-1]}", file=sys.stderr)
            time.sleep(calm_s)
        grown_bytes = rss_bytes() - began_bytes
    worst_s = max(it.back_s for it in rounds)
    return {
        "rounds": [asdict(it) for it in rounds],
        "frames": watcher.frames,
        "worst_back_s": worst_s,
        "back_bar_s": BACK_BAR_S,
        "rss_began_bytes": began_bytes,
        "rss_grown_bytes": grown_bytes,
        "rss_bar_bytes": GROWTH_BAR_BYTES,
        "held": worst_s <= BACK_BAR_S and grown_bytes <= GROWTH_BAR_BYTES,
    }


def make_plan(count: int) -> list[tuple[Way, float]]:
    """Returns `count` outages: each way with each length before any comes again."""
    return list(itertools.islice(itertools.cycle((way, outage_s) for outage_s in OUTAGES_S for way in WAYS), count))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often it is taken away; 20 by default")
    count = parser.parse_args().rounds
    if (why_not := why_no_server()) is not None:
        print(f"benchmarks/reconnect.py: {why_not}", file=sys.stderr)
        return 69
    # Long enough that each kind of loss has been met, with all that is loaded for it.
    report = run_rounds(make_plan(count), warm_up=[(way, OUTAGES_S[1]) for way in WAYS])
    print(json.dumps(report, indent=2))
    return 0 if report["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
