"""Takes a real RTSP camera away from a run and gives it back: `python -m benchmarks.reconnect [--rounds 20]`.

From the checkout; needs what tests/install-servers installs. `edgeseg run` shows the camera on its page, and three
viewers stay on one connection each. In turn the camera's server is killed, ended, stopped (SIGSTOP) and stalled (the
connection stays, nothing comes), each for 1, 4, 9, 15 and 30 seconds. From the moment it is back it may take 5 s until
every viewer has got a picture that was drawn after that moment, every time; no viewer's connection may end; and over
the rounds the memory of the run may grow by 5 MB (of 10^6 bytes). Prints one JSON object; the exit code says whether
all that held.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.live_run import LIMIT_S, LiveRun, read_mb, read_stream
from tests.rtsp import RtspServer, read_moment_ms, why_no_server

OUTAGES_S = (1.0, 4.0, 9.0, 15.0, 30.0)
BACK_BAR_S, GROWTH_BAR_MB = 5.0, 5.0
VIEWERS = 3
#: Between two outages, and at the end for the memory to settle.
CALM_S = 2.0


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
    """What one outage was and what came of it.

    noticed: the run has counted it. back_s: from the camera's return until every viewer had a new picture.
    """

    way: str
    outage_s: float
    noticed: bool
    back_s: float
    rss_mb: float


class Viewer:
    """Watches the picture stream on one connection, and knows when a new picture comes."""

    def __init__(self, port: int) -> None:
        self.pictures = 0
        self.ended = False
        self._port = port
        self._changed = threading.Condition()
        self._drawn_ms = 0
        self._thread = threading.Thread(target=self._watch, name="viewer", daemon=True)
        self._thread.start()

    def wait_for_picture(self, drawn_after_ms: int, until_s: float) -> bool:
        """Waits for a picture that was drawn after a moment; False when none has come by `until_s`. Both monotonic."""
        with self._changed:
            return self._changed.wait_for(lambda: self._drawn_ms > drawn_after_ms, until_s - time.monotonic())

    def wait_for_end(self) -> None:
        """Waits until its stream has ended, which it does with the run. Raises RuntimeError when it does not."""
        self._thread.join(LIMIT_S)
        if self._thread.is_alive():
            raise RuntimeError("a viewer's stream goes on although the run has ended")

    def _watch(self) -> None:
        try:
            # Without the classes' colours over it the moment can be read from the picture.
            for head, jpeg in read_stream(self._port, "opacity=0"):
                if "x-age-ms" in head:
                    self._note(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
        finally:
            self.ended = True

    def _note(self, picture: NDArray[np.uint8]) -> None:
        with self._changed:
            self.pictures += 1
            self._drawn_ms = read_moment_ms(picture)
            self._changed.notify_all()


class Watched:
    """A run that shows a camera, and its viewers."""

    def __init__(self, url: str, viewers: int = VIEWERS) -> None:
        self.run = LiveRun(url)
        self.viewers: list[Viewer] = []
        self._count = viewers

    def __enter__(self) -> Watched:
        self.run.__enter__()
        self.viewers = [Viewer(self.run.port) for _ in range(self._count)]
        return self

    def __exit__(self, *exception: Any) -> None:
        self.run.__exit__(*exception)
        for viewer in self.viewers:
            viewer.wait_for_end()

    @property
    def reconnects(self) -> int:
        """How often the run has lost its camera and got it back."""
        return int(self.run.ask_state()["cameras"][0]["reconnects"])

    @property
    def ended(self) -> int:
        """How many viewers have lost their connection."""
        return sum(viewer.ended for viewer in self.viewers)

    def wait_for_picture(self, drawn_after_ms: int) -> bool:
        """Waits until every viewer has got a picture that was drawn after a moment of the monotonic clock."""
        until_s = time.monotonic() + LIMIT_S
        return all(viewer.wait_for_picture(drawn_after_ms, until_s) for viewer in self.viewers)


def now_ms() -> int:
    """The clock of the pictures."""
    return time.monotonic_ns() // 1_000_000 % 2**32


def run_round(server: RtspServer, watched: Watched, way: Way, outage_s: float) -> Round:
    """Takes the camera away for `outage_s` seconds and waits until it is seen again."""
    reconnects = watched.reconnects
    way.take(server)
    time.sleep(outage_s)
    way.give(server)
    back_ms = now_ms()
    seen = watched.wait_for_picture(back_ms)
    back_s = (now_ms() - back_ms) / 1e3 if seen else float("inf")
    return Round(way.name, outage_s, watched.reconnects > reconnects, back_s, read_mb(watched.run.pid))


def run_rounds(
    plan: Sequence[tuple[Way, float]], warm_up: Sequence[tuple[Way, float]] = (), calm_s: float = CALM_S
) -> dict[str, Any]:
    """Runs each way with its seconds of outage, after those of `warm_up`; returns what was measured, JSON-ready."""
    with RtspServer() as server, Watched(server.url) as watched:
        if not watched.wait_for_picture(now_ms()):
            raise SystemExit("the first picture never came")
        for way, outage_s in warm_up:
            run_round(server, watched, way, outage_s)
            time.sleep(calm_s)
        began_mb = read_mb(watched.run.pid)
        rounds = []
        for way, outage_s in plan:
            rounds.append(run_round(server, watched, way, outage_s))
            print(f"{len(rounds)}: {rounds[-1]}", file=sys.stderr)
            time.sleep(calm_s)
        grown_mb = read_mb(watched.run.pid) - began_mb
        ended, pictures = watched.ended, [viewer.pictures for viewer in watched.viewers]
    worst_s = max(it.back_s for it in rounds)
    return {
        "rounds": [asdict(it) for it in rounds],
        "pictures": pictures,
        "viewers_ended": ended,
        "median_back_s": statistics.median(it.back_s for it in rounds),
        "worst_back_s": worst_s,
        "back_bar_s": BACK_BAR_S,
        "rss_began_mb": began_mb,
        "rss_grown_mb": grown_mb,
        "rss_bar_mb": GROWTH_BAR_MB,
        "held": worst_s <= BACK_BAR_S and grown_mb <= GROWTH_BAR_MB and not ended,
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
