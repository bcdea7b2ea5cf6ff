"""Times temporal fusion and measures the flicker it takes away: `python benchmarks/fusion.py [VIDEO]`.

The bar: under 0.5 ms for 88x120x4 scores. The flicker is that of the bundled model on the bundled drive, or on VIDEO:
the share of cells that change class between two frames where the picture did not (grey levels within 3).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np

from edgeseg import Frame, Segmenter, TemporalFusion
from edgeseg.fusion import MotionMap, decide, flicker
from edgeseg.preprocess import to_input

DRIVE = Path(__file__).parents[1] / "examples" / "drive" / "highway.mp4"
STILL_LEVEL = 3


def time_fusion(rounds: int = 500) -> dict[str, np.ndarray]:
    """Milliseconds of update() and decide(), on random scores and pictures that differ from frame to frame."""
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 3, (8, 88, 120, 4)).astype(np.float32)
    pictures = generator.integers(0, 256, (8, 352, 480, 3), np.uint8)
    fusion = TemporalFusion()
    spent = np.zeros((2, rounds))
    for index in range(-20, rounds):
        started = time.perf_counter()
        fused = fusion.update(scores[index % 8], pictures[index % 8], (index + 20) * 33_000_000)
        between = time.perf_counter()
        decide(fused)
        if index >= 0:
            spent[:, index] = (between - started) * 1e3, (time.perf_counter() - between) * 1e3
    return {"fusion": spent[0], "decide": spent[1]}


def measure_flicker(video: Path) -> tuple[int, float, float]:
    """Frames seen, and the mean flicker without and with fusion."""
    capture = cv2.VideoCapture(str(video))
    interval_ns = 1e9 / (capture.get(cv2.CAP_PROP_FPS) or 25)
    fusion, motion = TemporalFusion(), MotionMap()
    shares: list[tuple[float, float]] = []
    last: tuple[np.ndarray, np.ndarray] | None = None
    with Segmenter() as segmenter:
        for index in range(100_000):
            ok, image = capture.read()
            if not ok:
                break
            raw = segmenter.segment(image).class_ids
            fused = segmenter.segment(Frame(image, index, int(index * interval_ns), str(video)), fusion).class_ids
            change = motion.update(to_input(image, segmenter.card.input_hw), (raw.shape[0], raw.shape[1]))
            if last is not None and change is not None:
                moved = change > STILL_LEVEL
                shares.append((flicker(last[0], raw, moved), flicker(last[1], fused, moved)))
            last = raw, fused
    without, with_fusion = np.nanmean(shares, axis=0)
    return len(shares) + 1, float(without), float(with_fusion)


def main() -> None:
    for stage, spent in time_fusion().items():
        print(f"{stage:8} p50 {np.median(spent):.3f} ms, p95 {np.percentile(spent, 95):.3f} ms (88x120x4)")
    video = Path(sys.argv[1]) if len(sys.argv) > 1 else DRIVE
    frames, without, with_fusion = measure_flicker(video)
    print(f"flicker of {frames} frames of {video.name}: {without:.3%} without fusion, {with_fusion:.3%} with")


if __name__ == "__main__":
    main()
