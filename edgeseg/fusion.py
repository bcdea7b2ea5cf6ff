"""Weighted fusion of what several views or moments say about a pixel.

    P(x) = argmax_c sum_i w_i log P(c | x_i)

The x_i are views of one picture (scales, flips) or the last pictures of a stream. Scores before the softmax serve as
well as log-probabilities: they differ from them by one number per pixel, the same for every class, which neither the
argmax nor the softmax of the sum sees. So no softmax is taken until the end, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, UsageError

#: A gap in the stream beyond which the past says nothing; a jump back in time (a file that loops) counts as one.
MAX_GAP_NS = 1_000_000_000


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities of (h, w, C) scores, over the last axis."""
    planes: NDArray[Any] = np.stack(cv2.split(scores))
    planes -= planes.max(axis=0)
    planes -= cv2.log(cv2.exp(planes.reshape(len(planes), -1)).sum(axis=0)).reshape(planes.shape[1:])
    merged: NDArray[Any] = cv2.merge(list(planes))
    return merged.reshape(scores.shape)


def decide(scores: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The best class per pixel and how sure it is.

    scores: (h, w, C) float32, log-probabilities up to a constant per pixel. Returns class_ids (h, w) uint8, the first
    class among equals, and confidence (h, w) uint8, 255 times its probability.
    """
    planes = cv2.split(scores)
    best = planes[0].copy()
    class_ids: NDArray[Any] = np.zeros(best.shape, np.uint8)
    for index, plane in enumerate(planes[1:], 1):
        better = cv2.compare(plane, best, cv2.CMP_GT)
        # A later class that beats the best so far always has the higher index: max() stands for a masked store.
        class_ids = cv2.max(class_ids, np.bitwise_and(better, np.uint8(index)))
        cv2.max(best, plane, dst=best)
    total: NDArray[Any] = np.zeros(best.shape, np.float32)
    for plane in planes:
        total += cv2.exp(cv2.subtract(plane, best))
    confidence: NDArray[Any] = cv2.divide(255.0, total, dtype=cv2.CV_8U)
    return class_ids, confidence


def fuse_views(views: Sequence[NDArray[np.float32]], weights: Sequence[float] | None = None) -> NDArray[np.float32]:
    """Fuse several views of one picture: sum_i w_i log P(c | x_i), the weights scaled to sum to 1.

    views: (H, W, C) float32 scores or log-probabilities, brought to one geometry (flips undone, scales resized).
    weights: non-negative, one per view; equal by default. Returns (H, W, C) log-probabilities up to a constant per
    pixel. Raises UsageError when the weights do not fit, DataError when the views have different shapes.
    """
    if weights is None:
        weights = [1.0] * len(views)
    if not views or len(views) != len(weights):
        raise UsageError(f"{len(views)} views need as many weights, got {len(weights)}")
    if min(weights) < 0 or not 0 < sum(weights) < math.inf:
        raise UsageError(f"weights must be finite, not negative and not all zero, got {list(weights)}")
    if len({view.shape for view in views}) > 1:
        raise DataError(f"views must have one shape, got {sorted({view.shape for view in views})}")
    fused = np.zeros(views[0].shape, np.float32)
    for view, weight in zip(views, weights, strict=True):
        fused += np.float32(weight / sum(weights)) * view
    return fused


class MotionMap:
    """How much each cell of the scores changed since the picture before.

    A grey copy at the scores' resolution, its absolute difference to the last one, slightly blurred. It sees that
    something moved, not whereto, and that is enough to know that the past does not hold there.
    """

    def __init__(self) -> None:
        self._last: NDArray[Any] | None = None

    def update(self, image_rgb: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8] | None:
        """(h, w) uint8 grey levels of change; None for the first picture and after a change of size."""
        height, width = size_hw
        # Grey first: averaging one channel over an area is faster than three.
        grey = cv2.resize(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, grey
        if last is None or last.shape != grey.shape:
            return None
        return cv2.blur(cv2.absdiff(grey, last), (3, 3))  # type: ignore[return-value]

    def reset(self) -> None:
        """Forget the last picture."""
        self._last = None


class TemporalFusion:
    """Fuses the pictures of one stream recursively, so that its cost and its memory do not grow with the past.

    With S the weighted sum of scores and W the sum of weights, each picture does S = k S + s, W = k W + 1 per pixel and
    gives S / W. k = 2^(-dt / half_life) where nothing moved, so a picture's weight halves every half_life_ms; k falls
    to 0 where the grey level changed, linearly between the levels `still` and `moved`: there only the newest counts.
    The defaults took 59 to 69 % of the flicker of seven drives away and cost 0.1 point of IoU in a sequence labelled
    15 times a second, where more moves between two pictures than in a stream (benchmarks.fusion; a longer memory or a
    coarser sense of motion calms more, and drags behind moving things).
    """

    def __init__(self, half_life_ms: float = 120.0, still: float = 2.0, moved: float = 7.0) -> None:
        if not (half_life_ms > 0 and 0 <= still < moved):
            raise UsageError(
                f"fusion needs half_life_ms > 0 and 0 <= still < moved, got {half_life_ms}, {still}, {moved}"
            )
        self.half_life_ms = half_life_ms
        levels = np.arange(256, dtype=np.float32)
        self._keep_of_change: NDArray[Any] = np.clip((moved - levels) / (moved - still), 0.0, 1.0)
        self._motion = MotionMap()
        self._sum: NDArray[np.float32] | None = None
        self._weight: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._captured_ns = 0

    def update(
        self, scores: NDArray[np.float32], image_rgb: NDArray[np.uint8], captured_ns: int
    ) -> NDArray[np.float32]:
        """Add a picture and return the fused scores, (h, w, C) float32, normalised by the sum of the weights.

        scores: (h, w, C) float32. image_rgb: the (small) picture they belong to, any size. captured_ns: when it was
        taken; after a gap of MAX_GAP_NS, a step back in time or a change of shape the fusion starts anew.
        """
        elapsed_ns = captured_ns - self._captured_ns
        self._captured_ns = captured_ns
        change = self._motion.update(image_rgb, (scores.shape[0], scores.shape[1]))
        planes: NDArray[np.float32] = np.stack(cv2.split(scores))
        past = self._sum
        if change is None or past is None or past.shape != planes.shape or not 0 <= elapsed_ns <= MAX_GAP_NS:
            self._sum = planes
            self._weight = np.ones(planes.shape[1:], np.float32)
            return scores
        decay = 0.5 ** (elapsed_ns / 1e6 / self.half_life_ms)
        keep: NDArray[Any] = cv2.LUT(change, self._keep_of_change * np.float32(decay))
        past *= keep
        past += planes
        self._weight *= keep
        self._weight += 1.0
        fused: NDArray[Any] = cv2.merge(list(past / self._weight))
        return fused.reshape(scores.shape)

    def reset(self) -> None:
        """Forget the past, as before the first picture."""
        self._motion.reset()
        self._sum = None


def flicker(previous_ids: NDArray[np.uint8], class_ids: NDArray[np.uint8], moved: NDArray[np.bool_]) -> float:
    """The share of pixels that changed class between two pictures where the picture did not; nan when all moved.

    All three arrays are (h, w); `moved` is true where the picture changed, for instance MotionMap's levels > 3.
    """
    still = ~moved
    total = int(still.sum())
    return float(((previous_ids != class_ids) & still).sum()) / total if total else math.nan
