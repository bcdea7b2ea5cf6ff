"""Frame to model input and back: the only resize and the only normalisation of the project.

Training, calibration, evaluation and the device all call these functions, so they cannot drift apart.

The input contract: RGB, x = (pixel - 128) / 128. With the input quantised at scale 1/128 and zero point 0 the int8
value of a pixel is exactly pixel - 128, that is the byte with its top bit flipped; no rounding, no floating point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.frame import check_image

FitMode = Literal["stretch", "letterbox"]
Array = TypeVar("Array", bound=NDArray[Any])

PIXEL_OFFSET = 128.0
PIXEL_SCALE = 1.0 / 128.0
#: What letterbox bars are filled with: the grey that normalises to 0.
BAR_VALUE = 128


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a picture lies inside the model's input, usable in both directions.

    image_hw: the picture. input_hw: the model's input. The picture fills rows top..top+height, columns
    left..left+width of the input. With letterbox these are multiples of `stride`, so the same rectangle cuts the
    scores (at 1/stride) exactly; the aspect ratio is off by at most half a stride for it.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def plan(
        cls, image_hw: tuple[int, int], input_hw: tuple[int, int], mode: FitMode = "stretch", stride: int = 4
    ) -> Fit:
        """Lay a picture out: `stretch` fills the input, `letterbox` keeps the aspect and leaves grey bars."""
        if mode == "stretch":
            return cls(image_hw, input_hw, 0, 0, *input_hw)
        if mode != "letterbox":
            raise DataError(f"unknown fit {mode!r}; use 'stretch' or 'letterbox'")
        scale = min(input_hw[0] / image_hw[0], input_hw[1] / image_hw[1])
        # At least one cell of scores, also for a picture one pixel high.
        height, width = (
            min(limit, max(stride, round(side * scale / stride) * stride))
            for side, limit in zip(image_hw, input_hw, strict=True)
        )
        top = (input_hw[0] - height) // 2 // stride * stride
        left = (input_hw[1] - width) // 2 // stride * stride
        return cls(image_hw, input_hw, top, left, height, width)

    @property
    def full(self) -> bool:
        """True when the picture fills the input."""
        return (self.height, self.width) == self.input_hw

    def crop(self, array: Array) -> Array:
        """Cut the bars off the input or off its scores, (h, w) or (h, w, C) at any stride planned for; a view."""
        if self.full:
            return array
        stride_y = self.input_hw[0] // array.shape[0]
        stride_x = self.input_hw[1] // array.shape[1]
        return array[  # type: ignore[return-value]
            self.top // stride_y : (self.top + self.height) // stride_y,
            self.left // stride_x : (self.left + self.width) // stride_x,
        ]


def to_input(
    image_bgr: NDArray[np.uint8],
    input_hw: tuple[int, int],
    fit: FitMode = "stretch",
    *,
    stride: int = 4,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Resize a BGR picture to the model's input size and turn it to RGB.

    image_bgr: (H, W, 3) uint8. Returns (h, w, 3) uint8 RGB, written into `out` when that is given.
    Bilinear, without area averaging: 0.35 ms instead of 4.0 ms for 720p, and the model is trained on the same.
    """
    check_image(image_bgr)
    height, width = input_hw
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    layout = Fit.plan((image_bgr.shape[0], image_bgr.shape[1]), input_hw, fit, stride)
    if layout.full:
        target = out
    else:
        out.fill(BAR_VALUE)
        target = out[layout.top : layout.top + layout.height, layout.left : layout.left + layout.width]
    if image_bgr.shape[:2] == target.shape[:2]:
        resized = image_bgr
    else:
        resized = cv2.resize(image_bgr, (layout.width, layout.height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    target[:] = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    return out


def normalise_float(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """x = (pixel - 128) / 128 as float32, any shape; the values lie in [-1, 127/128]."""
    return (rgb.astype(np.float32) - np.float32(PIXEL_OFFSET)) * np.float32(PIXEL_SCALE)


def normalise_int8(rgb: NDArray[np.uint8], out: NDArray[np.int8] | None = None) -> NDArray[np.int8]:
    """The same x quantised at scale 1/128, zero point 0, exactly: pixel - 128, written into `out` when given."""
    if out is None:
        return np.bitwise_xor(rgb, np.uint8(0x80)).view(np.int8)
    np.bitwise_xor(rgb, np.uint8(0x80), out=out.view(np.uint8))
    return out


def upscale_logits(
    logits: NDArray[np.float32], fit: Fit, size_hw: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """Bring scores to a picture's size, bilinearly, with the bars of a letterbox cut off.

    logits: (h, w, C) float32 over the whole input. Returns (H, W, C) at size_hw, by default the picture's own size.
    """
    height, width = size_hw or fit.image_hw
    cut = np.ascontiguousarray(fit.crop(logits))
    scaled = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled.reshape(height, width, logits.shape[2])  # type: ignore[return-value]
