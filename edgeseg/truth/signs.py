"""Signs: what a picture tells of the camera that took it, in a few numbers, for a fraction of a millisecond."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Signs are read from a copy with this longer side, by leaving pixels out: averaging them would hide noise and cost ten
#: times as much. A picture out of focus has nothing that could alias.
SIDE = 320
#: What the longer and the shorter side of a picture must have at least to say something of its sharpness.
SMALLEST_SIDES = (160, 60)
#: Light from here on is blown out, 0..255.
CLIPPED = 245
#: The window in which an edge's height and its steepest step are looked for, in pixels of the small copy: as wide as
#: an edge blurred by 1 % of the picture's width.
_WINDOW = np.ones((13, 13), np.uint8)
#: Edges lower than this, in grey levels, are not measured: noise and compression are as high.
_EDGE = 20
#: An edge is sharp below this width, in percent of the picture's longer side.
SHARP = 0.3
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_BEND = np.array([[0, -0.25, 0], [-0.25, 1, -0.25], [0, -0.25, 0]], np.float32)


@dataclass(frozen=True, slots=True)
class Signs:
    """All shares are of the picture, 0..1.

    bright: what 98 % of the picture's 8x8 cells are darker than, in grey levels. clipped: what is blown out.
    edges: what is near an edge. width: how wide the sharpest fifth of the edges are, as the sigma of a Gaussian, in
    percent of the picture's longer side; nan without edges. sharp: what is near an edge narrower than SHARP.
    detail: what is near structure four pixels small. coarse: the same for structure twice as large. blocks: the mean
    grey level of each 8x8 cell of the small copy.
    """

    bright: float
    clipped: float
    edges: float
    width: float
    sharp: float
    detail: float
    coarse: float
    blocks: NDArray[np.float32] = field(repr=False)


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns every so manieth pixel of a BGR picture, so that its longer side is SIDE; a small one stays as it is."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= SIDE:
        return image
    size_wh = (max(1, width * SIDE // longer), max(1, height * SIDE // longer))
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


def read_signs(small: NDArray[np.uint8]) -> Signs:
    """Returns the signs of a picture that `shrink` has made small, (h, w, 3) uint8 BGR."""
    grey: NDArray[Any] = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    fine: NDArray[Any] = cv2.resize(
        grey.astype(np.float32), (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA
    )
    blocks: NDArray[Any] = cv2.resize(
        fine, (max(1, fine.shape[1] // 2), max(1, fine.shape[0] // 2)), interpolation=cv2.INTER_AREA
    )
    large = max(height, width) >= SMALLEST_SIDES[0] and min(height, width) >= SMALLEST_SIDES[1]
    edges, edge_width, sharp = _measure_edges(grey) if large else (0.0, float("nan"), 0.0)
    bright = float(np.partition(blocks.ravel(), blocks.size * 98 // 100)[blocks.size * 98 // 100])
    return Signs(
        bright=bright,
        clipped=_share(grey >= CLIPPED),
        edges=edges,
        width=edge_width,
        sharp=sharp,
        detail=_measure_detail(fine),
        coarse=_measure_detail(blocks),
        blocks=blocks,
    )


def _measure_edges(grey: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Signs.edges, .width and .sharp.

    A step of height R behind a Gaussian of sigma s is nowhere steeper than R / (s sqrt(2 pi)), so the height of a
    window around its steepest place, divided by its steepness, tells s whatever the contrast. Noise makes steps
    steeper: it can hide a blur, but not feign one.
    """
    here = grey[:-1, :-1]
    steps: NDArray[Any] = cv2.max(cv2.absdiff(grey[:-1, 1:], here), cv2.absdiff(grey[1:, :-1], here))
    heights: NDArray[Any] = cv2.subtract(cv2.dilate(here, _WINDOW), cv2.erode(here, _WINDOW))
    high = heights >= _EDGE
    places = np.flatnonzero(high & (steps == cv2.dilate(steps, _WINDOW)))
    if not places.size:
        return 0.0, float("nan"), 0.0
    steepness = steps.ravel()[places].astype(np.float32)
    percents = heights.ravel()[places] / steepness * (100 / np.sqrt(2 * np.pi) / max(grey.shape))
    sharp: NDArray[Any] = np.zeros(here.shape, np.uint8)
    sharp.ravel()[places] = percents < SHARP
    sharpest = places.size // 5
    width = float(np.partition(percents, sharpest)[sharpest])
    return _share(high), width, cv2.countNonZero(cv2.dilate(sharp, _WINDOW)) / sharp.size


def _measure_detail(cells: NDArray[np.float32]) -> float:
    """The share of cells near which the brightness bends, by 3 grey levels or, in the dark, by 3 % of it plus one.

    Bends and not slopes: what lies on the lens is out of focus and casts soft slopes, and so does its shadow.
    """
    bends = cv2.dilate(np.abs(cv2.filter2D(cells, -1, _BEND)), _NEIGHBOURS)
    enough = np.minimum(cv2.blur(cells, (3, 3)) * 0.03 + 1.0, 3.0)
    return _share(bends >= enough)


def _share(which: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(which)) / which.size
