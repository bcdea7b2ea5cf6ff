"""Times `edgeseg process` against what its parts need: `python benchmarks/offline.py [VIDEO]`.

The bar: on a 720p H.264 file, with the overlay video written, the command takes at most 1.25 times the larger of its
slowest stage alone and its summed CPU time divided by the cores. The interpreter has a thread a core, alone as in the
command. Without VIDEO the bundled drive is scaled to 720p and played three times. Start-up, about a second of imports,
is part of the command's time, as it is for a user.

Ends with 1 when the bar is missed. Nothing else may run meanwhile: a busy core counts as the command's waiting.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2

from edgeseg import Frame, Segmenter, TemporalFusion, draw_overlay
from edgeseg.offline.parts import PartRecorder
from edgeseg.sinks.sink import Result
from edgeseg.sources.video import VideoFileSource

DRIVE = Path(__file__).parents[1] / "examples" / "drive" / "highway.mp4"
BAR = 1.25
ROUNDS = 3
#: Pictures kept in memory for the stages that are timed without the one before (2.8 MB each at 720p).
KEPT = 100


def make_720p(path: Path, repeats: int = 3) -> None:
    """Writes the bundled drive at 1280x720, as a camera's H.264: no overlay's flat areas, a usual preset."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"preset": "fast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for repeat in range(repeats):
            with av.open(str(DRIVE)) as source:
                for index, frame in enumerate(source.decode(video=0)):
                    picture = cv2.resize(frame.to_ndarray(format="bgr24"), (1280, 720))
                    image = av.VideoFrame.from_ndarray(picture, format="bgr24")
                    image.pts, image.time_base = repeat * 221 + index, Fraction(1, 25)
                    target.mux(stream.encode(image))
        target.mux(stream.encode(None))


def read_frames(video: Path, limit: int | None = None) -> list[Frame]:
    frames: list[Frame] = []
    with VideoFileSource(video, live=False) as source:
        while (limit is None or len(frames) < limit) and (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def time_stages(video: Path, folder: Path) -> dict[str, float]:
    """Seconds that each of the three threads of the loop needs for the whole file when it runs by itself."""

    def decode() -> int:
        count = 0
        with VideoFileSource(video, live=False) as source:
            while source.read() is not None:
                count += 1
        return count

    began = time.perf_counter()
    count = decode()
    spent = {"decode": time.perf_counter() - began}
    frames = read_frames(video, KEPT)
    step_ns = frames[1].captured_ns - frames[0].captured_ns

    def take(index: int) -> Frame:
        return Frame(frames[index % len(frames)].image, index, index * step_ns, str(video))

    with Segmenter(threads=len(os.sched_getaffinity(0))) as segmenter:
        fusion = TemporalFusion()
        segmentations = [segmenter.segment(take(index), fusion) for index in range(len(frames))]
        spent["segment, fuse"] = _time(lambda index: segmenter.segment(take(index), fusion), count)
    recorder = PartRecorder(folder, [], video=True, clock="file", count=lambda done: None)
    began = time.perf_counter()
    with recorder:
        for index in range(count):
            seen = segmentations[index % len(frames)]
            frame = take(index)
            again = type(seen)(frame, seen.class_ids, seen.confidence, seen.timings, seen.classes)
            recorder.write(Result(again, lambda it: draw_overlay(it.frame.image, it)))
    spent["overlay, encode"] = time.perf_counter() - began
    return spent


def time_command(video: Path, out: Path) -> tuple[float, float]:
    """Wall and CPU seconds of the whole command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-m", "edgeseg", "process", str(video), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _time(work: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    for index in range(count):
        work(index)
    return time.perf_counter() - began


def main() -> int:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "drive-720p.mp4"
        if len(sys.argv) < 2:
            make_720p(video)
        rounds = []
        for number in range(ROUNDS):
            stages = time_stages(video, folder / f"stages-{number}")
            wall, cpu = time_command(video, folder / f"out-{number}")
            bound = max(*stages.values(), cpu / cores)
            rounds.append({"wall_s": wall, "cpu_s": cpu, "stages_s": stages, "bound_s": bound, "ratio": wall / bound})
            line = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in stages.items())
            print(f"wall {wall:.2f} s, CPU {cpu:.2f} s on {cores} cores; alone: {line}; ratio {wall / bound:.3f}")
    best = min(rounds, key=lambda found: found["wall_s"])
    print(json.dumps(best))
    print(f"ratio {best['ratio']:.3f} in the quickest of {ROUNDS} rounds; the bar is {BAR}")
    return int(best["ratio"] > BAR)


if __name__ == "__main__":
    sys.exit(main())
