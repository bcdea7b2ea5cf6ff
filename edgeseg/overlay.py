"""draw_overlay(): a picture with its classes tinted. Pure: nothing is kept, nothing passed in is changed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import SegmentClass
from edgeseg.errors import UsageError
from edgeseg.frame import Segmentation, check_image

DEFAULT_OPACITY = 0.5


def draw_overlay(
    image: NDArray[np.uint8],
    segmentation: Segmentation,
    opacity: float = DEFAULT_OPACITY,
    classes: Sequence[SegmentClass] | None = None,
    legend: bool = False,
) -> NDArray[np.uint8]:
    """Tint every class but the first (`other`), which stays as it is.

    image: (H, W, 3) uint8 BGR of any size, usually the segmented frame's. opacity: 0 shows the picture alone, 1 the
    colours alone. classes: whose colours to use, by default the segmentation's own. Returns a new (H, W, 3) array.
    Raises UsageError for an opacity outside 0..1, DataError for another kind of image.
    """
    if not 0.0 <= opacity <= 1.0:
        raise UsageError(f"opacity must lie between 0 and 1, got {opacity}")
    check_image(image)
    palette = _palette(segmentation.classes if classes is None else classes)
    out: NDArray[np.uint8] = np.empty(image.shape, np.uint8)
    _tint(image, segmentation, palette, opacity, out)
    if legend:
        _draw_legend(out, segmentation.classes if classes is None else classes)
    return out


def _palette(classes: Sequence[SegmentClass]) -> NDArray[np.uint8]:
    """(1, 256, 3) BGR, the shape cv2.LUT wants."""
    palette = np.zeros((1, 256, 3), np.uint8)
    palette[0, : len(classes)] = [item.color_rgb[::-1] for item in classes]
    return palette


def _tint(
    image: NDArray[np.uint8],
    segmentation: Segmentation,
    palette: NDArray[np.uint8],
    opacity: float,
    out: NDArray[np.uint8],
) -> None:
    """Blend into `out`. Every pass over the full picture costs, so the colours are put on the small map, rows that
    show nothing but `other` (the sky) are only copied, and each row of enlarged colours serves two rows of picture."""
    class_ids = segmentation.class_ids
    rows = np.flatnonzero(class_ids.any(axis=1))
    if not rows.size:
        out[:] = image
        return
    height, width = image.shape[:2]
    cells = class_ids.shape[0]
    # One more row of `other` at either end, so that the smooth edge of the outermost class is inside the band.
    first, last = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, cells)
    top, bottom = first * height // cells, -(-last * height // cells)
    out[:top] = image[:top]
    out[bottom:] = image[bottom:]
    ids = class_ids[first:last]
    size_wh = (width, (bottom - top + 1) // 2)
    # `other` takes its neighbour's colour before the resize, or a dark rim would be blended into every edge. Which
    # pixels are `other` is decided after it, on how sure the model is of it: less so near an edge, so that the outline
    # runs between the cells and not along them. Each cell's own centre keeps its class.
    coloured = np.where(ids == 0, cv2.dilate(ids, np.ones((3, 3), np.uint8)), ids)
    tint = cv2.resize(cv2.LUT(cv2.merge((coloured, coloured, coloured)), palette), size_wh)
    sure = segmentation.confidence[first:last]
    unsure = np.minimum(255 - sure, np.uint8(126))
    background = cv2.resize(np.where(ids == 0, np.maximum(sure, np.uint8(129)), unsure), size_wh)
    cv2.threshold(background, 127, 255, cv2.THRESH_BINARY, dst=background)
    for parity in (0, 1):
        source, target = image[top + parity : bottom : 2], out[top + parity : bottom : 2]
        count = len(source)
        if count:
            cv2.addWeighted(source, 1.0 - opacity, tint[:count], opacity, 0.0, dst=target)
            cv2.copyTo(source, background[:count], target)


def _draw_legend(out: NDArray[np.uint8], classes: Sequence[SegmentClass]) -> None:
    """Name the tinted classes in the upper left corner, in letters that grow with the picture."""
    size = max(out.shape[0] / 720.0, 0.3)
    line, pad = round(30 * size), round(8 * size)
    for place, item in enumerate(classes[1:]):
        top = pad + place * line
        cv2.rectangle(out, (pad, top), (pad + line - pad // 2, top + line - pad // 2), item.color_rgb[::-1], -1)
        origin = (pad + line + pad, top + line - pad)
        write_label(out, item.name, origin, size)


def write_label(out: NDArray[np.uint8], text: str, origin: tuple[int, int], size: float) -> None:
    """Writes into a picture, readable on any ground: white with a black edge. origin: the lower left corner, x, y."""
    for color, thickness in (((0, 0, 0), max(round(4 * size), 2)), ((255, 255, 255), max(round(2 * size), 1))):
        cv2.putText(out, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.75 * size, color, thickness, cv2.LINE_AA)
