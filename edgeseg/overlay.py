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
    _tint(image, segmentation.class_ids, palette, opacity, out)
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
    class_ids: NDArray[np.uint8],
    palette: NDArray[np.uint8],
    opacity: float,
    out: NDArray[np.uint8],
) -> None:
    """Blend into `out`. Every pass over the full picture costs, so the colours are put on the small map, and rows
    that show nothing but `other` (the sky) are only copied."""
    rows = np.flatnonzero(class_ids.any(axis=1))
    if not rows.size:
        out[:] = image
        return
    cells = class_ids.shape[0]
    # One more row of `other` at either end, so that the smooth edge of the outermost class is inside the band.
    first, last = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, cells)
    top, bottom = round(first * image.shape[0] / cells), round(last * image.shape[0] / cells)
    if bottom <= top:
        out[:] = image
        return
    out[:top] = image[:top]
    out[bottom:] = image[bottom:]
    band_ids = class_ids[first:last]
    band, canvas = image[top:bottom], out[top:bottom]
    size_wh = (image.shape[1], bottom - top)
    # `other` takes its neighbour's colour before the resize, or a dark rim would be blended into every edge; which
    # pixels are `other` is then decided on the full-size, smooth foreground map.
    coloured = np.where(band_ids == 0, cv2.dilate(band_ids, np.ones((3, 3), np.uint8)), band_ids)
    tint = cv2.LUT(cv2.merge((coloured, coloured, coloured)), palette)
    cv2.resize(tint, size_wh, dst=canvas, interpolation=cv2.INTER_LINEAR)
    cv2.addWeighted(band, 1.0 - opacity, canvas, opacity, 0.0, dst=canvas)
    background = np.where(band_ids == 0, np.uint8(255), np.uint8(0))
    if background.any():
        mask = cv2.resize(background, size_wh, interpolation=cv2.INTER_LINEAR)
        cv2.copyTo(band, cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY, dst=mask)[1], canvas)


def _draw_legend(out: NDArray[np.uint8], classes: Sequence[SegmentClass]) -> None:
    """Name the tinted classes in the upper left corner, in letters that grow with the picture."""
    size = max(out.shape[0] / 720.0, 0.3)
    line, pad = round(30 * size), round(8 * size)
    for place, item in enumerate(classes[1:]):
        top = pad + place * line
        cv2.rectangle(out, (pad, top), (pad + line - pad // 2, top + line - pad // 2), item.color_rgb[::-1], -1)
        origin = (pad + line + pad, top + line - pad)
        for color, thickness in (((0, 0, 0), max(round(4 * size), 2)), ((255, 255, 255), max(round(2 * size), 1))):
            cv2.putText(out, item.name, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.75 * size, color, thickness, cv2.LINE_AA)
