"""Times temporal fusion, and measures the flicker it takes away and what it costs in IoU.

    python -m benchmarks.fusion [--model MODEL.tflite] [--video FILE...]
                                [--dataset DIR --mapping camvid --interval-ms 66.7]

The bar: under 0.5 ms for 88x120x4 scores. Flicker is measured on the bundled drive or on each --video: the share of
cells that change class between two frames where the picture did not (grey levels within 3). --dataset is a labelled
*sequence* (images/ and labels/, in the order of their names, one every --interval-ms; CamVid's val split is one).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from edgeseg import Frame, Segmenter, TemporalFusion
from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.evaluate import evaluate_pairs
from edgeseg.fusion import MotionMap, decide, flicker
from edgeseg.iou import ConfusionMatrix
from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.preprocess import to_input, upscale_logits

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


def measure_flicker(segmenter: Segmenter, video: Path) -> tuple[int, float, float]:
    """Frames seen, and the mean flicker without and with fusion."""
    if not video.is_file():
        raise InputNotFoundError(f"{video}: no such video")
    capture = cv2.VideoCapture(str(video))
    interval_ns = 1e9 / (capture.get(cv2.CAP_PROP_FPS) or 25)
    fusion, motion = TemporalFusion(), MotionMap()
    shares: list[tuple[float, float]] = []
    last: tuple[np.ndarray, np.ndarray] | None = None
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
    if not shares:
        raise DataError(f"{video}: shows no two pictures to compare")
    without, with_fusion = np.nanmean(shares, axis=0)
    return len(shares) + 1, float(without), float(with_fusion)


def measure_iou(
    segmenter: Segmenter, dataset: Path, mapping: LabelMapping, interval_ms: float, fusion: TemporalFusion | None
) -> ConfusionMatrix:
    """Evaluate a labelled sequence as if it came from a camera."""
    pairs = find_pairs(dataset / "images", dataset / "labels", mapping)
    taken = 0

    def predict(image: np.ndarray) -> np.ndarray:
        nonlocal taken
        scores = segmenter.logits(image)
        if fusion is not None:
            picture = to_input(image, segmenter.card.input_hw)
            scores = fusion.update(scores, picture, int(taken * interval_ms * 1e6))
        taken += 1
        return upscale_logits(scores, segmenter.fit((image.shape[0], image.shape[1])))

    return evaluate_pairs(pairs, mapping, predict)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fusion", description="Measure temporal fusion.")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--video", type=Path, nargs="+", default=[DRIVE])
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--mapping", default="camvid")
    parser.add_argument("--interval-ms", type=float, default=66.7)
    try:
        measure(parser.parse_args(arguments))
    except EdgesegError as error:
        print(f"fusion: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(options: argparse.Namespace) -> None:
    """What the command does; prints what it finds."""
    for stage, spent in time_fusion().items():
        best, p50, p95 = np.percentile(spent, [0, 50, 95])
        print(f"{stage:8} best {best:.3f} ms, p50 {p50:.3f} ms, p95 {p95:.3f} ms (88x120x4)")
    with Segmenter(options.model) as segmenter:
        for video in options.video:
            frames, without, with_fusion = measure_flicker(segmenter, video)
            print(f"flicker of {video.name}, {frames} frames: {without:.3%}, with fusion {with_fusion:.3%}")
        if options.dataset is not None:
            mapping = LabelMapping.load(options.mapping)
            for name, fusion in (("without", None), ("with", TemporalFusion())):
                found = measure_iou(segmenter, options.dataset, mapping, options.interval_ms, fusion)
                each = ", ".join(f"{key} {value:.2%}" for key, value in found.iou().items())
                print(f"IoU {name} fusion: {each}; mean of the foreground {found.mean_iou_foreground():.2%}")


if __name__ == "__main__":
    sys.exit(main())
