"""Measures how much of the people stays visible when they are blurred, and what the blurring costs.

    python benchmarks/privacy.py [--model MODEL.tflite]
                                 [--dataset DIR --mapping camvid --interval-ms 66.7]

--dataset is a labelled *sequence* (images/ and labels/, in the order of their names, one every --interval-ms; CamVid's
val split is one). Told for each way: the share of labelled person pixels that are not blurred, the share of the rest
that is, and how many of the labelled people (connected, 80 pixels or more) are blurred by less than 95 and 50 %.
Without a dataset only the time is measured, on drawn maps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg import Frame, Segmentation, Segmenter, TemporalFusion
from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.labels import LabelMapping, find_pairs, read_pair
from edgeseg.privacy import PeopleBlur

PERSON = CLASS_NAMES.index("person")
SMALLEST_PERSON = 80


def draw_people(count: int, height: int) -> Segmentation:
    """A 720p picture with `count` upright people, each `height` of the 88 cells high."""
    class_ids = np.ones((88, 120), np.uint8)
    for index in range(count):
        middle = (10 + 100 * index // max(count - 1, 1), 44)
        cv2.ellipse(class_ids, middle, (max(1, height // 6), height // 2), 0, 0, 360, PERSON, -1)
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    return Segmentation(Frame.of(image), class_ids, np.full((88, 120), 255, np.uint8))


def time_blur(rounds: int = 200) -> None:
    scenes = {"nobody": draw_people(0, 0), "3 far": draw_people(3, 8), "3 near": draw_people(3, 60)}
    spent: dict[str, list[float]] = {name: [] for name in scenes}
    blur = PeopleBlur(hold_s=0.0)
    for _ in range(rounds):
        for name, scene in scenes.items():
            started = time.perf_counter()
            blur.blur(scene)
            spent[name].append((time.perf_counter() - started) * 1e3)
    for name, times in spent.items():
        print(f"720p, {name:6}: best {min(times):.3f} ms, median {np.median(times):.3f} ms")


def blurred_by_mask(segmentation: Segmentation) -> np.ndarray:
    """What blurring the person cells and nothing around them would reach, (H, W) bool."""
    width, height = segmentation.frame.size_wh
    mask = (segmentation.class_ids == PERSON).astype(np.uint8)
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def blurred_by(blur: PeopleBlur) -> Callable[[Segmentation], np.ndarray]:
    """What it really reaches, (H, W) bool: where noise in the picture's place comes out as something else."""
    generator = np.random.default_rng(0)

    def find(segmentation: Segmentation) -> np.ndarray:
        noise = generator.integers(0, 256, segmentation.frame.image.shape, np.uint8)
        replaced = replace(segmentation, frame=replace(segmentation.frame, image=noise))
        return (blur.blur(replaced).frame.image != noise).any(axis=2)

    return find


def measure(segmenter: Segmenter, dataset: Path, mapping: LabelMapping, interval_ms: float) -> None:
    ways = {
        "person cells alone": blurred_by_mask,
        "margin 0.011": blurred_by(PeopleBlur(0.0, 0.011)),
        "margin 0.0227": blurred_by(PeopleBlur(0.0, 0.0227)),
        "margin 0.025": blurred_by(PeopleBlur(0.0)),
        "margin 0.025, hold 0.1 s": blurred_by(PeopleBlur(0.1)),
        "margin 0.025, hold 0.2 s": blurred_by(PeopleBlur(0.2)),
        "margin 0.025, hold 0.5 s": blurred_by(PeopleBlur(0.5)),
    }
    counts = {name: np.zeros(4, np.int64) for name in ways}
    covered: dict[str, list[float]] = {name: [] for name in ways}
    fusion = TemporalFusion()
    for index, pair in enumerate(find_pairs(dataset / "images", dataset / "labels", mapping)):
        image, label = read_pair(pair, mapping)
        frame = Frame(image, index, round(index * interval_ms * 1e6), pair.stem)
        segmentation = segmenter.segment(frame, fusion)
        person, rest = label == PERSON, (label != PERSON) & (label != IGNORE_INDEX)
        found, labels, stats, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8))
        people = [labels == k for k in range(1, found) if stats[k][cv2.CC_STAT_AREA] >= SMALLEST_PERSON]
        for name, way in ways.items():
            blurred = way(segmentation)
            counts[name] += [person.sum(), (person & ~blurred).sum(), rest.sum(), (rest & blurred).sum()]
            covered[name] += [float(blurred[one].mean()) for one in people]
    for name, (total, missed, others, extra) in counts.items():
        shares = np.array(covered[name])
        print(
            f"{name:26} {missed / total:6.2%} of the person pixels stay, {extra / others:6.2%} of the rest goes; of "
            f"{len(shares)} people {(shares < 0.95).mean():5.1%} under 95 %, {(shares < 0.5).mean():5.1%} under half"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the blurring of people.")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--mapping", default="camvid")
    parser.add_argument("--interval-ms", type=float, default=66.7)
    arguments = parser.parse_args()
    time_blur()
    if arguments.dataset is not None:
        with Segmenter(arguments.model) as segmenter:
            measure(segmenter, arguments.dataset, LabelMapping.load(arguments.mapping), arguments.interval_ms)


if __name__ == "__main__":
    main()
