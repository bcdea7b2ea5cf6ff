"""Look: which classes a viewer wants to see, and how strongly; drawn apart from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import SegmentClass
from edgeseg.overlay import draw_overlay
from edgeseg.server.view import View
from edgeseg.sinks.sink import Result
from edgeseg.uncertainty import ASPECTS, Aspect, draw_uncertainty

JPEG_QUALITY = 80
#: Wider pictures are reduced for the page: no phone shows more, and JPEG costs grow with the area.
LARGEST_WIDTH = 1280
#: Opacity comes in steps, so that viewers who drag a slider end up with the same few pictures.
OPACITY_STEP = 10


@dataclass(frozen=True, slots=True)
class Look:
    """Hidden classes by name, in the order of the classes, and the opacity in per cent; None is the run's own.

    aspect: how sure the model is, instead of the classes; only where that is asked for.
    """

    hidden: tuple[str, ...] = ()
    opacity: int | None = None
    aspect: Aspect | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str], view: View) -> Look:
        """Reads `hide=person,vehicle`, `opacity=60` and `show=entropy`; what draws one picture is one look.

        Raises ValueError with what is allowed; it repeats nothing of the query.
        """
        tinted = [item.name for item in view.classes[1:]]
        wanted = {name for name in query.get("hide", "").split(",") if name}
        if wanted - set(tinted):
            raise ValueError(f"hide: unknown class; there is {', '.join(tinted)}")
        text = query.get("opacity")
        own = round(view.opacity * 100)
        steps = {str(step): step for step in range(0, 101, OPACITY_STEP)}
        if text is not None and text not in steps:
            raise ValueError(f"opacity: must be 0, {OPACITY_STEP}, {2 * OPACITY_STEP} and so on up to 100")
        opacity = None if text is None else steps[text]
        if (aspect := query.get("show", "classes")) != "classes":
            if aspect not in ASPECTS:
                raise ValueError(f"show: must be classes, {' or '.join(ASPECTS)}")
            return cls((), None if opacity == own else opacity, aspect)
        if wanted == set(tinted) or (own if opacity is None else opacity) == 0:
            return cls((), None if own == 0 else 0)
        return cls(tuple(name for name in tinted if name in wanted), None if opacity == own else opacity)

    def draw(self, result: Result, view: View) -> NDArray[np.uint8]:
        """Returns the picture, BGR (H, W, 3), not to be drawn into: recordings may share it."""
        if self == Look():
            return result.overlay()
        opacity = view.opacity if self.opacity is None else self.opacity / 100
        segmentation = result.segmentation
        if self.aspect is not None:
            return draw_uncertainty(reduce_width(segmentation.frame.image), segmentation, self.aspect, opacity)
        if self.hidden:
            shown = np.arange(256, dtype=np.uint8)
            shown[[index for index, item in enumerate(view.classes) if item.name in self.hidden]] = 0
            segmentation = replace(segmentation, class_ids=np.asarray(cv2.LUT(segmentation.class_ids, shown)))
        # Reduced first: a smaller overlay is drawn in less time.
        return draw_overlay(reduce_width(segmentation.frame.image), segmentation, opacity=opacity)


def reduce_width(picture: NDArray[np.uint8], largest: int = LARGEST_WIDTH) -> NDArray[np.uint8]:
    """Returns a picture that is at most `largest` pixels wide; one that is already comes back as it is."""
    height, width = picture.shape[:2]
    if width <= largest:
        return picture
    size_wh = (largest, max(1, round(height * largest / width)))
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def encode_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Returns a BGR picture (H, W, 3) as JPEG."""
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def draw_notice(picture: NDArray[np.uint8] | None, lines: Sequence[str]) -> NDArray[np.uint8]:
    """Returns the last picture in grey and dim, or a black one, under lines of text: nobody takes it for live."""
    if picture is None:
        out = np.zeros((360, 640, 3), np.uint8)
    else:
        grey = cv2.cvtColor(reduce_width(picture), cv2.COLOR_BGR2GRAY)
        out = np.asarray(cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=0.4), cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    height, width = out.shape[:2]
    for place, line in enumerate(lines):
        (wide, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
        size = min(0.8 * width / max(wide, 1), height / 300)
        (wide, tall), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
        origin = ((width - wide) // 2, height // 2 + round(tall * (0.5 + 2.0 * (place - (len(lines) - 1) / 2))))
        cv2.putText(out, line, origin, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
    return out


def color_table(classes: Sequence[SegmentClass]) -> bytes:
    """Returns the colours of the classes, RGB, three bytes each, by index."""
    return b"".join(bytes(item.color_rgb) for item in classes)
