"""The two things that flow through the device: a picture, and what was seen in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASSES, SegmentClass
from edgeseg.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture with its place and its time.

    image: (H, W, 3) uint8 BGR, made read-only here: frames cross threads and nobody may draw into a shared one.
    captured_ns: monotonic nanoseconds at the moment of capture; for a file, the picture's time in the file.
    Raises DataError when the image is not of that shape and type.
    """

    image: NDArray[np.uint8]
    index: int
    captured_ns: int
    source: str

    def __post_init__(self) -> None:
        check_image(self.image, self.source)
        if self.image.flags.writeable:
            # A view, so that the caller's own array keeps its flag.
            view = self.image.view()
            view.flags.writeable = False
            object.__setattr__(self, "image", view)

    @classmethod
    def of(cls, image: NDArray[np.uint8], source: str = "array") -> Frame:
        """Wrap a picture that was captured just now."""
        return cls(image=image, index=0, captured_ns=time.monotonic_ns(), source=source)

    @property
    def size_wh(self) -> tuple[int, int]:
        return int(self.image.shape[1]), int(self.image.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a model saw in a frame, at the resolution of its scores.

    class_ids: (h, w) uint8, indices into `classes`; it covers the whole picture (no letterbox bars).
    confidence: (h, w) uint8, the winning class's probability, 0..255.
    timings: milliseconds spent per stage, by the stage's name.
    scores: (h, w, C) float32, what was decided on: log-probabilities, up to a number per pixel that is the same for
    every class; None where nobody kept them.
    """

    frame: Frame
    class_ids: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    timings: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[SegmentClass, ...] = CLASSES
    scores: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in ("class_ids", "confidence"):
            array = getattr(self, name)
            if array.ndim != 2 or array.dtype != np.uint8:
                raise DataError(f"{name} must be a (h, w) uint8 array, got {array.shape} {array.dtype}")
        if self.class_ids.shape != self.confidence.shape:
            raise DataError(
                f"class_ids {self.class_ids.shape} and confidence {self.confidence.shape} must have one shape"
            )

    @property
    def shares(self) -> dict[str, float]:
        """The share of the picture, 0..1, that each class covers, by the class's name."""
        counts = np.bincount(self.class_ids.ravel(), minlength=len(self.classes))
        total = max(self.class_ids.size, 1)
        return {item.name: float(count) / total for item, count in zip(self.classes, counts, strict=False)}


def check_image(image: Any, name: str = "image") -> None:
    """Refuse, with DataError, anything but a non-empty (H, W, 3) uint8 array."""
    if not isinstance(image, np.ndarray):
        raise DataError(f"{name}: not a picture but {type(image).__name__}; give a (H, W, 3) uint8 BGR array")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(
            f"{name}: a picture must be a (H, W, 3) uint8 BGR array, got {image.shape} {image.dtype}; "
            "read it with cv2.imread(path), which converts"
        )
