"""Stillness: for how long the pictures have been one and the same picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: A picture in which no more values than this differ from the last one's repeats it: an encoder that is given one
#: picture again and again touches it up, here and there. With a sensor behind it, noise changes 3 % and more, unless
#: the encoder swallows the noise (benchmarks/camera_truth.py has both).
_TOUCHED_UP = 0.02
#: As far as a cell's mean grey level moves when an encoder begins anew with a key picture of the same thing.
_KEY_PICTURE = 8.0
#: What share of the pictures of a still stretch may differ: the key pictures and those that mend them.
_KEY_PICTURES = 0.25


class Stillness:
    """Compares each small picture with the last one, and with the first of a stretch in which nothing moved."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets every picture."""
        self._last: NDArray[np.uint8] | None = None
        self._same_since_ns: int | None = None
        self._anchor: NDArray[np.float32] | None = None
        self._still_since_ns = 0
        self._pictures = self._differing = 0
        self.repeated = False

    def update(self, small: NDArray[np.uint8], blocks: NDArray[np.float32], now_ns: int) -> tuple[float, float]:
        """Takes the next picture and its mean grey levels; returns two times in seconds.

        The first says how long the pictures have been equal to the last bit, the second how long they have shown the
        same, but for what an encoder does to it. `repeated` tells whether this picture (nearly) repeats the last.
        """
        last, self._last = self._last, small
        if last is None or last.shape != small.shape:
            changed = 1.0
        else:
            difference: NDArray[Any] = cv2.absdiff(small, last)
            changed = cv2.countNonZero(difference.reshape(len(difference), -1)) / small.size
        self.repeated = changed <= _TOUCHED_UP
        if changed or self._same_since_ns is None:
            self._same_since_ns = now_ns
        self._pictures += 1
        self._differing += not self.repeated
        if self._anchor is None or self._moved(blocks) or self._differing > 2 + _KEY_PICTURES * self._pictures:
            self._anchor, self._still_since_ns = blocks, now_ns
            self._pictures = self._differing = 0
        return (now_ns - self._same_since_ns) / 1e9, (now_ns - self._still_since_ns) / 1e9

    def _moved(self, blocks: NDArray[np.float32]) -> bool:
        anchor = self._anchor
        return anchor is None or anchor.shape != blocks.shape or float(np.abs(blocks - anchor).max()) > _KEY_PICTURE
