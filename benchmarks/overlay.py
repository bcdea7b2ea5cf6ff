"""Times draw_overlay() on 720p: `python benchmarks/overlay.py [ROUNDS]`. The bar: at most 1.5 ms.

Two maps: a street (road below the horizon, some vehicles and people), and the worst there is, classes in every row.
"""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np

from edgeseg import Frame, Segmentation, draw_overlay


def street() -> np.ndarray:
    """(88, 120) uint8: what a model sees from behind a windscreen."""
    ids = np.zeros((88, 120), np.uint8)
    cv2.fillPoly(ids, [np.array([(0, 87), (119, 87), (70, 42), (55, 42)])], 1)
    for left, top, width, height, index in ((20, 40, 26, 20, 2), (66, 40, 8, 7, 2), (90, 34, 5, 18, 3)):
        ids[top : top + height, left : left + width] = index
    return ids


def patchwork() -> np.ndarray:
    """(88, 120) uint8: all classes everywhere, so that no row can be skipped."""
    coarse = np.random.default_rng(0).integers(0, 4, (8, 12)).astype(np.uint8)
    return coarse.repeat(11, axis=0).repeat(10, axis=1)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for name, ids in (("street", street()), ("patchwork", patchwork())):
        segmentation = Segmentation(Frame.of(image), ids, np.full_like(ids, 255))
        spent = []
        for _ in range(rounds + 10):
            started = time.perf_counter()
            draw_overlay(image, segmentation)
            spent.append((time.perf_counter() - started) * 1e3)
        low, p50, p95 = np.percentile(spent[10:], [0, 50, 95])
        print(
            f"{name:10} p50 {p50:.3f} ms, p95 {p95:.3f} ms, best {low:.3f} ms (1280x720, {cv2.getNumThreads()} threads)"
        )


if __name__ == "__main__":
    main()
