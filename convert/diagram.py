"""The reliability diagram: how often a model is right against how sure it is."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.reliability import BIN_COUNT, Reliability

_SIDE = 360  # pixels of one panel's square
_LEFT, _TOP, _GAP, _BOTTOM = 60, 64, 40, 60
_INK, _GRID, _BAR, _MISS = (40, 40, 40), (215, 215, 215), (190, 130, 60), (140, 140, 240)


def draw_reliability(dataset: str, before: Reliability, after: Reliability) -> NDArray[np.uint8]:
    """Two panels beside each other, (H, W, 3) uint8 BGR: what a model did on a data set as trained, and scaled.

    A bar is the share of right pixels among those of like confidence; what lacks to the mean confidence or goes beyond
    it is red; the line below shows how the pixels spread over the bins.
    """
    width = _LEFT + 2 * _SIDE + _GAP + 20
    canvas = np.full((_TOP + _SIDE + _BOTTOM, width, 3), 255, np.uint8)
    _write(canvas, dataset, (_LEFT, 22))
    for place, (title, counts) in enumerate((("as trained", before), ("scaled", after))):
        _draw_panel(canvas, _LEFT + place * (_SIDE + _GAP), title, counts)
    caption = "share of right pixels (0..1) against confidence (0..1); red: the gap between the two"
    _write(canvas, caption, (_LEFT, _TOP + _SIDE + 52))
    return canvas


def _draw_panel(canvas: NDArray[Any], left: int, title: str, counts: Reliability) -> None:
    def x_of(ratio: float) -> int:
        return left + round(ratio * _SIDE)

    def y_of(ratio: float) -> int:
        return _TOP + round((1 - ratio) * _SIDE)

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        cv2.line(canvas, (left, y_of(tick)), (left + _SIDE, y_of(tick)), _GRID, 1)
        _write(canvas, f"{tick:g}", (x_of(tick) - 8, _TOP + _SIDE + 32))
        if left == _LEFT:
            _write(canvas, f"{tick:g}", (left - 40, y_of(tick) + 4))
    total = max(int(counts.pixels.sum()), 1)
    for place, (pixels, hits, summed) in enumerate(zip(counts.pixels, counts.hits, counts.confidence, strict=True)):
        if not pixels:
            continue
        start, end = x_of(place / BIN_COUNT) + 1, x_of((place + 1) / BIN_COUNT) - 1
        right, sure = float(hits) / float(pixels), float(summed) / float(pixels)
        cv2.rectangle(canvas, (start, y_of(right)), (end, y_of(0.0)), _BAR, -1)
        cv2.rectangle(canvas, (start, y_of(right)), (end, y_of(sure)), _MISS, -1)
        depth = 1 + round(14 * float(pixels) / total)
        cv2.rectangle(canvas, (start, _TOP + _SIDE + 2), (end, _TOP + _SIDE + 2 + depth), _INK, -1)
    cv2.rectangle(canvas, (left, _TOP), (left + _SIDE, _TOP + _SIDE), _INK, 1)
    cv2.line(canvas, (left, y_of(0.0)), (left + _SIDE, y_of(1.0)), _INK, 1, cv2.LINE_AA)
    _write(canvas, f"{title}: ECE {100 * counts.error():.2f} %", (left, _TOP - 14))


def _write(canvas: NDArray[Any], text: str, where: tuple[int, int]) -> None:
    cv2.putText(canvas, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
