"""Privacy: blurs people before anybody sees the picture, live or recorded.

What is blurred is what to the model may be a person, with a margin, there and for a moment after. **Whoever the model
misses is not blurred.** In CamVid val (101 street pictures, 354 labelled people) 0.1 % of the labelled person pixels
stay as they were; it would be 0.4 % without the moment and 11 % if only what is likeliest a person were blurred and no
margin, with 3 people in 20 more than half visible (benchmarks/privacy.py). Another camera, night or rain can be far
worse. So it lowers what pictures tell of passers-by and promises nobody that they cannot be recognised; outlines, the
colours of clothes and the way somebody walks stay visible.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import SegmentClass
from edgeseg.errors import ModelError, UsageError
from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import log_softmax

#: How far around a person is blurred, as a share of the picture's height: hair, feet and bags lie there.
DEFAULT_MARGIN = 0.025
#: How long a place stays blurred after the last picture in which a person was seen there.
DEFAULT_HOLD_S = 0.2
#: A cell to whose being a person the model gives this probability counts as person, whatever else is likelier.
LIKELY = 0.05
#: Where nobody kept the scores: next to a person a cell counts as person too when the model is less sure than this of
#: what else it is, 0..255.
UNSURE = 179
#: A group of people is averaged in squares of its height / 8, so that a head is about one of them.
_ROWS = 8
#: But in squares of at least the picture's height / 32, for the small and far.
_ROWS_OF_PICTURE = 32
#: How many pixels of each row of a square are averaged, or up to twice as many.
_SAMPLES = 16


def blur_people(segmentation: Segmentation, margin: float = DEFAULT_MARGIN) -> Segmentation:
    """Returns the segmentation with people blurred in its picture, or itself when there are none.

    The picture that came in is never changed. margin: as a share of the picture's height, at least one cell of the
    class map. Raises ModelError when the model knows no people, UsageError for a margin outside 0..0.5.
    """
    return PeopleBlur(hold_s=0.0, margin=margin).blur(segmentation)


class PeopleBlur:
    """Blurs the people in the pictures of one camera, and where they were a moment ago, for detections flicker.

    Not for two threads at once.
    """

    def __init__(self, hold_s: float = DEFAULT_HOLD_S, margin: float = DEFAULT_MARGIN) -> None:
        """hold_s: how long a place stays blurred once nobody is seen there; see `blur_people` for the rest."""
        if not (0.0 <= margin <= 0.5 and 0.0 <= hold_s < math.inf):
            raise UsageError(f"blurring needs a margin of 0 to 0.5 and a hold of 0 s or more, got {margin}, {hold_s}")
        self.margin = margin
        self._hold_ns = round(hold_s * 1e9)
        self._seen_ns: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self._last_ns: int | None = None

    def blur(self, segmentation: Segmentation) -> Segmentation:
        """Returns the segmentation with a blurred picture, or itself; its timings then have `blur`, milliseconds."""
        started = time.perf_counter()
        mask = self._hold(people_mask(segmentation, self.margin), segmentation.frame.captured_ns)
        if mask is None:
            return segmentation
        frame = segmentation.frame
        blurred = Frame(_blur(frame.image, mask), frame.index, frame.captured_ns, frame.source)
        timings = {**segmentation.timings, "blur": (time.perf_counter() - started) * 1e3}
        return replace(segmentation, frame=blurred, timings=timings)

    def _hold(self, mask: NDArray[np.uint8] | None, now_ns: int) -> NDArray[np.uint8] | None:
        """Adds to a mask where people were; None when there is nothing to blur."""
        if mask is not None and self._hold_ns:
            if self._last_ns is None or now_ns < self._last_ns:
                self._seen_ns = np.full(mask.shape, now_ns - self._hold_ns - 1, np.int64)
            elif mask.shape != self._seen_ns.shape:
                # Another model has taken over; the places stay.
                sides = zip(mask.shape, self._seen_ns.shape, strict=True)
                self._seen_ns = self._seen_ns[np.ix_(*(np.arange(new) * old // new for new, old in sides))]
            self._seen_ns[mask > 0] = now_ns
            self._last_ns = now_ns
        elif self._last_ns is None or not 0 <= now_ns - self._last_ns <= self._hold_ns:
            self._last_ns = None
            return mask
        return (now_ns - self._seen_ns <= self._hold_ns).astype(np.uint8)


def people_mask(segmentation: Segmentation, margin: float = DEFAULT_MARGIN) -> NDArray[np.uint8] | None:
    """Which cells of the class map are to be blurred, (h, w) uint8 of 0 and 1; None when nobody is there.

    Cells that may be a person, and `margin` around them. Without scores the class map's winners must do: person cells,
    and what the model is unsure of next to them. Raises ModelError when the model knows no people.
    """
    person = find_person(segmentation.classes)
    mask = (segmentation.class_ids == person).astype(np.uint8)
    if segmentation.scores is not None:
        mask |= log_softmax(segmentation.scores)[..., person] >= math.log(LIKELY)
    if not mask.any():
        return None
    around = _disc(max(1, math.ceil(margin * mask.shape[0])))
    if segmentation.scores is None:
        near: NDArray[Any] = cv2.dilate(mask, around)
        mask |= near & (segmentation.confidence < UNSURE)
    grown: NDArray[Any] = cv2.dilate(mask, around)
    return grown


def find_person(classes: Sequence[SegmentClass]) -> int:
    """Returns which of a model's classes is `person`. Raises ModelError when none is."""
    for index, item in enumerate(classes):
        if item.name == "person":
            return index
    names = ", ".join(item.name for item in classes)
    raise ModelError(f"cannot blur people: the model knows {names}, but no class 'person'; use another model")


def _disc(radius: int) -> NDArray[Any]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _blur(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a copy in which each connected part of the mask shows a few averages and nothing else.

    Its bounding box is averaged in squares of 1/8 of its height (at least 1/32 of the picture's), and these are blended
    into each other. What can be seen there is a function of those averages: what a square held is gone for good, unlike
    after a Gaussian, which can be undone as far as noise allows.
    """
    height, width = image.shape[:2]
    scale_y, scale_x = height / mask.shape[0], width / mask.shape[1]
    out = image.copy()
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask)
    for number in range(1, count):
        x, y, w, h = (int(part) for part in boxes[number][:4])
        top, bottom = math.floor(y * scale_y), min(height, math.ceil((y + h) * scale_y))
        left, right = math.floor(x * scale_x), min(width, math.ceil((x + w) * scale_x))
        square = max((bottom - top) / _ROWS, height / _ROWS_OF_PICTURE)
        squares_wh = (math.ceil((right - left) / square), math.ceil((bottom - top) / square))
        # A few hundred pixels make an average as well as thousands.
        step = max(1, int(square) // _SAMPLES)
        averages = cv2.resize(image[top:bottom:step, left:right:step], squares_wh, interpolation=cv2.INTER_AREA)
        size_wh = (right - left, bottom - top)
        inside: NDArray[Any] = (labels[y : y + h, x : x + w] == number).astype(np.uint8)
        smooth = cv2.resize(averages, size_wh, interpolation=cv2.INTER_LINEAR)
        cv2.copyTo(smooth, cv2.resize(inside, size_wh, interpolation=cv2.INTER_NEAREST), out[top:bottom, left:right])
    return out
